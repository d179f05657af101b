"""Replacement of certificates while connections use them, with TLS handshakes in memory."""

import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from ninjacam.core.errors import ConfigError
from ninjacam.core.self_signed import make_certificate, read_certificate
from ninjacam.core.server_certificate import ServerCertificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Files:
    def __init__(self, directory: Path) -> None:
        self.certificate, self.key = directory / "certificate.pem", directory / "key.pem"
        self._age_ns = 0

    def write(self, certificate: bytes, key: bytes) -> None:
        self.certificate.write_bytes(certificate)
        self.key.write_bytes(key)
        self._age_ns += 1_000_000_000
        for path in (self.certificate, self.key):
            os.utime(path, ns=(self._age_ns, self._age_ns))

    def write_new(self) -> str:
        """Write a new certificate and return its fingerprint."""
        pair = make_certificate(["localhost"], now=NOW, lifetime=timedelta(days=1))
        self.write(*pair)
        return read_certificate(pair[0])[0]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class Connection:
    """A client and a server in one thread."""

    def __init__(self, listening: ssl.SSLContext, name: str | None) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = context.wrap_bio(down, up, server_hostname=name)
        self.server = listening.wrap_bio(up, down, server_side=True)
        done: set[int] = set()
        while len(done) < 2:
            for end in (self.client, self.server):
                try:
                    end.do_handshake()
                    done.add(id(end))
                except ssl.SSLWantReadError:
                    pass

    @property
    def fingerprint(self) -> str:
        found = self.client.getpeercert(binary_form=True)
        assert found
        return read_certificate(ssl.DER_cert_to_PEM_cert(found).encode())[0]

    def carries(self, data: bytes) -> bool:
        self.client.write(data)
        self.server.write(self.server.read())
        return self.client.read() == data


def test_a_key_that_is_replaced_after_its_certificate_is_noticed(files: Files) -> None:
    files.write_new()
    certificate = ServerCertificate(str(files.certificate), str(files.key))
    first = certificate.context()
    pair = make_certificate(["localhost"], now=NOW, lifetime=timedelta(days=1))
    for number, (path, content) in enumerate(zip((files.certificate, files.key), pair, strict=True)):
        assert certificate.context() is first  # certificate and key do not match yet
        path.write_bytes(content)
        os.utime(path, ns=(10**10 + number, 10**10 + number))
    assert certificate.context() not in (first, None)


@pytest.mark.parametrize("name", [None, "localhost"])
def test_a_new_certificate_is_used_for_new_connections_and_old_ones_continue(
    files: Files, name: str | None
) -> None:
    first = files.write_new()
    listening = ServerCertificate(str(files.certificate), str(files.key)).listening_context()
    old = Connection(listening, name)
    second = files.write_new()
    new = Connection(listening, name)
    assert (old.fingerprint, new.fingerprint) == (first, second) and first != second
    assert old.carries(b"a frame") and new.carries(b"another")


def test_a_certificate_that_cannot_be_loaded_leaves_the_last_one_in_use(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    first = files.write_new()
    certificate = ServerCertificate(str(files.certificate), str(files.key))
    listening = certificate.listening_context()
    files.write(b"nonsense", b"nonsense")
    for _ in range(3):
        assert Connection(listening, None).fingerprint == first
    assert len(caplog.records) == 1
    assert Connection(listening, None).fingerprint == first
    second = files.write_new()
    assert Connection(listening, None).fingerprint == second


def test_a_server_cannot_start_without_its_certificate(files: Files) -> None:
    with pytest.raises(ConfigError, match="TLS_CERTIFICATE"):
        ServerCertificate(str(files.certificate)).listening_context()
    assert ServerCertificate("").context() is None


def test_a_certificate_names_hosts_and_addresses_and_can_be_trusted_by_phones() -> None:
    pem, _ = make_certificate(["nas", "192.168.1.5", "::1"], now=NOW, lifetime=timedelta(days=800))
    found = x509.load_pem_x509_certificate(pem)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["nas"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.168.1.5", "::1"]
    limits = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits.ca and limits.path_length == 0
    assert read_certificate(pem)[1] == NOW + timedelta(days=800)
    with pytest.raises(ConfigError, match="PEM"):
        read_certificate(b"nonsense")

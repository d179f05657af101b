"""The names for which OpenSSL accepts a self-signed certificate."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ninjacam.core.self_signed import make_certificate

NOW = datetime.now(UTC)


def sign(authority: tuple[bytes, bytes], name: str) -> tuple[bytes, bytes]:
    """Return a certificate for `name`, signed with the stolen authority's key, and its own key."""
    issuer = x509.load_pem_x509_certificate(authority[0])
    issuer_key = serialization.load_pem_private_key(authority[1], None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        subject: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        subject = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(hours=1))
        .not_valid_after(NOW + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([subject]), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def is_trusted(shown: tuple[bytes, bytes], authority: bytes, name: str, directory: Path) -> bool:
    """Return whether a client that trusts `authority` connects to a server called `name` with this certificate."""
    path = directory / "server.pem"
    path.write_bytes(b"".join(shown))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(path)
    client_context = ssl.create_default_context(cadata=authority.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError:
                return False
    return client.version() is not None


@pytest.mark.parametrize(
    ("names", "others"),
    [
        (["camera.local", "192.0.2.7", "2001:db8::7"], ["bank.example", "192.0.2.8", "2001:db8::8"]),
        (["camera.local"], ["bank.example", "192.0.2.8", "2001:db8::8"]),
        (["192.0.2.7"], ["bank.example", "192.0.2.8", "2001:db8::8"]),
    ],
)
def test_a_trusted_certificate_vouches_for_its_own_names_only(
    tmp_path: Path, names: list[str], others: list[str]
) -> None:
    own = make_certificate(names, now=NOW, lifetime=timedelta(days=1))
    for name in names:
        assert is_trusted(own, own[0], name, tmp_path)
        assert is_trusted(sign(own, name), own[0], name, tmp_path), "the test itself"
    for name in others:
        assert not is_trusted(sign(own, name), own[0], name, tmp_path), name

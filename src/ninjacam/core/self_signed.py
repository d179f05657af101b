"""Makes self-signed certificates for TLS servers. Imports `cryptography`, which capture processes do not need."""

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from ninjacam.core.errors import ConfigError

CLOCK_TOLERANCE = timedelta(hours=1)
"""Tolerated lag of a client's clock."""


def make_certificate(names: Sequence[str], *, now: datetime, lifetime: timedelta) -> tuple[bytes, bytes]:
    """Return (certificate, private key) in PEM.

    `names`: host names and IP addresses; the first one is the subject's. `now`: aware. The certificate is a
    certificate authority, because iOS and Android let users trust only these. It is limited to its own names,
    so that a stolen key cannot be used to issue certificates for other sites.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0][:64])])
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_TOLERANCE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectAlternativeName(list(map(_general_name, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_only_for(list(map(_general_name, names))), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _only_for(names: list[x509.GeneralName]) -> x509.NameConstraints:
    """Permit certificates for these names only. Types of names without a permitted name would be
    unrestricted: exclude them."""
    addresses = [name.value for name in names if isinstance(name, x509.IPAddress)]
    permitted: list[x509.GeneralName] = [name for name in names if isinstance(name, x509.DNSName)]
    permitted += [x509.IPAddress(ipaddress.ip_network(address)) for address in addresses]
    excluded: list[x509.GeneralName] = []
    if len(addresses) == len(names):
        excluded.append(x509.DNSName(""))
    if not addresses:
        excluded += [x509.IPAddress(ipaddress.ip_network(all_)) for all_ in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted, excluded or None)


def read_certificate(pem: bytes) -> tuple[str, datetime]:
    """Return (SHA-256 fingerprint as `AB:CD:…`, end of its validity) of the first certificate in `pem`.

    Raises: ConfigError: there is none.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ConfigError("The file of the certificate does not contain a certificate in PEM.") from error
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper(), certificate.not_valid_after_utc

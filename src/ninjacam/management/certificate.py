"""The certificate of `ninjacam serve --tls`: the operator's, or a self-signed one."""

import contextlib
import os
import secrets
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ninjacam.conf import Settings
from ninjacam.core.errors import ConfigError
from ninjacam.core.self_signed import make_certificate, read_certificate
from ninjacam.core.server_certificate import ServerCertificate
from ninjacam.discovery.networks import attached_networks

LIFETIME = timedelta(days=800)
"""iOS does not accept server certificates that are valid for more than 825 days."""
RENEW_BEFORE = timedelta(days=60)
"""A certificate that expires within this time is replaced when the server starts."""


def prepare_certificate(config: Settings, *, now: datetime | None = None) -> str:
    """Create the self-signed certificate if it is required and missing, and return the fingerprint of the one in
    use.

    Raises: ConfigError: it cannot be created, read or used.
    """
    now = now or datetime.now(UTC)
    path = Path(config.certificate)
    if config.has_own_certificate and _must_be_made(path, now):
        _write(path, b"".join(make_certificate(own_names(), now=now, lifetime=LIFETIME)))
    ServerCertificate(config.certificate, config.tls_key).listening_context()
    return read_certificate(path.read_bytes())[0]


def own_names() -> list[str]:
    """Return the names and private addresses of this host."""
    host = socket.gethostname().lower()
    names = [host, f"{host.partition('.')[0]}.local", "localhost", "127.0.0.1", "::1"]
    addresses = [str(each.interface.ip) for each in attached_networks()]
    return list(dict.fromkeys(name for name in (*names, *addresses) if name.isascii()))


def _must_be_made(path: Path, now: datetime) -> bool:
    """Return whether to create the certificate. Raises: ConfigError: the file exists, but is not a certificate."""
    try:
        return read_certificate(path.read_bytes())[1] - now < RENEW_BEFORE
    except FileNotFoundError:
        return True
    except OSError as error:
        raise ConfigError(f"The certificate {path} cannot be read: {error.strerror}.") from error


def _write(path: Path, content: bytes) -> None:
    """Write the file atomically, readable by its owner only. Raises: ConfigError."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ConfigError(f"The certificate {path} cannot be written: {error.strerror}.") from error

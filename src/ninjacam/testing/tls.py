"""A certificate for 127.0.0.1 and localhost, made on the spot: for rtsps and https in tests."""

import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ninjacam.core import self_signed


def make_certificate() -> tuple[bytes, bytes]:
    """(certificate, private key) in PEM; self-signed, good for a day."""
    return self_signed.make_certificate(
        ["localhost", "127.0.0.1"], now=datetime.now(UTC), lifetime=timedelta(days=1)
    )


def server_context(certificate: tuple[bytes, bytes] | None = None) -> ssl.SSLContext:
    """For a server; `certificate` as `make_certificate` gives it, None: a new one."""
    public, private = certificate or make_certificate()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "both.pem"
        path.touch(mode=0o600)
        path.write_bytes(public + private)
        context.load_cert_chain(path)
    return context

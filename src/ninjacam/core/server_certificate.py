"""The certificate of our listening ports, loaded again when its files are replaced. Not here: making one."""

import logging
import os
import ssl

from ninjacam.core.errors import ConfigError

logger = logging.getLogger("ninjacam.core")


class ServerCertificate:
    """A certificate and its key in PEM files, which may be the same file. Existing connections keep their
    certificate.

    Thread: any, one at a time.
    """

    def __init__(self, certificate: str, key: str = "") -> None:
        self._paths = certificate, key or certificate
        self._seen: tuple[int, ...] = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext | None:
        """Return the context for new connections, or None without TLS. After an error, the previous context
        stays in use."""
        if not self._paths[0]:
            return None
        try:
            state = tuple(os.stat(path).st_mtime_ns for path in self._paths)
            if state != self._seen:
                self._seen = state
                self._context = _load(*self._paths)
        except (OSError, ValueError) as error:  # Includes ssl.SSLError.
            logger.warning("the certificate cannot be loaded: %s", error)
        return self._context

    def listening_context(self) -> ssl.SSLContext:
        """Return a context for a server that keeps one: each handshake uses the current certificate.

        Raises: ConfigError: the certificate cannot be loaded.
        """
        try:
            listening = _load(*self._paths)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"The certificate cannot be loaded: {error}. Check TLS_CERTIFICATE and TLS_KEY."
            ) from error
        listening.sni_callback = self._choose  # OpenSSL also calls it without a server name.
        return listening

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext) -> None:
        current = self.context()
        if current is not None:
            connection.context = current


def _load(certificate: str, key: str) -> ssl.SSLContext:
    """Raises: OSError, ValueError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context

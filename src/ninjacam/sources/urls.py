"""Camera URLs, parsed once: what is connected to is what was checked."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from ninjacam.core.errors import ConfigError, ProtocolError

_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_SAFE = "/:?#[]@!$&'()*+,;=%~-._"


@dataclass(frozen=True, slots=True)
class Target:
    """`uri` is what requests name: without user info and fragment, percent-encoded. `path` begins at the path."""

    scheme: str
    host: str
    port: int
    uri: str
    path: str

    @property
    def is_tls(self) -> bool:
        return self.scheme in ("rtsps", "https", "rtmps")

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


def check_characters(url: str) -> None:
    """Raises: ConfigError: the URL holds what parsers disagree about."""
    if _FORBIDDEN.search(url) or len(url) > 4096:
        raise ConfigError("The URL holds a space, a backslash or a control character, or is too long.")


def parse_url(url: str) -> Target:
    """Raises: ConfigError: no host, a bad port, or characters that parsers disagree about."""
    check_characters(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its text may have the password
        raise ConfigError("The URL is malformed: write it as rtsp://host:port/path.") from None
    if not host:
        raise ConfigError("The URL names no host: write it as rtsp://host:port/path.")
    port = port or _DEFAULT_PORTS.get(parts.scheme, 0)
    path = quote(parts.path or "", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    target = Target(parts.scheme, host, port, "", path or "/")
    return Target(target.scheme, host, port, f"{parts.scheme}://{target.authority}{path}", path or "/")


def redirect_target(now: Target, location: str, schemes: tuple[str, ...]) -> Target:
    """Where a redirect leads. Raises: ProtocolError: nowhere that we follow."""
    try:
        target = parse_url(_join(now.uri, location.strip()))
    except (ConfigError, ValueError) as exc:
        raise ProtocolError("The camera redirects to a malformed address.") from exc
    if target.scheme not in schemes or (now.is_tls and not target.is_tls):
        raise ProtocolError(f"The camera redirects to {target.scheme}:, which is not followed.")
    return target


def control_uri(base: str, control: str) -> str:
    """The URL of a track or of the whole: RFC 2326, appendix C.1.1, read as cameras read it.

    A relative control is appended to the base, behind its query if there is one: that is what they expect.
    """
    if control in ("", "*"):
        return base
    if "://" in control[:10]:
        return control
    if control.startswith("/"):
        return _join(base, control)
    return base + ("" if base.endswith("/") else "/") + control


def _join(base: str, reference: str) -> str:
    """RFC 3986, section 5.2, as far as it is met here; `urllib` does not know rtsps."""
    if "://" in reference[:10]:
        return reference
    scheme, _, rest = base.partition("://")
    authority, _, path = rest.partition("/")
    if reference.startswith("/"):
        return f"{scheme}://{authority}{reference}"
    folder = path.partition("?")[0].rpartition("/")[0]
    return f"{scheme}://{authority}/{folder + '/' if folder else ''}{reference}"

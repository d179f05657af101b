"""Parses camera URLs once, so that we connect to the checked address."""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, urlsplit

from ninjacam.core.errors import ConfigError, ProtocolError
from ninjacam.core.redact import split_credentials
from ninjacam.core.texts import sentence

_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443}
_TUNNELS = ("rtsp+http", "rtsp+https")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_SAFE = "/:?#[]@!$&'()*+,;=%~-._"
_DOUBLED_SCHEME = re.compile(r"(?:(rtsps?)://)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The parsed URL of a request. `uri`: the URL in requests, without user info and fragment, percent-encoded.
    `path`: the URL from its path. `tunnel`: "http" or "https" for rtsp+http: and rtsp+https:, whose `scheme` is
    rtsp."""

    scheme: str
    host: str
    port: int
    uri: str
    path: str
    tunnel: str = ""

    @property
    def is_tls(self) -> bool:
        return (self.tunnel or self.scheme) in ("rtsps", "https", "rtmps")

    @property
    def needs_tcp(self) -> bool:
        """Return whether media can only arrive on the connection of the requests."""
        return self.is_tls or bool(self.tunnel)

    @property
    def http_authority(self) -> str:
        """Return the authority in the HTTP requests of a tunnel."""
        return replace(self, scheme=self.tunnel).authority

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS.get(self.scheme) else f"{host}:{self.port}"


def check_characters(url: str) -> None:
    """Raises: ConfigError: the URL contains characters that parsers interpret differently."""
    if _FORBIDDEN.search(url) or len(url) > 4096:
        raise ConfigError(
            "The URL contains a space, a backslash or a control character, or is too long. "
            "If the password contains it, enter user and password separately."
        )


def parse_url(url: str) -> RequestTarget:
    """Parse a URL. Raises: ConfigError: no host, an invalid port, or characters that parsers interpret differently."""
    check_characters(url)
    try:
        parts = urlsplit(split_credentials(url)[0])
        host, port = parts.hostname or "", parts.port
    except ValueError:  # The text of the exception may contain the password.
        raise ConfigError("The URL is malformed. Write it as rtsp://host:port/path.") from None
    if not host:
        raise ConfigError("The URL contains no host. Write it as rtsp://host:port/path.")
    if port == 0:
        raise ConfigError("Port 0 is invalid: use the camera's port, or omit it.")
    scheme, _, tunnel = parts.scheme.partition("+") if parts.scheme in _TUNNELS else (parts.scheme, "", "")
    port = port or _DEFAULT_PORTS.get(tunnel or scheme, 0)
    path = quote(parts.path or "", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    target = RequestTarget(scheme, host, port, "", path if path.startswith("/") else f"/{path}", tunnel)
    return replace(target, uri=f"{scheme}://{target.authority}{path}")


def binding_of(url: str, *, verify_tls: bool) -> str:
    """Return the binding of a camera's password: scheme, host, port, and for TLS the verification of the
    certificate.

    The password is reused only while this string is unchanged.
    """
    try:
        target = parse_url(url)
    except ConfigError:  # file:, v4l2:, and schemes that are refused later.
        return url.partition(":")[0].lower()
    host = f"[{target.host}]" if ":" in target.host else target.host
    checked = (" verified" if verify_tls else " unverified") if target.is_tls else ""
    scheme = f"{target.scheme}+{target.tunnel}" if target.tunnel else target.scheme
    return f"{scheme}://{host}:{target.port}{checked}"


def carries_login(now: RequestTarget, following: RequestTarget) -> bool:
    """Return whether a login for `now` may be sent to the new target: only to the same host, and never from TLS to
    clear text.
    """
    return following.host == now.host and (following.is_tls or not now.is_tls)


def redirect_target(now: RequestTarget, location: str, schemes: tuple[str, ...]) -> RequestTarget:
    """Return the target of a redirect. Raises: ProtocolError: it is not allowed."""
    try:
        target = parse_url(_join(now.uri, location.strip()))
    except (ConfigError, ValueError) as exc:
        raise ProtocolError("The camera redirects to a malformed address.") from exc
    if target.scheme not in schemes or (now.is_tls and not target.is_tls):
        raise ProtocolError(
            sentence("The camera redirects to %(scheme)s:, which is not followed.", scheme=target.scheme)
        )
    return target


def base_uri(stated: str, target: RequestTarget) -> str:
    """Return the base of relative controls: the camera's Content-Base if it is an RTSP URL, else the requested URL.

    Doubled schemes ("rtsp://rtsp://host") and user info are removed.
    """
    found = _DOUBLED_SCHEME.match(stated.strip())
    if not found or not (rest := stated.strip()[found.end() :]):
        return target.uri
    authority, slash, path = rest.partition("/")
    return f"{found[1].lower()}://{authority.rpartition('@')[2]}{slash}{path}"


def login_of(location: str) -> tuple[str, str] | None:
    """Return (user, password) in the Location of a redirect, for that target only; None: it has none."""
    try:
        _, username, password = split_credentials(location.strip())
    except (ConfigError, ValueError):
        return None
    return (username, password) if username or password else None


def control_uri(base: str, control: str) -> str:
    """Return the URL of a track or of the whole presentation: RFC 2326, appendix C.1.1, as cameras interpret it.

    A relative control is appended to the base, after its query if there is one, as cameras expect.
    """
    if control in ("", "*"):
        return base
    if found := _DOUBLED_SCHEME.match(control):
        return f"{found[1].lower()}://{control[found.end() :]}"
    if control.startswith("/"):
        return _join(base, control)
    if control.startswith("?"):
        return base.partition("?")[0] + control
    return base + ("" if base.endswith("/") else "/") + control


def control_uris(base: str, control: str, target: RequestTarget) -> list[str]:
    """Return the possible URLs of a track, the likeliest first, because cameras interpret their own controls
    differently.
    """
    first = control_uri(base, control)
    asked, _, query = target.uri.partition("?")
    found = [first, control_uri(target.uri, control), _at(target, first)]
    if query and "://" not in control[:10] and not control.startswith("?"):
        found.append(f"{control_uri(asked, control)}?{query}")
    if control.startswith("/"):
        found.append(base.rstrip("/") + control)
    return list(dict.fromkeys(found))


def _at(target: RequestTarget, uri: str) -> str:
    """Return the same path at the address to which we are connected: behind NAT, cameras send their internal
    address."""
    path = uri.partition("://")[2].partition("/")[2]
    return f"{target.scheme}://{target.authority}/{path}"


def _join(base: str, reference: str) -> str:
    """Join URLs according to RFC 3986, section 5.2, as far as needed here. `urllib` does not support rtsps."""
    if "://" in reference[:10]:
        return reference
    scheme, _, rest = base.partition("://")
    authority, _, path = rest.partition("/")
    if reference.startswith("/"):
        return f"{scheme}://{authority}{reference}"
    folder = path.partition("?")[0].rpartition("/")[0]
    return f"{scheme}://{authority}/{folder + '/' if folder else ''}{reference}"

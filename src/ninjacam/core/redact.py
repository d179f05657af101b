"""Keeps credentials out of logs, messages and responses."""

import re
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from ninjacam.core.errors import ConfigError

MASK = "***"

_WITHOUT_HOST = ("file", "v4l2")
_LOGIN = re.compile(r"([A-Za-z0-9+.-]{0,32})://(\S*@)(\S*)")
"""Matches up to the last @: the text before it may be a password that contains an unescaped / or ?."""
_PARAMETER = re.compile(r"([?&;#/,])([^=&;?#/,\s]{1,80})=([^&;#\s]+)")
"""Matches secrets in the query, the fragment or, for some cameras, the path."""
_SECRET_NAME = re.compile(
    r"pass|pwd|psw|token|secret|key|auth|cred|sig|session|streamid|user|usr|login|account|\A(?:p|pw|u|pin)\Z"
)


def redact_url(url: str) -> str:
    """Return the URL with user, password and secret-looking parameters masked, for logs and messages.

    `url` may be any text that contains URLs. An @ stays readable only if it is certainly part of the path.
    """
    return _PARAMETER.sub(_mask, _LOGIN.sub(_mask_login, url))


def _mask_login(found: re.Match[str]) -> str:
    scheme, before, after = found.groups()
    return found[0] if _has_no_login(scheme, before + after) else f"{scheme}://{MASK}@{after}"


def _has_no_login(scheme: str, rest: str) -> bool:
    """Return whether no @ in the part of a URL after "://" can end a user name or password."""
    if scheme.lower() in _WITHOUT_HOST and ":" not in rest:
        return True
    authority = _authority_of(rest)
    path = rest[len(authority) :]
    before = path[: path.rfind("@")].lower()
    if "@" in authority or ":" in before or "%3a" in before:
        return False
    others = [_certainty(rest, found.end()) for found in re.finditer("@", rest)]
    try:
        return _start_of_host(rest) == 0 and max(others) <= _certainty(rest, 0)
    except ConfigError:
        return False


def _mask(found: re.Match[str]) -> str:
    separator, name, _ = found.groups()
    return f"{separator}{name}={MASK}" if _SECRET_NAME.search(unquote(name).lower()) else found[0]


_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]|[^\s/?#@:\[\]]+)(?::(\d{1,5}))?(?=[/?#]|\Z)", re.ASCII)
_AMBIGUOUS = (
    "The URL is ambiguous. If the password contains one of / ? # [ @ :, enter user and password "
    "separately; write an @ in the path as %40."
)


def split_credentials(url: str) -> tuple[str, str, str]:
    """Return (the URL without its user info, user, password), percent-decoded; empty strings for missing parts.

    A password may contain unescaped / ? # [ or %. The standard (RFC 3986) ends the host at the first / ? or #, so
    such a URL is accepted only if no part of the password could be mistaken for a host.

    Raises: ConfigError: the URL is ambiguous; ValueError: it cannot be parsed.
    """
    scheme, slashes, rest = url.partition("://")
    if scheme.lower() == "udp" and rest.startswith("@"):  # Players write it for "receive"; UDP has no login.
        return f"{scheme}://{rest[1:]}", "", ""
    if not slashes or "@" not in rest or scheme.lower() in _WITHOUT_HOST:
        _ = urlsplit(url).port  # Raise here rather than in the caller that opens it.
        return url, "", ""  # Unchanged: rebuilding file:name would yield another file.
    start = _start_of_host(rest)
    username, _, password = rest[: max(0, start - 1)].partition(":")
    return (url if start == 0 else f"{scheme}://{rest[start:]}"), _decoded(username), _decoded(password)


def _decoded(text: str) -> str:
    """Return the text without percent-escapes. Escapes that are not UTF-8 ("50%ab") stay as they are."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _start_of_host(rest: str) -> int:
    """Return the offset of the host in the part of a URL after "://"; 0 if there is no user info.

    Raises: ConfigError: it is ambiguous.
    """
    authority = _authority_of(rest)
    standard = authority.rfind("@") + 1
    places = [standard]
    if ":" in authority:  # as in "user:pass/word@host"
        places += [found.end() for found in re.finditer("@", rest) if found.end() > standard]
    certain = {place: _certainty(rest, place) for place in places}
    best, *equal = [place for place in places if certain[place] == max(certain.values())]
    is_host = certain[best] == 2 or (certain[best] >= 0 and best == places[-1])
    if equal or not is_host or (best != standard and certain[standard] > 0):
        raise ConfigError(_AMBIGUOUS)
    return best


def _authority_of(rest: str) -> str:
    """Return the user info, host and port of the part of a URL after "://", according to RFC 3986."""
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _certainty(rest: str, place: int) -> int:
    """Rate how likely a host begins at `place`: 2 an address, 1 a name with a dot, 0 another name, -1 not a host."""
    found = _HOST.match(rest, place)
    if found is None or int(found[2] or 0) > 65_535:
        return -1
    if found[1].lower() == "localhost":
        return 2
    try:
        ip_address(found[1].strip("[]").partition("%")[0])
    except ValueError:
        return int("." in found[1].strip("."))
    return 2

"""Keeping credentials out of logs, messages and answers."""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

MASK = "***"

_USERINFO = re.compile(r"(?<=://)[^\s'\"]*@")
"""Up to the last @: what stands before it may be a password with an unescaped / or ? in it."""
_PARAMETER = re.compile(r"([?&;#/,])([^=&;?#/,\s]{1,80})=([^&;#\s]+)")
"""In the query, the fragment or, as some cameras have it, the path."""
_SECRET_NAME = re.compile(
    r"pass|pwd|psw|token|secret|key|auth|cred|sig|session|streamid|user|usr|login|account|\A(?:p|pw|u|pin)\Z"
)


def redact_url(url: str) -> str:
    """The URL with user, password and secret-looking parameters masked, fit for a log or a person.

    A string that is no URL comes back with the same patterns masked, so this is safe on any text with URLs in it.
    """
    return _PARAMETER.sub(_mask, _USERINFO.sub(f"{MASK}@", url))


def _mask(found: re.Match[str]) -> str:
    separator, name, _ = found.groups()
    return f"{separator}{name}={MASK}" if _SECRET_NAME.search(unquote(name).lower()) else found[0]


def split_credentials(url: str) -> tuple[str, str, str]:
    """(the URL without its user info, user, password), percent-decoded; empty strings where there are none.

    Raises: ValueError: the URL cannot be parsed at all (a bad port or bracket).
    """
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    _ = parts.port  # raises here rather than in whoever opens it
    if not at:
        return (
            url,
            "",
            "",
        )  # not put together anew: file:name would become file:///name, which is another file
    return (
        urlunsplit(parts._replace(netloc=host)),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )

"""Keeping credentials out of logs, messages and answers."""

import re
from urllib.parse import unquote, urlsplit, urlunsplit

MASK = "***"

_USERINFO = re.compile(r"(?<=://)[^/?#\s'\"]*@")
_SECRET_PARAMETER = re.compile(
    r"(?i)([?&;](?:[\w.-]*(?:pass|pwd|passwd|password|token|secret|key|sig|auth|user|usr|login)[\w.-]*))=[^&;#\s'\"]+"
)


def redact_url(url: str) -> str:
    """The URL with user, password and secret-looking query values masked, fit for a log or a person.

    A string that is no URL comes back with the same patterns masked, so this is safe on any text with URLs in it.
    """
    return _SECRET_PARAMETER.sub(rf"\1={MASK}", _USERINFO.sub(f"{MASK}@", url))


def split_credentials(url: str) -> tuple[str, str, str]:
    """(the URL without its user info, user, password), percent-decoded; empty strings where there are none.

    Raises: ValueError: the URL cannot be parsed at all (a bad port or bracket).
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    _ = parts.port  # raises here rather than in whoever opens it
    return (
        urlunsplit(parts._replace(netloc=host)),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )

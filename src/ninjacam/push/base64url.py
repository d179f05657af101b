"""Base64 for URLs without padding (RFC 4648, section 5), as push messages and subscriptions use it."""

import base64
import binascii
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*\Z")


def to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Padding is ignored. Raises: ValueError."""
    plain = text.rstrip("=")
    if not _ALPHABET.match(plain):  # The standard library skips other characters.
        raise ValueError("not base64url")
    try:
        return base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error

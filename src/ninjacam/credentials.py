"""Encryption of stored camera credentials with Fernet (AES-128-CBC and HMAC-SHA-256) and keys derived from
SECRET_KEYS.

The first key encrypts, every key decrypts. To rotate keys, put the new key first, run `ninjacam rekey`, remove the
old one.
"""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secret values of a camera. `url`: the whole URL if its query contains secrets, else empty.

    `bound_to`: the address for which they were entered, as returned by `sources.urls.binding_of`; empty if stored by
    an earlier version.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    bound_to: str = ""

    def __bool__(self) -> bool:
        return bool(self.username or self.password or self.url)


@lru_cache(maxsize=16)  # The engine reads each camera every second.
def _derive(key: str, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key.encode())


def _fernet() -> MultiFernet:
    return MultiFernet(
        Fernet(base64.urlsafe_b64encode(_derive(key, b"ninjacam/credentials/1")))
        for key in get_settings().secret_keys
    )


def seal(credentials: Credentials) -> str:
    """Return encrypted text for the database; "" for empty credentials."""
    if not credentials:
        return ""
    values = [credentials.username, credentials.password, credentials.url, credentials.bound_to]
    plain = json.dumps(values)
    return _fernet().encrypt(plain.encode()).decode()


def unseal(sealed: str) -> Credentials:
    """Raises: ConfigError: none of SECRET_KEYS decrypts it."""
    if not sealed:
        return Credentials()
    try:
        username, password, url, *bound_to = json.loads(_fernet().decrypt(sealed.encode()))
    except (InvalidToken, ValueError) as error:
        raise ConfigError(
            "The stored password cannot be decrypted, because the secret key has changed. Add the old key "
            "at the end of NINJACAM['SECRET_KEYS'], or enter the camera's password again."
        ) from error
    return Credentials(username, password, url, *bound_to)


def reseal(sealed: str) -> str:
    """Return the same credentials, encrypted with the first key. Raises: ConfigError: none of SECRET_KEYS decrypts
    it.
    """
    unseal(sealed)
    return _fernet().rotate(sealed.encode()).decode() if sealed else ""


def fingerprint(*values: object) -> str:
    """Return 16 hex digits that change when a value changes, and reveal nothing about the values."""
    key = _derive(get_settings().secret_keys[0], b"ninjacam/fingerprint/1")
    return hmac.new(key, json.dumps(values, default=str).encode(), hashlib.sha256).hexdigest()[:16]

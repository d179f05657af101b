"""Camera credentials at rest: sealed by Fernet (AES-128-CBC and HMAC-SHA-256) under keys derived from SECRET_KEYS.

The first key seals, every key opens: to rotate, put the new key first, run `ninjacam rekey`, remove the old one.
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
    """What nobody is shown again. `url`: the whole URL where it carries secrets in its query, else empty.

    `bound_to`: what they were entered for, as `sources.urls.binding_of` has it; empty: sealed by an earlier version.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    url: str = field(default="", repr=False)
    bound_to: str = ""

    def __bool__(self) -> bool:
        return bool(self.username or self.password or self.url)


@lru_cache(maxsize=16)  # the engine asks for each camera each second
def _derive(key: str, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key.encode())


def _fernet() -> MultiFernet:
    return MultiFernet(
        Fernet(base64.urlsafe_b64encode(_derive(key, b"ninjacam/credentials/1")))
        for key in get_settings().secret_keys
    )


def seal(credentials: Credentials) -> str:
    """Text for the database; empty for empty credentials."""
    if not credentials:
        return ""
    values = [credentials.username, credentials.password, credentials.url, credentials.bound_to]
    plain = json.dumps(values)
    return _fernet().encrypt(plain.encode()).decode()


def unseal(sealed: str) -> Credentials:
    """Raises: ConfigError: none of SECRET_KEYS opens it."""
    if not sealed:
        return Credentials()
    try:
        username, password, url, *bound_to = json.loads(_fernet().decrypt(sealed.encode()))
    except (InvalidToken, ValueError) as error:
        raise ConfigError(
            "The stored password of the camera cannot be read, because the secret key has changed. Add the old key "
            "at the end of NINJACAM['SECRET_KEYS'], or enter the camera's password again."
        ) from error
    return Credentials(username, password, url, *bound_to)


def reseal(sealed: str) -> str:
    """The same credentials, under the first key. Raises: ConfigError: none of SECRET_KEYS opens it."""
    unseal(sealed)
    return _fernet().rotate(sealed.encode()).decode() if sealed else ""


def fingerprint(*values: object) -> str:
    """16 hex digits that change when a value does, and that tell nothing about the values."""
    key = _derive(get_settings().secret_keys[0], b"ninjacam/fingerprint/1")
    return hmac.new(key, json.dumps(values, default=str).encode(), hashlib.sha256).hexdigest()[:16]

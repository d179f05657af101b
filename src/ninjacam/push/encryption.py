"""Encrypts a push message for one subscription: RFC 8291, with the content coding aes128gcm (RFC 8188).

Only the browser can decrypt it; the push service sees its length, which is padded.
"""

import os
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ninjacam.core.errors import ConfigError
from ninjacam.push.base64url import from_base64url

RECORD_BYTES = 4096
"""Push services need not accept larger messages (RFC 8030, section 7.2)."""
KEY_BYTES = 65
"""An uncompressed point of P-256."""
AUTH_BYTES = 16
SALT_BYTES = 16
_TAG_BYTES = 16
_HEADER_BYTES = SALT_BYTES + 4 + 1 + KEY_BYTES
MAX_PLAINTEXT_BYTES = RECORD_BYTES - _HEADER_BYTES - _TAG_BYTES - 1
PADDED_TO_BYTES = 512
"""Messages are padded to a multiple of this, so that their length reveals little."""
_LAST_RECORD = b"\x02"


def receiver_keys(p256dh: str, auth: str) -> tuple[ec.EllipticCurvePublicKey, bytes]:
    """Return the public key and the secret of a subscription. Raises: ConfigError."""
    try:
        point, secret = from_base64url(p256dh), from_base64url(auth)
        if len(point) != KEY_BYTES or len(secret) != AUTH_BYTES:
            raise ValueError("wrong length")  # noqa: TRY301 (the same error as of other keys)
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point), secret
    except ValueError as error:
        raise ConfigError("These are not the keys of a push subscription.") from error


def encrypt(
    plaintext: bytes,
    p256dh: str,
    auth: str,
    *,
    sender: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
    padding_bytes: int | None = None,
) -> bytes:
    """Return the body of the request. `p256dh`, `auth`: as the browser reports them. The other parameters are for test
    vectors. Raises: ConfigError: invalid keys; ValueError: the message is too long.
    """
    receiver, secret = receiver_keys(p256dh, auth)
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise ValueError(f"a push message has at most {MAX_PLAINTEXT_BYTES} bytes")
    if padding_bytes is None:
        padding_bytes = min(-len(plaintext) % PADDED_TO_BYTES, MAX_PLAINTEXT_BYTES - len(plaintext))
    sender = sender or ec.generate_private_key(ec.SECP256R1())
    salt = salt or os.urandom(SALT_BYTES)
    own_point = _point(sender.public_key())
    info = b"WebPush: info\0" + _point(receiver) + own_point
    shared = _derive(sender.exchange(ec.ECDH(), receiver), secret, info, 32)
    key = _derive(shared, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(shared, salt, b"Content-Encoding: nonce\0", 12)
    record = AESGCM(key).encrypt(nonce, plaintext + _LAST_RECORD + b"\0" * padding_bytes, None)
    return salt + struct.pack(">IB", RECORD_BYTES, KEY_BYTES) + own_point + record


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

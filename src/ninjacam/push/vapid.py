"""Identifies this server to push services: a signed token in the header Authorization (VAPID, RFC 8292)."""

import json
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ninjacam.push.base64url import from_base64url, to_base64url

LIFETIME_S = 12 * 3600
"""Seconds that a token is valid. At most 24 hours are allowed."""
_NUMBER_BYTES = 32


def make_private_key() -> str:
    """Return a new private key: its number in base64url."""
    number = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value
    return to_base64url(number.to_bytes(_NUMBER_BYTES, "big"))


def public_key_of(private_key: str) -> str:
    """Return the public key as browsers take it (`applicationServerKey`)."""
    public = _load(private_key).public_key()
    return to_base64url(public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def authorization(endpoint: str, private_key: str, *, contact: str, now_s: int) -> str:
    """Return the value of the header for a request to `endpoint`. `contact`: a mailto: or https: URL, for the operators
    of the push service.
    """
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": now_s + LIFETIME_S, "sub": contact}
    signed = f"{_encode({'typ': 'JWT', 'alg': 'ES256'})}.{_encode(claims)}"
    r, s = decode_dss_signature(_load(private_key).sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(_NUMBER_BYTES, "big") + s.to_bytes(_NUMBER_BYTES, "big")
    return f"vapid t={signed}.{to_base64url(signature)}, k={public_key_of(private_key)}"


def _encode(value: dict[str, object]) -> str:
    return to_base64url(json.dumps(value, separators=(",", ":")).encode())


def _load(private_key: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(from_base64url(private_key), "big"), ec.SECP256R1())

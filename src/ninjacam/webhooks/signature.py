"""The signature of a delivery: HMAC-SHA-256 over the time and the body, so that a copied request expires."""

import hashlib
import hmac

HEADER = "Ninjacam-Signature"


def sign(body: bytes, secret: str, at_s: int) -> str:
    """Return the value of the header: `t=<Unix time>,v1=<hex digits>`."""
    digest = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={digest}"

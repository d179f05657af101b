"""A push service (RFC 8030) with TLS: it checks who sends, and decrypts what its browsers receive.

Decryption and signatures are written out here, independently of `ninjacam.push`.
"""

import base64
import hashlib
import hmac
import json
import os
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ninjacam.core.self_signed import make_certificate
from tests.harness.processes import free_port


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, for results of at most 32 bytes."""
    pseudorandom = hmac.digest(salt, secret, "sha256")
    return hmac.digest(pseudorandom, info + b"\x01", "sha256")[:length]


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def decrypt(body: bytes, receiver: ec.EllipticCurvePrivateKey, secret: bytes) -> bytes:
    """Return the plaintext of one record (RFC 8188, RFC 8291)."""
    salt, key_length = body[:16], body[20]
    sender, record = body[21 : 21 + key_length], body[21 + key_length :]
    assert len(body) <= int.from_bytes(body[16:20], "big"), "one record"
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
    info = b"WebPush: info\0" + _point(receiver.public_key()) + sender
    shared = _hkdf(secret, receiver.exchange(ec.ECDH(), public), info, 32)
    key = _hkdf(salt, shared, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, shared, b"Content-Encoding: nonce\0", 12)
    plaintext, delimiter, padding = AESGCM(key).decrypt(nonce, record, None).rpartition(b"\x02")
    assert delimiter and not padding.strip(b"\0")
    return plaintext


def check_authorization(header: str) -> dict[str, Any]:
    """Return the claims of a VAPID header. Raises: InvalidSignature."""
    scheme, _, parameters = header.partition(" ")
    assert scheme == "vapid"
    values = dict(each.strip().split("=", 1) for each in parameters.split(","))
    signed, _, signature = values["t"].rpartition(".")
    numbers = _decode(signature)
    r, s = int.from_bytes(numbers[:32], "big"), int.from_bytes(numbers[32:], "big")
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decode(values["k"]))
    key.verify(encode_dss_signature(r, s), signed.encode(), ec.ECDSA(hashes.SHA256()))
    claims: dict[str, Any] = json.loads(_decode(signed.split(".")[1]))
    return claims


@dataclass(frozen=True)
class Pushed:
    """A message as the browser gets it. Names of headers are in lower case."""

    headers: dict[str, str]
    text: str
    claims: dict[str, Any]

    @property
    def message(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.text)
        return message


@dataclass(eq=False)
class Phone:
    """A browser with a subscription. `status`: what the push service returns for it. `delay_s`: before that."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    secret: bytes = field(default_factory=lambda: os.urandom(16))
    status: int = 201
    delay_s: float = 0.0
    endpoint: str = ""
    received: list[Pushed] = field(default_factory=list)

    @property
    def p256dh(self) -> str:
        return _encode(_point(self.key.public_key()))

    @property
    def auth(self) -> str:
        return _encode(self.secret)

    def as_json(self) -> dict[str, Any]:
        return {"endpoint": self.endpoint, "keys": {"p256dh": self.p256dh, "auth": self.auth}}


class PushService:
    """`certificate`: the file by which clients verify it (SSL_CERT_FILE)."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.certificate = directory / "push-service.pem"
        now = datetime.now(UTC)
        certificate, key = make_certificate(["localhost", "127.0.0.1"], now=now, lifetime=timedelta(days=2))
        self.certificate.write_bytes(certificate + key)
        self._phones: dict[str, Phone] = {}
        self._server: ThreadingHTTPServer | None = None

    def phone(self, **fields: Any) -> Phone:
        name = hashlib.sha256(os.urandom(8)).hexdigest()[:20]
        phone = Phone(endpoint=f"https://127.0.0.1:{self.port}/p/{name}", **fields)
        self._phones[f"/p/{name}"] = phone
        return phone

    def __enter__(self) -> Self:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                phone = service._phones.get(self.path)
                status = 404
                if phone is not None:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    claims = check_authorization(headers["authorization"])
                    text = decrypt(body, phone.key, phone.secret).decode()
                    phone.received.append(Pushed(headers, text, claims))
                    time.sleep(phone.delay_s)
                    status = phone.status
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None: ...

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate)
        self._server = Server(("127.0.0.1", self.port), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

"""The camera's side of HTTP authentication, which RTSP shares: Basic (RFC 7617), Digest (RFC 7616 and RFC 2069)."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

Scheme = Literal["none", "basic", "digest", "digest-sha256"]
_HASHES = {"digest": "md5", "digest-sha256": "sha256"}
_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')


@dataclass
class Login:
    """Who may come in. `qop`: whether Digest offers qop="auth"; old cameras do not (RFC 2069)."""

    scheme: Scheme = "none"
    username: str = "admin"
    password: str = "secret"  # noqa: S105 (a camera for tests)
    realm: str = "Ninjacam camera"
    qop: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))

    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        if self.scheme == "basic":
            return f'Basic realm="{self.realm}"'
        algorithm = ', algorithm="SHA-256"' if self.scheme == "digest-sha256" else ""
        qop = ', qop="auth"' if self.qop else ""
        return f'Digest realm="{self.realm}", nonce="{self.nonce}"{algorithm}{qop}'

    def accepts(self, method: str, authorization: str) -> bool:
        """`authorization`: the header's value, empty where there is none."""
        if self.scheme == "none":
            return True
        if self.scheme == "basic":
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            return authorization == f"Basic {pair}"
        return authorization.lower().startswith("digest ") and self._accepts_digest(method, authorization)

    def _accepts_digest(self, method: str, authorization: str) -> bool:
        given = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(authorization)}
        if given.get("username") != self.username or given.get("nonce") != self.nonce:
            return False

        def hashed(*parts: str) -> str:
            return hashlib.new(_HASHES[self.scheme], ":".join(parts).encode()).hexdigest()

        one = hashed(self.username, self.realm, self.password)
        two = hashed(method, given.get("uri", ""))
        if self.qop:
            if given.get("qop") != "auth":
                return False
            expected = hashed(one, self.nonce, given.get("nc", ""), given.get("cnonce", ""), "auth", two)
        else:
            expected = hashed(one, self.nonce, two)
        return given.get("response") == expected

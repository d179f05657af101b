"""Responds to Basic and Digest challenges of RTSP and HTTP (RFC 7617, 7616, 2617, 2069).

Realms and nonces are bytes: they are decoded with "surrogateescape" (`messages.parse_head`), hashed as the received
bytes, and sent back unchanged (`messages.checked_lines`).
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable

from ninjacam.core.errors import ProtocolError

MAX_CHALLENGES = 8
_SCHEME = re.compile(r"[\s,]*([A-Za-z][\w-]*)(?=\s*(?:,|\Z)|\s+[^\s=,])", re.ASCII)
"""A word that is not followed by "=" is a scheme."""
_PARAMETER = re.compile(
    r'[\s,]*([A-Za-z][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|((?:(?!\s+[A-Za-z][\w-]*\s*=)[^,])*))', re.ASCII
)
"""A name and its value: quoted, or up to the next comma or name (some realms contain spaces without quotes)."""
_HASHES = {"MD5": "md5", "SHA256": "sha256", "SHA512256": "sha512_256"}
_STRENGTH = ("SHA512256", "SHA256", "MD5")


class Authenticator:
    """Credentials of one camera, and its current challenge. `digest_only`: never send the password itself."""

    def __init__(self, username: str, password: str, *, digest_only: bool = False) -> None:
        self._digest_only = digest_only
        self._username = username
        self._password = password
        self._scheme = ""
        self._parameters: dict[str, str] = {}
        self._count = 0
        self._tried = False

    @property
    def has_credentials(self) -> bool:
        return bool(self._username or self._password)

    def take_challenge(self, headers: Iterable[str]) -> bool:
        """Store the best challenge of these WWW-Authenticate headers. Return whether to send the request (again).

        Returns False after a second challenge without `stale`: the password is wrong, and cameras lock accounts.
        Raises: ProtocolError: the camera requires an unsupported method.
        """
        headers = list(headers)
        if not headers:
            return False
        challenges = [challenge for header in headers for challenge in parse_challenges(header)]
        best = _best(challenges[:MAX_CHALLENGES])
        if best is not None and best[0] == "basic" and self._digest_only:
            raise ProtocolError(
                "The camera asks for the password in clear text (HTTP Basic). Enable Digest in its settings, "
                "or use https."
            )
        if best is None:
            raise ProtocolError("The camera requires a login method other than Basic and Digest.")
        scheme, parameters = best
        fresh_nonce = parameters.get("nonce") != self._parameters.get("nonce")
        stale = parameters.get("stale", "").lower() == "true" and fresh_nonce
        again, self._tried = not self._tried or stale, True
        self._scheme, self._parameters, self._count = scheme, parameters, 0
        return self.has_credentials and again

    def reconnect(self) -> None:
        """Begin a new connection. Its first challenge may contain another nonce, and does not mean that the password
        is wrong."""
        self._tried = False

    @property
    def is_challenged(self) -> bool:
        """Return whether the camera has requested a login that we support."""
        return bool(self._scheme) and self.has_credentials

    def accept(self) -> None:
        """Note that the camera accepted the credentials: its next challenge only means that the nonce is outdated."""
        self._tried = False

    def header(self, method: str, uri: str) -> str | None:
        """Return the value of Authorization for this request; None before a challenge."""
        if self._scheme == "basic":
            return "Basic " + base64.b64encode(f"{self._username}:{self._password}".encode()).decode()
        return self._digest(method, uri) if self._scheme == "digest" else None

    def _digest(self, method: str, uri: str) -> str:
        given = self._parameters
        algorithm = given.get("algorithm", "")
        name, session = _algorithm(algorithm)
        realm, nonce = given.get("realm", ""), given.get("nonce", "")

        def digest(text: str) -> str:
            data = text.encode("utf-8", "surrogateescape")
            return hashlib.new(_HASHES[name], data, usedforsecurity=False).hexdigest()

        cnonce = secrets.token_hex(8)
        secret = digest(f"{self._username}:{realm}:{self._password}")
        if session:
            secret = digest(f"{secret}:{nonce}:{cnonce}")
        request = digest(f"{method}:{uri}")
        fields = [
            f'username="{_escape(self._username)}"',
            f'realm="{realm}"',  # Still escaped, as received.
            f'nonce="{nonce}"',
            f'uri="{uri}"',
        ]
        if "auth" in [choice.strip().lower() for choice in given.get("qop", "").split(",")]:
            self._count += 1
            count = f"{self._count:08x}"
            response = digest(f"{secret}:{nonce}:{count}:{cnonce}:auth:{request}")
            fields += ["qop=auth", f"nc={count}", f'cnonce="{cnonce}"']
        else:
            response = digest(f"{secret}:{nonce}:{request}")
            if session:
                fields.append(f'cnonce="{cnonce}"')
        fields.append(f'response="{response}"')
        if algorithm:
            fields.append(f"algorithm={algorithm}")
        if "opaque" in given:
            fields.append(f'opaque="{given["opaque"]}"')
        return "Digest " + ", ".join(fields)


def parse_challenges(header: str) -> list[tuple[str, dict[str, str]]]:
    """Return [(scheme in lower case, {parameter: value})] of one WWW-Authenticate header, which may contain several."""
    found: list[tuple[str, dict[str, str]]] = []
    text, at = header[:4096], 0
    while at < len(text):
        if match := _PARAMETER.match(text, at):
            if found:
                value = match[2] if match[2] is not None else match[3].strip()
                found[-1][1].setdefault(match[1].lower(), value)
        elif match := _SCHEME.match(text, at):
            found.append((match[1].lower(), {}))
        at = match.end() if match else at + 1
    return found


def _algorithm(text: str) -> tuple[str, bool]:
    """Return (name as in `_HASHES`, whether it is the -sess variant); MD5 by default. Some cameras write SHA256."""
    name = re.sub(r"[-_\s]", "", text).upper() or "MD5"
    return name.removesuffix("SESS") or "MD5", name.endswith("SESS")


def _best(challenges: list[tuple[str, dict[str, str]]]) -> tuple[str, dict[str, str]] | None:
    for strength in _STRENGTH:
        for scheme, parameters in challenges:
            if scheme == "digest" and _algorithm(parameters.get("algorithm", ""))[0] == strength:
                return scheme, parameters
    return next(((scheme, parameters) for scheme, parameters in challenges if scheme == "basic"), None)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")

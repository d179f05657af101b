"""Answering Basic and Digest challenges, for RTSP and HTTP alike (RFC 7617, 7616, 2617, 2069)."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable

from ninjacam.core.errors import ProtocolError

MAX_CHALLENGES = 8
_TOKEN = re.compile(r'([A-Za-z][\w-]*)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+)))?')
"""A parameter with its value, quoted or not; or the name of a scheme, which has none."""
_HASHES = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
_STRENGTH = ("SHA-512-256", "SHA-256", "MD5")


class Authenticator:
    """Credentials of one camera, and the challenge that they answer at present."""

    def __init__(self, username: str, password: str) -> None:
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
        """Remember the best challenge of these WWW-Authenticate headers; whether it is worth trying (again).

        No for a second challenge that does not say `stale`: the password is wrong, and cameras lock accounts.
        Raises: ProtocolError: the camera asks for something that we do not know.
        """
        headers = list(headers)
        if not headers:
            return False
        challenges = [challenge for header in headers for challenge in parse_challenges(header)]
        best = _best(challenges[:MAX_CHALLENGES])
        if best is None:
            raise ProtocolError("The camera asks for a kind of login that is neither Basic nor Digest.")
        scheme, parameters = best
        fresh_nonce = parameters.get("nonce") != self._parameters.get("nonce")
        stale = parameters.get("stale", "").lower() == "true" and fresh_nonce
        again, self._tried = not self._tried or stale, True
        self._scheme, self._parameters, self._count = scheme, parameters, 0
        return self.has_credentials and again

    def accept(self) -> None:
        """The camera took the credentials: its next challenge only means that the nonce is too old."""
        self._tried = False

    def header(self, method: str, uri: str) -> str | None:
        """The value of Authorization for this request; None before a challenge."""
        if self._scheme == "basic":
            return "Basic " + base64.b64encode(f"{self._username}:{self._password}".encode()).decode()
        return self._digest(method, uri) if self._scheme == "digest" else None

    def _digest(self, method: str, uri: str) -> str:
        given = self._parameters
        algorithm = given.get("algorithm", "")
        name, session = _algorithm(algorithm)
        realm, nonce = given.get("realm", ""), given.get("nonce", "")

        def digest(text: str) -> str:
            return hashlib.new(_HASHES[name], text.encode(), usedforsecurity=False).hexdigest()

        cnonce = secrets.token_hex(8)
        secret = digest(f"{self._username}:{realm}:{self._password}")
        if session:
            secret = digest(f"{secret}:{nonce}:{cnonce}")
        request = digest(f"{method}:{uri}")
        fields = [
            f'username="{_escape(self._username)}"',
            f'realm="{realm}"',  # still escaped, as it came
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
    """[(scheme in lower case, {parameter: value})] of one WWW-Authenticate header, which may hold several."""
    found: list[tuple[str, dict[str, str]]] = []
    for match in _TOKEN.finditer(header[:4096]):
        name, quoted, plain = match[1].lower(), match[2], match[3]
        if quoted is None and plain is None:
            found.append((name, {}))
        elif found:
            found[-1][1][name] = quoted if quoted is not None else plain
    return found


def _algorithm(text: str) -> tuple[str, bool]:
    """(name, whether it is the -sess form); the name is MD5 where none is said."""
    name = (text or "MD5").upper()
    session = name.endswith("-SESS")
    return name.removesuffix("-SESS"), session


def _best(challenges: list[tuple[str, dict[str, str]]]) -> tuple[str, dict[str, str]] | None:
    for strength in _STRENGTH:
        for scheme, parameters in challenges:
            if scheme == "digest" and _algorithm(parameters.get("algorithm", ""))[0] == strength:
                return scheme, parameters
    return next(((scheme, parameters) for scheme, parameters in challenges if scheme == "basic"), None)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "")

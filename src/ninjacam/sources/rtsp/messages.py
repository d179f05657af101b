"""Parses the heads of RTSP and HTTP/1 messages and writes requests, with limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ninjacam.core.errors import NotACameraError, ProtocolError

MAX_HEAD_BYTES = 16_384
MAX_BODY_BYTES = 131_072
MAX_HEADERS = 100
USER_AGENT = "Ninjacam"


@dataclass(frozen=True, slots=True)
class RtspMessage:
    """A response (`status` > 0) or a request from the camera (`status` 0, `method` and `uri` set)."""

    status: int
    reason: str
    method: str = ""
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""
    uri: str = field(default="", repr=False)

    def header(self, name: str, default: str = "") -> str:
        """Return the first value of a header; `name` in lower case."""
        values = self.headers.get(name)
        return values[0] if values else default

    @property
    def cseq(self) -> int | None:
        """Return the sender's sequence number; None: missing or malformed. Only a hint: some cameras send wrong
        numbers."""
        text = self.header("cseq")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def parse_head(head: bytes) -> tuple[RtspMessage, int]:
    """Return (the message without its body, the announced length of the body) from its bytes up to the empty line.

    Header values keep the received bytes: bytes that are not UTF-8 become lone surrogates ("surrogateescape"), which
    `checked_lines` converts back. A missing or malformed Content-Length counts as 0.
    Raises: ProtocolError: malformed or too long; NotACameraError: another protocol.
    """
    lines = head.decode("utf-8", "surrogateescape").split("\n")
    start = lines[0].strip()
    version, _, rest = start.partition(" ")
    if version.upper().startswith(("RTSP/", "HTTP/1.")):
        found = re.match(r"\s*([1-9]\d\d)(?!\d)\s*(.*)", rest, re.ASCII)
        if found is None:
            raise ProtocolError("The camera sent a malformed answer.")
        message = RtspMessage(int(found[1]), found[2].strip()[:80], headers=_parse_headers(lines[1:]))
    elif re.search(r"\sRTSP/\d[.\d]*\Z", start, re.ASCII | re.IGNORECASE):
        uri = rest.strip().partition(" ")[0]
        message = RtspMessage(0, "", version.upper()[:32], _parse_headers(lines[1:]), uri=uri)
    else:
        raise NotACameraError("Something responds there that does not speak RTSP: check the port.")
    text = message.header("content-length")
    return message, int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0


def _parse_headers(lines: list[str]) -> dict[str, list[str]]:
    if len(lines) > MAX_HEADERS:
        raise ProtocolError("The camera sent too many headers.")
    headers: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in lines:
        text = line.strip()
        if not text:
            continue
        if line[0] in " \t" and last:  # A folded line (RFC 2326, section 4.2).
            last[-1] += " " + text
            continue
        name, colon, value = text.partition(":")
        if colon:
            last = headers.setdefault(name.strip().lower(), [])
            last.append(value.strip())
    return headers


def format_request(method: str, uri: str, cseq: int, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {cseq}", f"User-Agent: {USER_AGENT}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return checked_lines(lines)


def format_response(
    request: RtspMessage, status: int, reason: str, headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    lines = [f"RTSP/1.0 {status} {reason}", f"CSeq: {request.cseq or 0}"]
    return checked_lines(lines + [f"{name}: {value}" for name, value in headers.items()])


def checked_lines(lines: list[str]) -> bytes:
    """Return the encoded head. Raises: ProtocolError: a value contains a line break, so a camera (or a URL) could
    inject headers."""
    if any("\r" in line or "\n" in line for line in lines):
        raise ProtocolError("The URL, or something the camera said, holds a line break.")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")

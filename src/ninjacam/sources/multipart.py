"""JPEG pictures out of a multipart/x-mixed-replace body (RFC 2046, 5.1), as cameras really write it."""

import re

from ninjacam.core.errors import ProtocolError

MAX_PART_HEADER_BYTES = 8_192
MAX_PICTURE_BYTES = 8 << 20
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"(?im)^content-length\s*:\s*(\d{1,9})\s*$")


def boundary_of(content_type: str) -> bytes:
    """The boundary without leading dashes, which cameras write in the header, in the body, or in both.

    Raises: ProtocolError: none is named.
    """
    found = re.search(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;]{1,200}))', content_type, re.IGNORECASE)
    boundary = (found[1] or found[2]).lstrip("-") if found else ""
    if not boundary:
        raise ProtocolError("The camera does not say how its pictures are separated.")
    return b"--" + boundary.encode("latin-1", "replace")


class MultipartParser:
    """Feed it bytes, take pictures. Holds at most one picture and what came with it."""

    def __init__(self, boundary: bytes) -> None:
        self._boundary = boundary
        self._buffer = bytearray()
        self._in_part = False
        self._length = -1
        self._scanned = 0
        self._skipped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The parts that are complete now, headers off; not checked to be JPEG.

        Raises: ProtocolError: a part, or what stands between two, is longer than it can be.
        """
        self._buffer += data
        parts: list[bytes] = []
        while True:
            part = self._take_part() if self._in_part else self._find_part()
            if part is None:
                return parts
            if part:
                parts.append(part)

    def _find_part(self) -> bytes | None:
        """Go behind the next boundary and its headers: b""; None where more bytes are needed."""
        buffer = self._buffer
        at = buffer.find(self._boundary)
        if at < 0:
            useless = max(0, len(buffer) - len(self._boundary))
            del buffer[:useless]
            self._skipped += useless
            if self._skipped > MAX_PICTURE_BYTES:
                raise ProtocolError("The camera sends no picture boundary.")
            return None
        end = _HEAD_END.search(buffer, at, at + MAX_PART_HEADER_BYTES)
        if end is None:
            if len(buffer) - at > MAX_PART_HEADER_BYTES:
                raise ProtocolError("The camera sends too long a header before a picture.")
            return None
        found = _LENGTH.search(buffer, at, end.end())
        self._length = int(found[1]) if found else -1
        if self._length > MAX_PICTURE_BYTES:
            raise ProtocolError("The camera announces a picture that is too large.")
        del buffer[: end.end()]
        self._in_part = True
        self._scanned = self._skipped = 0
        return b""

    def _take_part(self) -> bytes | None:
        buffer = self._buffer
        if self._length > 0:
            if len(buffer) < self._length:
                return None
            part = bytes(buffer[: self._length])
            del buffer[: self._length]
        else:
            at = buffer.find(self._boundary, self._scanned)
            if at < 0:
                if len(buffer) > MAX_PICTURE_BYTES:
                    raise ProtocolError("The camera sends a picture that is too large.")
                self._scanned = max(0, len(buffer) - len(self._boundary))
                return None
            part = bytes(buffer[:at])
            del buffer[:at]
        self._in_part = False
        return _trim(part)


def _trim(part: bytes) -> bytes:
    """The JPEG in a part, from its start to its end marker; the part as it is where there is none."""
    start, stop = part.find(_SOI), part.rfind(_EOI)
    return part[start : stop + 2] if 0 <= start < stop else part


class Dechunker:
    """Undoes Transfer-Encoding: chunked (RFC 9112, 7.1), piece by piece."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Raises: ProtocolError: malformed."""
        buffer = self._buffer
        buffer += data
        out = bytearray()
        while buffer and not self.ended:
            if self._left:
                piece = buffer[: self._left]
                out += piece
                self._left -= len(piece)
                del buffer[: len(piece)]
                continue
            at = buffer.find(b"\n")
            if at < 0:
                if len(buffer) > 1024:
                    raise ProtocolError("The camera breaks the HTTP chunk format.")
                break
            line = bytes(buffer[:at]).split(b";")[0].strip()
            del buffer[: at + 1]
            if not line:
                continue  # the line break behind a chunk
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", line):
                raise ProtocolError("The camera breaks the HTTP chunk format.")
            self._left = int(line, 16)
            self.ended = self._left == 0
        return bytes(out)

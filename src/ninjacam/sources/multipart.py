"""Extracts JPEG images from an HTTP body as cameras actually send it, and decodes the chunked transfer coding.

The parser relies on the markers at the beginning and end of a JPEG (ITU-T T.81, annex B). Boundaries, part headers
and Content-Length (RFC 2046, section 5.1) are hints: cameras send wrong ones, other ones than announced, or none.
"""

import re

from ninjacam.core.errors import ProtocolError
from ninjacam.core.texts import sentence

MAX_IMAGE_BYTES = 8 << 20
MAX_SEGMENTS = 256
"""Maximum number of segments of a JPEG before its first scan. Cameras write about ten."""
MAX_BETWEEN_BYTES = 8_192
"""Maximum number of retained bytes between two images."""
_START = b"\xff\xd8\xff"
_END = b"\xff\xd9"
_START_OR_END = re.compile(rb"\xff[\xd8\xd9]")
"""Both are markers inside of a scan, where 0xFF as data is followed by a zero."""
_START_OF_SCAN = 0xDA
_LENGTH = re.compile(rb"(?im)^content-length\s*:\s*(\d{1,9})\s*$")
_TYPE = re.compile(rb"(?im)^content-type\s*:\s*([a-z0-9.+-]{1,40}/[a-z0-9.+-]{1,40})")
_MIN_BOUNDARY_BYTES = 5
"""A shorter boundary may occur by chance in the tables of an image."""


def boundary_of(content_type: str) -> bytes:
    """Return the delimiter that the header announces, including the two leading dashes; b"" if it announces none.

    Cameras write the dashes in the header, in the body, or in both.
    """
    found = re.search(r'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;]{1,200}))', content_type, re.IGNORECASE)
    boundary = (found[1] or found[2]).strip(" '\"").lstrip("-") if found else ""
    return b"--" + boundary.encode("latin-1", "replace") if boundary else b""


class JpegParser:
    """Finds the images in a body that arrives in pieces. Buffers at most one image and the data received with it.

    `boundary`: the announced delimiter, or b"". It is used only to detect that an image was truncated within its
    header.
    """

    def __init__(self, boundary: bytes = b"") -> None:
        self._boundary = boundary if len(boundary) >= _MIN_BOUNDARY_BYTES else b""
        self._buffer = bytearray()
        self._between = b""
        self._skipped_bytes = 0
        self._at = 0  # Everything before this offset was processed.
        self._searched = 0  # Start of the search for the boundary.
        self._segments = -1  # -1: between images; else the number of segments before the scan.
        self._in_scan = False
        self._trusted_bytes = 0
        """The largest trusted Content-Length; 0 after a wrong one."""
        self._announced_bytes = 0
        self._retry_until = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the images that are complete now, and b"" for each one that was truncated or is malformed.

        Raises: ProtocolError: an image, or the data between two images, is too long.
        """
        self._buffer += data
        images: list[bytes] = []
        while self._step(images):
            pass
        return images

    def _step(self, images: list[bytes]) -> bool:
        """Advance by one state. Return False if more bytes are needed."""
        if self._segments < 0:
            return self._find_start()
        if not self._in_scan and not self._read_header(images):
            return False
        return not self._in_scan or self._find_end(images)

    def _find_start(self) -> bool:
        buffer = self._buffer
        at = buffer.find(_START)
        skipped = at if at >= 0 else max(0, len(buffer) - len(_START) + 1)
        if len(self._between) < MAX_BETWEEN_BYTES:
            self._between += buffer[: min(skipped, MAX_BETWEEN_BYTES)]
        self._skipped_bytes += skipped
        del buffer[:skipped]
        if at >= 0:
            self._begin()
        elif self._skipped_bytes > MAX_IMAGE_BYTES:
            found = _TYPE.search(self._between)
            kind = f" but parts of type {found[1].decode()}" if found else ""
            raise ProtocolError(
                sentence("The camera sends no JPEG images%(kind)s: use its MJPEG URL.", kind=kind)
            )
        return at >= 0

    def _begin(self) -> None:
        """Begin an image at the start of the buffer."""
        self._skipped_bytes = 0
        self._at, self._segments, self._in_scan, self._searched = 2, 0, False, 0
        found = _LENGTH.search(self._between)
        self._announced_bytes = int(found[1]) if found else 0

    def _read_header(self, images: list[bytes]) -> bool:
        """Skip segments by their lengths, because one of them may contain a thumbnail, which is a complete JPEG."""
        buffer, at = self._buffer, self._at
        while at + 4 <= len(buffer):
            marker = buffer[at + 1]
            if marker == 0xFF:  # A fill byte.
                at += 1
                continue
            length = int.from_bytes(buffer[at + 2 : at + 4], "big")
            # 0xD0 to 0xD9 have no length, and none of them occurs before the first scan.
            if buffer[at] != 0xFF or marker < 0xC0 or 0xD0 <= marker <= 0xD9 or length < 2:
                return self._reject(at, images)
            self._segments += 1
            at += 2 + length
            if self._segments > MAX_SEGMENTS:
                return self._reject(at, images)
            if marker == _START_OF_SCAN:
                self._in_scan = True
                break
        # Data is missing if a delimiter occurs before `at`: the image was truncated.
        cut_off = buffer.find(self._boundary, self._searched, at) if self._boundary else -1
        if cut_off >= 0:
            return self._reject(cut_off, images)
        self._searched = max(0, min(at, len(buffer)) - len(self._boundary))
        self._at = at
        self._check_size()
        return self._in_scan

    def _find_end(self, images: list[bytes]) -> bool:
        buffer, end = self._buffer, self._announced_bytes
        if self._at < end <= self._trusted_bytes:
            if len(buffer) < end:
                self._check_size()
                return False
            if buffer[end - 2 : end] == _END:
                self._take(end, images)
                return True
        found = _START_OR_END.search(buffer, self._at)
        if found is None:
            self._at = max(self._at, len(buffer) - 1)
            self._check_size()
            return False
        if found[0] != _END:  # The next image begins before this one has ended.
            images.append(b"")
            self._retry_until = 0
            self._forget(found.start())
            return True
        self._trusted_bytes = 2 * end if found.end() == end else 0
        self._take(found.end(), images)
        return True

    def _take(self, end: int, images: list[bytes]) -> None:
        with memoryview(self._buffer) as view:
            images.append(bytes(view[:end]))
        self._retry_until = 0
        self._forget(end)

    def _forget(self, size_bytes: int) -> None:
        del self._buffer[:size_bytes]
        self._between, self._segments, self._in_scan = b"", -1, False

    def _reject(self, at: int, images: list[bytes]) -> bool:
        """Skip data up to `at` that is not an image, unless another image begins inside.

        This is done once per range, so the cost of malicious data stays linear.
        """
        images.append(b"")
        at = max(2, min(at, len(self._buffer)), self._retry_until)
        inside = self._buffer.find(_START, 2, at) if not self._retry_until else -1
        self._retry_until = at - inside if inside >= 0 else 0
        self._forget(inside if inside >= 0 else at)
        return True

    def _check_size(self) -> None:
        if len(self._buffer) > MAX_IMAGE_BYTES:
            raise ProtocolError("The camera sends an image that is too large.")


class Dechunker:
    """Decodes Transfer-Encoding: chunked (RFC 9112, section 7.1), in pieces.

    A body that does not start with a chunk size is returned unchanged: the header was wrong.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._began = False
        self._is_plain = False
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """Raises: ProtocolError: malformed."""
        if self._is_plain:
            return data
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
            line = bytes(buffer[: max(at, 0)]).split(b";")[0].strip()
            is_size = re.fullmatch(rb"[0-9a-fA-F]{1,8}", line) is not None
            if at < 0 and len(buffer) <= 1024:
                break
            if not is_size and not self._began and (line or at < 0):
                self._is_plain = True
                return bytes(buffer)
            if at < 0 or (line and not is_size):
                raise ProtocolError("The camera violates the HTTP chunk format.")
            del buffer[: at + 1]
            if not line:
                continue  # The line break after a chunk.
            self._began = True
            self._left = int(line, 16)
            self.ended = self._left == 0
        return bytes(out)

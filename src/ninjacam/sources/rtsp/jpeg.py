"""MJPEG over RTP (RFC 2435): builds complete JFIF images from scan data and its short headers."""

from dataclasses import dataclass
from functools import lru_cache

from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.sources.access_units import MAX_ACCESS_UNIT_BYTES, SETTLE_NS, MarkerTrust
from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.rtp import Depacketizer
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import Emit

# RFC 2435, appendix A: the tables for Q = 50, in zigzag order.
_LUMA = bytes.fromhex(
    "100b0c0e0c0a100e0d0e1211101318281a181616183123251d283a333d3c3933"
    "383740485c4e404457453738506d51575f626768673e4d71797064785c656763"
)
_CHROMA = bytes.fromhex("1112121815182f1a1a2f63423842") + b"\x63" * 50
# RFC 2435, appendix B: the standard Huffman tables (T.81, K.3), as four DHT segments.
_HUFFMAN = bytes.fromhex(
    "ffc4001f0000010501010101010100000000000000000102030405060708090a0bffc400b510000201030302040305050404"
    "0000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a2526"
    "2728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586878889"
    "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4"
    "e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffc4001f0100030101010101010101010000000000000102030405060708090a0bff"
    "c400b51100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c1092333"
    "52f0156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a636465666768"
    "696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5"
    "c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)
_SCAN = bytes.fromhex("ffda000c03010002110311003f00")
_END = b"\xff\xd9"


@lru_cache(maxsize=99)
def quantization_tables(quality: int) -> bytes:
    """Return the luma and chroma tables for Q = 1..99 (RFC 2435, section 4.2), 64 bytes each."""
    quality = min(99, max(1, quality))
    factor = 5000 // quality if quality < 50 else 200 - quality * 2
    return bytes(min(255, max(1, (value * factor + 50) // 100)) for value in _LUMA + _CHROMA)


@dataclass(frozen=True, slots=True)
class JpegExtension:
    """Data of a header extension for the next image (ONVIF Streaming Specification, 5.1.4): JPEG segments that
    replace those derived by RFC 2435. Empty if missing; the size is (0, 0) without a frame header."""

    frame: bytes = b""
    tables: bytes = b""
    huffman: bytes = b""
    restart: bytes = b""
    size_px: tuple[int, int] = (0, 0)


_NO_EXTENSION = JpegExtension()
_JPEG_PROFILES = (0xFFD8, 0xFFFF)
_REPLAY_PROFILE = 0xABAC
_REPLAY_BYTES = 12


@lru_cache(maxsize=8)
def parse_extension(profile: int, data: bytes) -> JpegExtension:
    """Return the segments up to the first malformed one."""
    if profile == _REPLAY_PROFILE:  # Before a JPEG extension, if there is one, too.
        at = _REPLAY_BYTES
        profile = int.from_bytes(data[at : at + 2], "big")
        data = data[at + 4 : at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")]
    if profile not in _JPEG_PROFILES:
        return _NO_EXTENSION
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in (0xFF, 0xD8):  # Padding; the start of the image.
            at += 1 if data[at + 1] == 0xFF else 2
            continue
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if stop > len(data) or stop < at + 4:
            break
        kind = data[at + 1]
        found[kind] = found.get(kind, b"") + data[at:stop]
        at = stop
    frame = next((found[kind] for kind in (0xC0, 0xC1) if len(found.get(kind, b"")) >= 11), b"")
    size = (int.from_bytes(frame[7:9], "big"), int.from_bytes(frame[5:7], "big"))
    return JpegExtension(frame, found.get(0xDB, b""), found.get(0xC4, b""), found.get(0xDD, b""), size)


def jfif_header(
    kind: int,
    width_px: int,
    height_px: int,
    tables: bytes,
    precision: int,
    restart: int,
    extension: JpegExtension = _NO_EXTENSION,
) -> bytes:
    """Return a JPEG's headers up to its scan data. `kind` 0: 4:2:2, 1: 4:2:0; `precision` bit n: table n has 16-bit
    values."""
    parts = [b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"]
    at = index = 0
    while at < len(tables) and index < 4:
        size = 128 if precision >> index & 1 else 64
        table = tables[at : at + size]
        if len(table) < size:
            break
        parts.append(
            b"\xff\xdb" + (3 + len(table)).to_bytes(2, "big") + bytes([(size == 128) << 4 | index]) + table
        )
        at += size
        index += 1
    parts.append(extension.tables)
    if extension.restart:
        parts.append(extension.restart)
    elif restart:
        parts.append(b"\xff\xdd\x00\x04" + restart.to_bytes(2, "big"))
    chroma_table = 1 if index > 1 else 0
    parts.append(
        extension.frame
        or b"\xff\xc0\x00\x11\x08"
        + height_px.to_bytes(2, "big")
        + width_px.to_bytes(2, "big")
        + bytes([3, 1, 0x22 if kind & 1 else 0x21, 0, 2, 0x11, chroma_table, 3, 0x11, chroma_table])
    )
    parts += (extension.huffman or _HUFFMAN, _SCAN)
    return b"".join(parts)


class JpegDepacketizer(Depacketizer):
    """`size_px`: from the SDP, for images larger than the 2040 pixels that packets can express.

    An image ends where its data ends, where the next one begins, or at the marker if it has been right before.
    """

    def __init__(
        self, emit: Emit, stats: SourceStats, clock: TrackClock, size_px: tuple[int, int] = (0, 0)
    ) -> None:
        self._emit = emit
        self._stats = stats
        self._clock = clock
        self._size_px = size_px
        self._scan = bytearray()
        self._pts = -1
        self._head = b""
        self._head_key: tuple[int, int, int, int, int, bytes, JpegExtension] | None = None
        self._size = (0, 0)
        self._tables: dict[int, tuple[int, bytes]] = {}
        self._extension = _NO_EXTENSION
        self._trust = MarkerTrust()
        self._closed_pts = -1
        self._damaged = False
        self._missing = False
        self._last_size = (0, 0)

    def gap(self) -> None:
        self._missing = True
        self._trust.pending = -1
        if self._scan:
            self._damaged = True

    def restart(self) -> None:
        self._missing = True

    def settle(self, now_ns: int) -> None:
        if self._trust.pending >= 0 and now_ns - self.received_ns > SETTLE_NS:
            self._close()

    def take_extension(self, profile: int, data: bytes) -> None:
        extension = parse_extension(profile, data)
        if extension is not _NO_EXTENSION:
            self._extension = extension

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        if stop - start >= 8:
            offset = data[start + 1] << 16 | data[start + 2] << 8 | data[start + 3]
            self._turn(pts, offset)
            body = self._read_headers(data, start, stop, offset)
            if body < 0 or offset != len(self._scan) or offset > MAX_ACCESS_UNIT_BYTES:
                self._damaged = True
            else:
                self._scan += data[body:stop]
        self.received_ns = received_ns
        if (
            marker
            and pts == self._pts
            and (self._scan or self._damaged)
            and (self._ends() or self._trust.believes(0))
        ):
            self._close()

    def _turn(self, pts: int, offset: int) -> None:
        """Begin another picture if a packet with data at `offset` of the picture at `pts` does not belong to the
        current one."""
        if pts != self._pts or (not offset and self._scan):
            if self._scan or self._damaged:
                self._trust.confirm()
                self._close()
            self._pts = pts
        elif self._trust.pending >= 0:
            self._trust.disprove(self._trust.pending)
        elif offset and not self._scan and pts == self._closed_pts:
            self._trust.disprove(0)

    def _ends(self) -> bool:
        """Return whether the data ends with the end of an image."""
        return self._scan.endswith(_END) or (
            not self._scan[-1:].strip(b"\x00") and self._scan.rstrip(b"\x00").endswith(_END)
        )

    def _read_headers(self, data: memoryview, start: int, stop: int, offset: int) -> int:
        """Return the start of the scan data; -1: malformed. The first packet of an image creates its JFIF header."""
        kind, quality = data[start + 4], data[start + 5]
        at = start + 8
        restart = 0
        if 64 <= kind <= 127:
            if at + 4 > stop:
                return -1
            restart = data[at] << 8 | data[at + 1]
            at += 4
        if offset:
            return at
        extension, self._extension = self._extension, _NO_EXTENSION
        size = self._find_size(extension, data[start + 6] * 8, data[start + 7] * 8)
        if (kind & 0x3F > 1 and not extension.frame) or kind > 127 or not all(size) or not quality:
            return -1
        precision, tables = 0, quantization_tables(quality)
        if quality >= 128:
            at, precision, tables = self._read_tables(data, at, stop, quality)
        if at < 0 or (len(tables) < 64 and not extension.tables):
            return -1
        key = (kind, *size, restart, precision, tables, extension)
        if key != self._head_key:
            self._head_key = key
            self._head = jfif_header(kind, *size, tables, precision, restart, extension)
        self._size = size
        return at

    def _find_size(self, extension: JpegExtension, width_px: int, height_px: int) -> tuple[int, int]:
        """Return the size from the extension, else from the packet, else from the SDP."""
        return (
            extension.size_px[0] or width_px or self._size_px[0],
            extension.size_px[1] or height_px or self._size_px[1],
        )

    def _read_tables(self, data: memoryview, at: int, stop: int, quality: int) -> tuple[int, int, bytes]:
        """Return the end of the tables at `at` (-1: malformed), their precision and the tables.

        Tables of a `quality` below 255 apply to later pictures without tables (RFC 2435, 3.1.8).
        """
        length = data[at + 2] << 8 | data[at + 3] if at + 4 <= stop else -1
        behind = at + 4 + length
        if not 0 <= length <= 512 or behind > stop:
            return -1, 0, b""
        precision, tables = data[at + 1], bytes(data[at + 4 : behind])
        if tables and quality < 255:
            self._tables[quality] = (precision, tables)
        elif not tables:
            precision, tables = self._tables.get(quality, (0, b""))
        return behind, precision, tables

    def _close(self) -> None:
        if self._damaged or not self._scan:
            self._stats.access_units_dropped += 1
            self._missing = True
        else:
            self._deliver()
        self._closed_pts = self._pts
        self._scan.clear()
        self._damaged = False
        self._trust.pending = -1

    def _deliver(self) -> None:
        scan = self._scan
        end = b"" if self._ends() else _END
        flags = Flags.KEY
        if self._size != self._last_size:
            flags |= Flags.CONFIG
        if self._missing and self._last_size[0]:
            flags |= Flags.DISCONT
        self._missing = False
        self._last_size = self._size
        self._emit(
            Packet(
                Kind.VIDEO,
                Codec.MJPEG,
                b"".join((self._head, scan, end)),
                self._pts,
                self.received_ns,
                flags=flags,
                captured_ns=self._clock.captured_ns(self._pts),
                width_px=self._size[0],
                height_px=self._size[1],
            )
        )

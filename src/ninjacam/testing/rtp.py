"""Access units into RTP payloads, and RTP and RTCP headers (RFC 3550).

H.264: RFC 6184; H.265: RFC 7798; JPEG: RFC 2435; AAC: RFC 3640 (AAC-hbr); G.711: RFC 3551.
"""

import struct
from collections.abc import Sequence

from ninjacam.codecs.bitstream import nal_type, split_annexb
from ninjacam.core.packets import Codec
from ninjacam.testing.clips import Clip

MTU_BYTES = 1400
NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900 to 1970."""
DYNAMIC_PAYLOAD_TYPE = 96
PARAMETER_SET_TYPES = {Codec.H264: (7, 8), Codec.H265: (32, 33, 34)}
_STATIC_PAYLOAD_TYPES = {Codec.MJPEG: 26, Codec.PCMA: 8, Codec.PCMU: 0}
_DELIMITERS = {Codec.H264: 9, Codec.H265: 35}

INTERLEAVED_HEADER = struct.Struct("!BBHBBHII")
"""RFC 2326, section 10.12, and the RTP header behind it in one: "$", channel, length, V, M+PT, sequence, time, SSRC."""


def payload_type(codec: Codec, track_index: int) -> int:
    return _STATIC_PAYLOAD_TYPES.get(codec, DYNAMIC_PAYLOAD_TYPE + track_index)


def payloads(
    codec: Codec, data: bytes, *, aggregate: bool = True, parameter_sets: bool = True
) -> list[bytes]:
    """The RTP payloads of one access unit; the last one gets the marker.

    `aggregate`: pack consecutive small NAL units into one packet (STAP-A, AP).
    `parameter_sets`: False leaves them out, as cameras do that send them in the SDP only.
    """
    if codec in PARAMETER_SET_TYPES:
        left_out = {_DELIMITERS[codec], *(() if parameter_sets else PARAMETER_SET_TYPES[codec])}
        nals = [nal for nal in split_annexb(data) if nal_type(codec, nal[0]) not in left_out]
        return _nal_payloads(codec, nals, aggregate)
    if codec is Codec.MJPEG:
        return jpeg_payloads(data)
    if codec is Codec.AAC:
        return [struct.pack("!HH", 16, len(data) << 3) + data]  # one AU header: 13 bits of size, 3 of index
    return [data]


def _nal_payloads(codec: Codec, nals: Sequence[bytes], aggregate: bool) -> list[bytes]:
    out: list[bytes] = []
    group: list[bytes] = []

    def flush() -> None:
        if len(group) == 1:
            out.append(group[0])
        elif group:
            out.append(_aggregate(codec, group))
        group.clear()

    for nal in nals:
        if len(nal) > MTU_BYTES:
            flush()
            out += _fragments(codec, nal)
            continue
        if not aggregate or sum(len(member) + 2 for member in group) + len(nal) + 4 > MTU_BYTES:
            flush()
        group.append(nal)
    flush()
    return out


def _aggregate(codec: Codec, nals: Sequence[bytes]) -> bytes:
    h264 = codec is Codec.H264
    head = bytes([max(nal[0] & 0x60 for nal in nals) | 24]) if h264 else bytes([48 << 1, 1])
    return head + b"".join(struct.pack("!H", len(nal)) + nal for nal in nals)


def _fragments(codec: Codec, nal: bytes) -> list[bytes]:
    """FU-A (RFC 6184, 5.8) or FU (RFC 7798, 4.4.3)."""
    if codec is Codec.H264:
        indicator, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, nal[1:]
    else:
        indicator, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), (nal[0] >> 1) & 63, nal[2:]
    step = MTU_BYTES - 3
    out = []
    for at in range(0, len(body), step):
        flags = (0x80 if at == 0 else 0) | (0x40 if at + step >= len(body) else 0)
        out.append(indicator + bytes([flags | kind]) + body[at : at + step])
    return out


def jpeg_payloads(data: bytes) -> list[bytes]:
    """RFC 2435, Q=255 (tables in band). `data`: baseline 4:2:0 or 4:2:2 JPEG with the standard Huffman tables.

    Raises: ValueError: a JPEG that RFC 2435 cannot carry.
    """
    kind, width, height, restart, tables, scan = parse_jpeg(data)
    if not width or max(width, height) > 2040:
        raise ValueError("RFC 2435 carries baseline JPEGs of at most 2040 x 2040 pixels.")
    restart_header = struct.pack("!HH", restart, 0xFFFF) if restart else b""
    table_header = struct.pack("!BBH", 0, 0, len(tables)) + tables
    out, at = [], 0
    while at < len(scan):
        head = struct.pack("!IBBBB", at, kind + (64 if restart else 0), 255, -(-width // 8), -(-height // 8))
        head += restart_header + (table_header if at == 0 else b"")
        piece = scan[at : at + MTU_BYTES - len(head)]
        out.append(head + piece)
        at += len(piece)
    return out


def parse_jpeg(data: bytes) -> tuple[int, int, int, int, bytes, bytes]:
    """(RFC 2435 type, width, height, restart interval, quantisation tables, scan)."""
    at, kind, width, height, restart = 2, 1, 0, 0, 0
    tables: dict[int, bytes] = {}
    while at < len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDB:
            while body:
                tables[body[0] & 15], body = body[1:65], body[65:]
        elif marker == 0xC0:
            height, width = struct.unpack("!HH", body[1:5])
            kind = 1 if body[7] == 0x22 else 0
        elif marker == 0xDD:
            restart = int.from_bytes(body[:2], "big")
        elif marker == 0xDA:
            break
    end = data.rfind(b"\xff\xd9")
    return kind, width, height, restart, b"".join(tables[n] for n in sorted(tables)), data[at:end]


class PayloadCache:
    """The payloads of clips, made once however many streams play them. Owner: a camera."""

    def __init__(self, *, aggregate: bool) -> None:
        self._aggregate = aggregate
        self._made: dict[tuple[Clip, bool], list[list[list[bytes]]]] = {}

    def of(self, clip: Clip, *, parameter_sets: bool = True) -> list[list[list[bytes]]]:
        """For each track, for each unit: what `payloads` makes of it. Raises: ValueError: RTP cannot carry it."""
        key = (clip, parameter_sets)
        if key not in self._made:
            self._made[key] = [
                [
                    payloads(track.codec, unit.data, aggregate=self._aggregate, parameter_sets=parameter_sets)
                    for unit in track.units
                ]
                for track in clip.tracks
            ]
        return self._made[key]


def sender_report(ssrc: int, *, wall_s: float, rtp_time: int, packets: int, octets: int) -> bytes:
    """RFC 3550, section 6.4.1, followed by an SDES with an empty CNAME."""
    ntp = int((wall_s + NTP_EPOCH_S) * (1 << 32))
    report = struct.pack(
        "!BBHIIIIII",
        0x80, 200, 6, ssrc, (ntp >> 32) & 0xFFFFFFFF, ntp & 0xFFFFFFFF,
        rtp_time & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF,
    )  # fmt: skip
    return report + struct.pack("!BBHIBBH", 0x81, 202, 2, ssrc, 1, 0, 0)


def goodbye(ssrc: int) -> bytes:
    return struct.pack("!BBHI", 0x81, 203, 1, ssrc)


def count_receiver_reports(data: bytes) -> int:
    """How many RTCP receiver reports a compound packet holds."""
    found, at = 0, 0
    while at + 4 <= len(data):
        found += data[at + 1] == 201
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    return found

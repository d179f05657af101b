"""Packet sequences for unit tests, made without an encoder: also those that no encoder can produce.

The access units look like H.264 (parameter sets are real, slices have real types and then counting bytes), and no
decoder can show them. Build a sequence with `video_packets`, then damage it: `jumped`, `paused`, `lost`, `joined`.
"""

from collections.abc import Iterable, Sequence

from ninjacam.codecs.bitstream import START_CODE
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Flags, Kind, Packet

START_NS = 1_000_000_000_000
"""The monotonic time at which `FakeClock` starts too."""


class _Bits:
    def __init__(self) -> None:
        self.text = ""

    def u(self, bits: int, value: int) -> None:
        self.text += f"{value:0{bits}b}"

    def ue(self, value: int) -> None:
        """Exp-Golomb (ITU-T H.264, 9.1)."""
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code

    def rbsp(self) -> bytes:
        text = self.text + "1"
        text += "0" * (-len(text) % 8)
        raw = bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))
        out = bytearray()
        for byte in raw:  # emulation prevention (ITU-T H.264, 7.4.1)
            if byte <= 3 and out[-2:] == b"\0\0":
                out.append(3)
            out.append(byte)
        return bytes(out)


def h264_sps(width_px: int, height_px: int) -> bytes:
    """A sequence parameter set of Constrained Baseline, level 3.1, without start code (ITU-T H.264, 7.3.2.1.1)."""
    bits = _Bits()
    bits.u(24, 0x42C01F)
    for value in (0, 0, 2, 1):  # id, log2_max_frame_num - 4, pic_order_cnt_type, max_num_ref_frames
        bits.ue(value)
    bits.u(1, 0)
    columns, rows = -(-width_px // 16), -(-height_px // 16)
    bits.ue(columns - 1)
    bits.ue(rows - 1)
    bits.u(2, 0b11)  # frame_mbs_only, direct_8x8_inference
    right, bottom = (columns * 16 - width_px) // 2, (rows * 16 - height_px) // 2
    bits.u(1, int(bool(right or bottom)))
    if right or bottom:
        for value in (0, right, 0, bottom):
            bits.ue(value)
    bits.u(1, 0)  # no VUI
    return b"\x67" + bits.rbsp()


_COUNTING = bytes(range(4, 255))
"""No byte under 4: needs no emulation prevention."""
H264_PPS = bytes.fromhex("68ce3c80")


def access_unit(
    *,
    key: bool,
    number: int = 0,
    width_px: int = 640,
    height_px: int = 360,
    size_bytes: int = 1000,
    b: bool = False,
) -> bytes:
    """One frame in Annex B; a key frame has its parameter sets in band. `b`: a B slice that nothing refers to."""
    first = number % len(_COUNTING)
    body = (_COUNTING * (size_bytes // len(_COUNTING) + 2))[first : first + size_bytes]
    if key:
        head = START_CODE + h264_sps(width_px, height_px) + START_CODE + H264_PPS
        return head + START_CODE + b"\x65\x88" + body
    return START_CODE + (b"\x01\x9e" if b else b"\x41\x9a") + body


def video_packets(
    count: int,
    *,
    fps: float = 25.0,
    gop: int = 25,
    width_px: int = 640,
    height_px: int = 360,
    size_bytes: int = 1000,
    first_pts: int = 0,
    first_received_ns: int = START_NS,
    bframes: int = 0,
) -> list[Packet]:
    """A healthy camera, in the order of decoding; 0 is a key frame, each comes one frame interval after the last.

    `bframes`: so many B-frames between two reference frames; pts then runs ahead of dts.
    """
    step = round(VIDEO_CLOCK_HZ / fps)
    step_ns = round(1e9 / fps)
    shown = _presentation_order(count, gop, bframes)
    out = []
    for number in range(count):
        key = number % gop == 0
        is_b = bframes > 0 and shown[number] < number
        dts = first_pts + number * step
        pts = first_pts + (shown[number] + bool(bframes)) * step
        out.append(
            Packet(
                kind=Kind.VIDEO,
                codec=Codec.H264,
                data=access_unit(
                    key=key,
                    number=number,
                    width_px=width_px,
                    height_px=height_px,
                    size_bytes=size_bytes,
                    b=is_b,
                ),
                pts=pts,
                dts_offset=pts - dts,
                received_ns=first_received_ns + number * step_ns,
                duration=step,
                flags=(Flags.KEY if key else Flags.NONE) | (Flags.CONFIG if number == 0 else Flags.NONE),
                sequence=number,
                width_px=width_px,
                height_px=height_px,
            )
        )
    return out


def _presentation_order(count: int, gop: int, bframes: int) -> list[int]:
    """For each place in the order of decoding, its place in the order of showing: I P b b P b b, GOP by GOP."""
    out: list[int] = []
    while len(out) < count:
        start, end = len(out), min(len(out) + gop, count)
        out.append(start)
        at = start + 1
        while at < end:
            reference = min(at + bframes, end - 1)
            out.append(reference)
            out += range(at, reference)
            at = reference + 1
    return out


def audio_packets(count: int, *, first_received_ns: int = START_NS, first_pts: int = 0) -> list[Packet]:
    """G.711 A-law, 20 ms a packet."""
    return [
        Packet(
            kind=Kind.AUDIO,
            codec=Codec.PCMA,
            data=b"\xd5" * 160,
            pts=first_pts + number * 160,
            time_base_hz=8000,
            duration=160,
            received_ns=first_received_ns + number * 20_000_000,
            flags=Flags.KEY,
            sequence=number,
        )
        for number in range(count)
    ]


def jumped(packets: Sequence[Packet], at: int, seconds: float) -> list[Packet]:
    """The camera's clock jumps before packet `at`; the packets arrive as evenly as before."""
    return [
        packet._replace(pts=packet.pts + round(seconds * packet.time_base_hz)) if number >= at else packet
        for number, packet in enumerate(packets)
    ]


def paused(packets: Sequence[Packet], at: int, seconds: float) -> list[Packet]:
    """Nothing comes for `seconds` before packet `at`; the camera's clock continues."""
    later = [
        packet._replace(received_ns=packet.received_ns + round(seconds * 1e9)) for packet in packets[at:]
    ]
    return [*packets[:at], *jumped(later, 0, seconds)]


def lost(packets: Sequence[Packet], at: int, count: int = 1) -> list[Packet]:
    """Packets `at` ... `at + count - 1` never come; the next one is marked DISCONT."""
    rest = packets[at + count :]
    return [
        *packets[:at],
        *(p._replace(flags=p.flags | Flags.DISCONT) if n == 0 else p for n, p in enumerate(rest)),
    ]


def joined(first: Sequence[Packet], *others: Sequence[Packet]) -> list[Packet]:
    """One after the other on one time line (a resolution that changes): each sequence's first packet gets CONFIG."""
    out = list(first)
    for other in others:
        last, start = out[-1], other[0]
        for packet in other:
            out.append(
                packet._replace(
                    pts=packet.pts - start.pts + last.pts + last.duration,
                    received_ns=packet.received_ns
                    - start.received_ns
                    + last.received_ns
                    + last.duration * 1_000_000_000 // last.time_base_hz,
                    sequence=len(out),
                    flags=packet.flags | (Flags.CONFIG if packet is start else Flags.NONE),
                )
            )
    return out


def in_arrival_order(*sequences: Iterable[Packet]) -> list[Packet]:
    """Video and audio together, as one source delivers them."""
    return sorted(
        (packet for sequence in sequences for packet in sequence), key=lambda packet: packet.received_ns
    )

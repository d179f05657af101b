"""Sequence parameter sets of H.264 and H.265, read bit by bit. Callers use `ninjacam.codecs.bitstream`.

Sources: ITU-T H.264 (7.3.2.1, E.1), H.265 (7.3.2.2, 7.3.3), ISO/IEC 14496-15 (E.3), RFC 6381.
"""

from dataclasses import dataclass

from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec

MAX_PARAMETER_SET_BYTES = 1024
MAX_SIDE_PX = 16_384
MAX_PIXELS = 139_264 * 256
"""Maximum of H.264's highest level, 6.2 (table A-1): 8192 x 4352. Larger pictures of a few bytes could take
gigabytes of memory."""
MIN_FPS, MAX_FPS = 0.1, 240.0
"""Range of plausible frame rates. Other values are placeholders of the encoder."""

H264_SPS, H265_VPS, H265_SPS = 7, 32, 33
# Profiles whose SPS carries the chroma format (H.264, 7.3.2.1.1).
_H264_CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})


def nal_type(codec: Codec, first_byte: int) -> int:
    return first_byte & 0x1F if codec is Codec.H264 else first_byte >> 1 & 0x3F


@dataclass(frozen=True, slots=True)
class SpsInfo:
    """A parsed sequence parameter set. `width_px` x `height_px`: after cropping.

    `max_reorder`: how many pictures may precede one that is displayed earlier; None: not specified.
    `fps`: H.264 only: frames per second; 0: not specified.
    `may_have_fields`: H.264 only: pictures may be interlaced; `frame_num_bits` and `has_separate_planes` are then
    needed to parse slice headers (`bitstream.field_of`). `profile_tier_level`: H.265 only, the 12 bytes that hvcC
    repeats. `codec_string`: RFC 6381, "avc1.64001f".
    """

    codec: Codec
    width_px: int
    height_px: int
    profile_idc: int
    level_idc: int
    codec_string: str
    max_reorder: int | None
    chroma_format_idc: int = 1
    bit_depth_luma: int = 8
    bit_depth_chroma: int = 8
    profile_tier_level: bytes = b""
    may_have_fields: bool = False
    frame_num_bits: int = 4
    has_separate_planes: bool = False
    fps: float = 0.0


def parse_sps(codec: Codec, nal: bytes) -> SpsInfo:
    """Parse a sequence parameter set. Raises: DecodeError: not an SPS of this codec, malformed, or of an
    unreasonable size."""
    if codec is Codec.H264:
        return parse_h264_sps(nal)
    if codec is Codec.H265:
        return parse_h265_sps(nal)
    raise DecodeError(f"{codec.label} has no sequence parameter set.")


class BitReader:
    """Reads big-endian bits and Exp-Golomb codes. Reading beyond the end raises DecodeError."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def bits(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise DecodeError("A parameter set ends prematurely.")
        return self._value >> self._left & (1 << count) - 1

    def skip(self, count: int) -> None:
        self.bits(count)

    def ue(self, most: int = 0xFFFF_FFFE) -> int:
        zeros = 0
        while not self.bits(1):
            zeros += 1
            if zeros > 31:
                raise DecodeError("A parameter set contains a number out of range.")
        value = (1 << zeros) - 1 + self.bits(zeros)
        if value > most:
            raise DecodeError("A parameter set contains a number out of range.")
        return value

    def se(self) -> int:
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _open_nal(codec: Codec, nal: bytes) -> BitReader:
    header = 1 if codec is Codec.H264 else 2
    if not header < len(nal) <= MAX_PARAMETER_SET_BYTES:
        raise DecodeError("A parameter set has an invalid length.")
    # Removes emulation prevention bytes (7.4.1).
    return BitReader(nal[header:].replace(b"\x00\x00\x03", b"\x00\x00"))


def checked_size(width_px: int, height_px: int) -> tuple[int, int]:
    sides = 0 < width_px <= MAX_SIDE_PX and 0 < height_px <= MAX_SIDE_PX
    if not sides or width_px * height_px > MAX_PIXELS:
        raise DecodeError(f"A parameter set specifies {width_px}x{height_px} pixels, which is invalid.")
    return width_px, height_px


def parse_h264_sps(nal: bytes) -> SpsInfo:
    """`nal`: with its header byte. Raises: DecodeError."""
    reader = _open_nal(Codec.H264, nal)
    if nal[0] & 0x1F != H264_SPS:
        raise DecodeError("This NAL unit is not a sequence parameter set.")
    profile_idc, constraints, level_idc = reader.bits(8), reader.bits(8), reader.bits(8)
    reader.ue(31)
    chroma, separate_planes, depth_luma, depth_chroma = 1, 0, 8, 8
    if profile_idc in _H264_CHROMA_PROFILES:
        chroma = reader.ue(3)
        separate_planes = reader.bits(1) if chroma == 3 else 0
        depth_luma, depth_chroma = 8 + reader.ue(6), 8 + reader.ue(6)
        reader.skip(1)
        if reader.bits(1):
            _skip_scaling_lists(reader, 12 if chroma == 3 else 8)
    frame_num_bits = reader.ue(12) + 4
    order_type = reader.ue(2)
    _skip_order_count(reader, order_type)
    reader.ue(16)
    reader.skip(1)
    width_px = (reader.ue(MAX_SIDE_PX // 16) + 1) * 16
    map_units = reader.ue(MAX_SIDE_PX // 16) + 1
    frames_only = reader.bits(1)
    if not frames_only:
        reader.skip(1)
    reader.skip(1)
    height_px = map_units * 16 * (2 - frames_only)
    if reader.bits(1):
        across = 2 if chroma in (1, 2) and not separate_planes else 1
        down = (2 if chroma == 1 and not separate_planes else 1) * (2 - frames_only)
        width_px -= across * (reader.ue() + reader.ue())
        height_px -= down * (reader.ue() + reader.ue())
    width_px, height_px = checked_size(width_px, height_px)
    fps, max_reorder = _read_h264_vui(reader)
    never_reorders = profile_idc == 66 or order_type == 2
    return SpsInfo(
        codec=Codec.H264,
        width_px=width_px,
        height_px=height_px,
        profile_idc=profile_idc,
        level_idc=level_idc,
        codec_string=f"avc1.{profile_idc:02x}{constraints:02x}{level_idc:02x}",
        max_reorder=0 if never_reorders else max_reorder,
        chroma_format_idc=chroma,
        bit_depth_luma=depth_luma,
        bit_depth_chroma=depth_chroma,
        may_have_fields=not frames_only,
        frame_num_bits=frame_num_bits,
        has_separate_planes=bool(separate_planes),
        fps=fps,
    )


def _skip_order_count(reader: BitReader, order_type: int) -> None:
    """Skip the fields of the picture order count that depend on its type."""
    if order_type == 0:
        reader.ue(12)
    elif order_type == 1:
        reader.skip(1)
        reader.se()
        reader.se()
        for _ in range(reader.ue(255)):
            reader.se()


def _skip_scaling_lists(reader: BitReader, count: int) -> None:
    for index in range(count):
        if not reader.bits(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + reader.se()) % 256
            last = following or last


def _read_h264_vui(reader: BitReader) -> tuple[float, int | None]:
    """Return (frames per second, 0 if not specified; max_num_reorder_frames, None if not specified) (E.2.1).

    Malformed VUIs are common, so they are not errors.
    """
    fps = 0.0
    try:
        if not reader.bits(1):
            return fps, None
        if reader.bits(1) and reader.bits(8) == 255:
            reader.skip(32)
        if reader.bits(1):
            reader.skip(1)
        if reader.bits(1):
            reader.skip(4)
            if reader.bits(1):
                reader.skip(24)
        if reader.bits(1):
            reader.ue()
            reader.ue()
        if reader.bits(1):
            fps = _frame_rate(reader.bits(32), reader.bits(32))
            reader.skip(1)
        nal_hrd = _skip_hrd(reader)
        if _skip_hrd(reader) or nal_hrd:
            reader.skip(1)
        reader.skip(1)
        if not reader.bits(1):
            return fps, None
        reader.skip(1)
        for _ in range(4):
            reader.ue()
        return fps, reader.ue(16)
    except DecodeError:
        return fps, None


def _frame_rate(units_in_tick: int, time_scale: int) -> float:
    """Return the frame rate for ticks of one field each (E.2.1); 0 if it is not plausible."""
    fps = time_scale / (2 * units_in_tick) if units_in_tick else 0.0
    return fps if MIN_FPS <= fps <= MAX_FPS else 0.0


def _skip_hrd(reader: BitReader) -> bool:
    if not reader.bits(1):
        return False
    count = reader.ue(31) + 1
    reader.skip(8)
    for _ in range(count):
        reader.ue()
        reader.ue()
        reader.skip(1)
    reader.skip(20)
    return True


def _skip_h265_profile(reader: BitReader) -> tuple[int, bytes]:
    """Return (max_sub_layers_minus1, the 12 bytes of general profile, tier and level); the reader is positioned
    after them.
    """
    reader.skip(4)
    layers = reader.bits(3)
    if layers > 6:
        raise DecodeError("A parameter set has too many sub-layers.")
    reader.skip(1)
    general = reader.bits(96).to_bytes(12, "big")
    present = [(reader.bits(1), reader.bits(1)) for _ in range(layers)]
    if layers:
        reader.skip(2 * (8 - layers))
    for profile, level in present:
        reader.skip(88 * profile + 8 * level)
    return layers, general


def parse_h265_sps(nal: bytes) -> SpsInfo:
    """`nal`: with its two header bytes. Raises: DecodeError."""
    reader = _open_nal(Codec.H265, nal)
    if nal[0] >> 1 & 0x3F != H265_SPS:
        raise DecodeError("This NAL unit is not a sequence parameter set.")
    layers, general = _skip_h265_profile(reader)
    reader.ue(15)
    chroma = reader.ue(3)
    separate_planes = reader.bits(1) if chroma == 3 else 0
    width_px, height_px = reader.ue(MAX_SIDE_PX), reader.ue(MAX_SIDE_PX)
    if reader.bits(1):
        across = 2 if chroma in (1, 2) and not separate_planes else 1
        down = 2 if chroma == 1 and not separate_planes else 1
        width_px -= across * (reader.ue() + reader.ue())
        height_px -= down * (reader.ue() + reader.ue())
    width_px, height_px = checked_size(width_px, height_px)
    depth_luma, depth_chroma = 8 + reader.ue(8), 8 + reader.ue(8)
    reader.ue(12)
    reorder = 0
    for _ in range(layers + 1 if reader.bits(1) else 1):
        reader.ue()
        reorder = reader.ue(16)
        reader.ue()
    return SpsInfo(
        codec=Codec.H265,
        width_px=width_px,
        height_px=height_px,
        profile_idc=general[0] & 0x1F,
        level_idc=general[11],
        codec_string=_h265_codec_string(general),
        max_reorder=reorder,
        chroma_format_idc=chroma,
        bit_depth_luma=depth_luma,
        bit_depth_chroma=depth_chroma,
        profile_tier_level=general,
    )


def _h265_codec_string(general: bytes) -> str:
    """Return the codec string (ISO/IEC 14496-15, E.3): "hvc1.1.6.L120.90"."""
    space = ("", "A", "B", "C")[general[0] >> 6]
    tier = "H" if general[0] & 0x20 else "L"
    compatibility = int(f"{int.from_bytes(general[1:5], 'big'):032b}"[::-1], 2)
    constraints = general[5:11].rstrip(b"\x00")
    parts = [f"hvc1.{space}{general[0] & 0x1F}", f"{compatibility:x}", f"{tier}{general[11]}"]
    return ".".join(parts + [f"{byte:x}" for byte in constraints])


def parameter_set_id(codec: Codec, nal: bytes) -> int:
    """Return the identifier of a VPS, SPS or PPS. A new parameter set replaces the one with the same type and id.

    Raises: DecodeError: malformed.
    """
    reader = _open_nal(codec, nal)
    kind = nal_type(codec, nal[0])
    if codec is Codec.H264:
        if kind == H264_SPS:
            reader.skip(24)
        return reader.ue(255)
    if kind == H265_VPS:
        return reader.bits(4)
    if kind == H265_SPS:
        _skip_h265_profile(reader)
    return reader.ue(63)

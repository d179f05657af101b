"""Parses compressed pictures: NAL units, parameter sets, sizes, codec strings.

Input comes from cameras, so it is untrusted: all of it is bounded, and malformed data raises DecodeError. Sources:
ITU-T H.264 (annex B), H.265 (annex B), T.81 (B.2), ISO/IEC 14496-15 (5.3.3, 8.3.3), RFC 6381. Not here: decoding,
and assembling packets (`ninjacam.sources`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ninjacam.codecs.sps import BitReader, SpsInfo, checked_size, nal_type, parameter_set_id, parse_sps
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec

__all__ = [
    "START_CODE",
    "ParameterSets",
    "SpsInfo",
    "annexb_from_config",
    "codec_string",
    "field_of",
    "from_length_prefixed",
    "has_only_intra_slices",
    "is_vcl",
    "iter_nal_units",
    "jpeg_size",
    "nal_type",
    "parameter_set_id",
    "parameter_sets",
    "parse_sps",
    "recovery_count",
    "split_annexb",
    "to_length_prefixed",
]

START_CODE = b"\x00\x00\x00\x01"

H264_SPS, H264_PPS = 7, 8
H265_VPS, H265_SPS, H265_PPS = 32, 33, 34
_SEI_RECOVERY_POINT = 6
_MAX_SEI_MESSAGES = 16


def iter_nal_units(data: bytes) -> Iterator[tuple[int, int]]:
    """Return (start, stop) of each NAL unit of an Annex B byte stream, without start codes and trailing zeros."""
    find = data.find
    at = find(b"\x00\x00\x01")
    while at >= 0:
        start = at + 3
        at = find(b"\x00\x00\x01", start)
        stop = len(data) if at < 0 else at
        while stop > start and data[stop - 1] == 0:
            stop -= 1
        if stop > start:
            yield start, stop


def split_annexb(data: bytes) -> list[bytes]:
    """Return the NAL units of an Annex B byte stream; [] if there is no start code."""
    return [data[start:stop] for start, stop in iter_nal_units(data)]


def is_vcl(codec: Codec, kind: int) -> bool:
    """Return whether a NAL unit of this type is part of the coded picture itself."""
    return 1 <= kind <= 5 if codec is Codec.H264 else kind < 32


def recovery_count(codec: Codec, nal: bytes) -> int:
    """Return the number of pictures until the output is correct if a decoder starts here, from the recovery point in
    an SEI NAL unit (H.264, D.1.8; H.265, D.2.8); 0: exact; -1: no recovery point."""
    at = 1 if codec is Codec.H264 else 2
    for _ in range(_MAX_SEI_MESSAGES):
        values = []
        for _ in range(2):  # The message's type, then its size.
            value = 0
            while at < len(nal) and nal[at] == 0xFF:
                value, at = value + 255, at + 1
            if at >= len(nal):
                return -1
            values.append(value + nal[at])
            at += 1
        if values[0] == _SEI_RECOVERY_POINT:
            reader = BitReader(nal[at : at + min(values[1], 8)])
            try:
                return reader.ue(0xFFFF) if codec is Codec.H264 else abs(reader.se())
            except DecodeError:
                return -1
        at += values[1]
    return -1


def field_of(sps: SpsInfo, slice_head: bytes) -> tuple[int, int] | None:
    """Return (frame_num, 0: a frame, 1: a top field, 2: a bottom field) of an H.264 slice (7.3.3); None: malformed.

    `slice_head`: the beginning of the slice after its NAL header byte.
    """
    reader = BitReader(slice_head.replace(b"\x00\x00\x03", b"\x00\x00"))
    try:
        for _ in range(3):  # first_mb_in_slice, slice_type, pic_parameter_set_id
            reader.ue()
        if sps.has_separate_planes:
            reader.skip(2)
        frame_num = reader.bits(sps.frame_num_bits)
        if not sps.may_have_fields or not reader.bits(1):
            return frame_num, 0
        return frame_num, 1 + reader.bits(1)
    except DecodeError:
        return None


def has_only_intra_slices(unit: bytes | bytearray, starts: Sequence[int]) -> bool:
    """Return whether all slices of an H.264 access unit are I or SI slices. `starts`: offsets of its NAL units."""
    found = False
    for start in starts:
        if not is_vcl(Codec.H264, unit[start] & 0x1F):
            continue
        reader = BitReader(bytes(unit[start + 1 : start + 13]))
        try:
            reader.ue()
            if reader.ue(9) % 5 not in (2, 4):
                return False
        except DecodeError:
            return False
        found = True
    return found


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """NAL units without start codes; `vps` is empty for H.264."""

    vps: tuple[bytes, ...] = ()
    sps: tuple[bytes, ...] = ()
    pps: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        """Return whether a decoder can be configured with them."""
        return bool(self.sps and self.pps)

    def as_annexb(self) -> bytes:
        return b"".join(START_CODE + nal for nal in self.vps + self.sps + self.pps)


def parameter_sets(codec: Codec, data: bytes) -> ParameterSets:
    """Return the parameter sets of an Annex B access unit (or extradata), in order, without duplicates."""
    found: dict[str, dict[bytes, None]] = {"vps": {}, "sps": {}, "pps": {}}
    names = (
        {H264_SPS: "sps", H264_PPS: "pps"}
        if codec is Codec.H264
        else {H265_VPS: "vps", H265_SPS: "sps", H265_PPS: "pps"}
    )
    for start, stop in iter_nal_units(data):
        name = names.get(nal_type(codec, data[start]))
        if name is not None:
            found[name][data[start:stop]] = None
    return ParameterSets(vps=tuple(found["vps"]), sps=tuple(found["sps"]), pps=tuple(found["pps"]))


def to_length_prefixed(data: bytes) -> bytes:
    """Convert Annex B to four-byte lengths, as in MP4."""
    parts: list[bytes] = []
    for start, stop in iter_nal_units(data):
        parts.append((stop - start).to_bytes(4, "big"))
        parts.append(data[start:stop])
    return b"".join(parts)


def from_length_prefixed(data: bytes, length_size: int = 4) -> bytes:
    """Convert length-prefixed NAL units, as in MP4, to Annex B. Raises: DecodeError: a length exceeds the data."""
    parts: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        start = at + length_size
        at = start + int.from_bytes(data[at:start], "big")
        if start > end or at > end:
            raise DecodeError("A NAL unit is longer than its packet.")
        if at > start:
            parts += (START_CODE, data[start:at])
    return b"".join(parts)


def annexb_from_config(codec: Codec, config: bytes) -> tuple[bytes, int]:
    """Return (parameter sets in Annex B, length size) of an avcC or hvcC record; length size 0: it is Annex B.

    Raises: DecodeError: truncated.
    """
    if config[:3] == b"\x00\x00\x01" or config[:4] == START_CODE or not config:
        return config, 0
    size = len(config)
    if codec is Codec.H264:
        if size < 7:
            raise DecodeError("The avcC record is too short.")
        length_size, at = (config[4] & 3) + 1, 5
        counts = [config[at] & 0x1F]
        groups = 2
    else:
        if size < 23:
            raise DecodeError("The hvcC record is too short.")
        length_size, at = (config[21] & 3) + 1, 22
        groups = config[at]
        counts = []
    parts: list[bytes] = []
    for group in range(groups):
        if codec is Codec.H264:
            count = counts[0] if group == 0 else (config[at] if at < size else 0)
            at += 1
        else:
            at = at + 1 if group == 0 else at
            count = int.from_bytes(config[at + 1 : at + 3], "big")
            at += 3
        for _ in range(count):
            start = at + 2
            at = start + int.from_bytes(config[at:start], "big")
            if at > size:
                raise DecodeError("The decoder configuration record is truncated.")
            parts += (START_CODE, config[start:at])
    return b"".join(parts), length_size


def codec_string(codec: Codec, access_unit: bytes) -> str:
    """Return the RFC 6381 name of a stream, from a key frame. Raises: DecodeError: it contains no parameter sets."""
    if codec is Codec.MJPEG:
        return "mjpeg"
    sets = parameter_sets(codec, access_unit)
    if not sets.sps:
        raise DecodeError("The key frame contains no sequence parameter set.")
    return parse_sps(codec, sets.sps[0]).codec_string


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels, from the frame header. Raises: DecodeError: not a JPEG, or malformed."""
    if data[:2] != b"\xff\xd8":
        raise DecodeError("This is not a JPEG image.")
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # Fill byte.
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return checked_size(
                int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
            )
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 2
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2 or marker in (0xD9, 0xDA):
                break
            at += 2 + length
    raise DecodeError("The JPEG image has no readable frame header.")

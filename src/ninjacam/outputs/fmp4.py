"""Fragmented MP4 by hand: an init segment from the parameter sets, one moof+mdat per picture, no frame of delay.

ISO/IEC 14496-12 (boxes), 14496-15 (avcC, hvcC). Media Source Extensions and every player read it.
"""

import struct

from ninjacam.core.bitstream import ParameterSets, SpsInfo, to_length_prefixed
from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import Codec, Packet

_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SYNC_SAMPLE = 0x02000000  # sample_depends_on = 2: on nothing
_OTHER_SAMPLE = 0x01010000  # sample_depends_on = 1, sample_is_non_sync_sample
_DEFAULT_DURATION_S = 0.04

_MOOF_BYTES = 104
# moof, mfhd, traf, tfhd (default-base-is-moof), tfdt (64 bit), trun (version 1: data offset, and of the one sample
# duration, size, flags and a signed composition offset)
_FRAGMENT = struct.Struct(">I4s I4sII I4s I4sII I4sIQ I4sIIIIIIi I4s")


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _counted(nals: tuple[bytes, ...]) -> bytes:
    return b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)


def encode_avcc(sets: ParameterSets, info: SpsInfo) -> bytes:
    """The AVCDecoderConfigurationRecord (14496-15, 5.3.3.1)."""
    sps = sets.sps[0]
    record = bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE0 | min(len(sets.sps), 31))) + _counted(sets.sps[:31])
    record += bytes((min(len(sets.pps), 255),)) + _counted(sets.pps[:255])
    if info.profile_idc in (100, 110, 122, 144):
        depths = (0xF8 | info.bit_depth_luma - 8, 0xF8 | info.bit_depth_chroma - 8)
        record += bytes((0xFC | info.chroma_format_idc, *depths, 0))
    return record


def encode_hvcc(sets: ParameterSets, info: SpsInfo) -> bytes:
    """The HEVCDecoderConfigurationRecord (14496-15, 8.3.3.1)."""
    record = (
        b"\x01"
        + info.profile_tier_level
        + struct.pack(
            ">HBBBBHB",
            0xF000,  # min_spatial_segmentation_idc: not said
            0xFC,  # parallelismType: not said
            0xFC | info.chroma_format_idc,
            0xF8 | info.bit_depth_luma - 8,
            0xF8 | info.bit_depth_chroma - 8,
            0,  # avgFrameRate: not said
            0x0F,  # one temporal layer, nested, four-byte lengths
        )
    )
    arrays = [(32, sets.vps), (33, sets.sps), (34, sets.pps)]
    present = [(kind, nals) for kind, nals in arrays if nals]
    return (
        record
        + bytes((len(present),))
        + b"".join(
            bytes((0x80 | kind,)) + struct.pack(">H", len(nals)) + _counted(nals) for kind, nals in present
        )
    )


def encode_init(codec: Codec, sets: ParameterSets, info: SpsInfo, *, time_base_hz: int) -> bytes:
    """ftyp + moov of one video track. Raises: EncodeError: the codec has no place here."""
    if codec is Codec.H264:
        entry, config = b"avc1", _box(b"avcC", encode_avcc(sets, info))
    elif codec is Codec.H265:
        entry, config = b"hvc1", _box(b"hvcC", encode_hvcc(sets, info))
    else:
        raise EncodeError(f"{codec.label} is not offered as MP4.")
    width, height = info.width_px, info.height_px
    visual = _box(
        entry,
        struct.pack(">6xH16xHHIII H32xHh", 1, width, height, 0x480000, 0x480000, 0, 1, 24, -1),
        config,
    )
    empty = struct.pack(">I", 0)
    stbl = _box(
        b"stbl",
        _full_box(b"stsd", 0, 0, struct.pack(">I", 1), visual),
        _full_box(b"stts", 0, 0, empty),
        _full_box(b"stsc", 0, 0, empty),
        _full_box(b"stsz", 0, 0, empty, empty),
        _full_box(b"stco", 0, 0, empty),
    )
    minf = _box(
        b"minf",
        _full_box(b"vmhd", 0, 1, bytes(8)),
        _box(b"dinf", _full_box(b"dref", 0, 0, struct.pack(">I", 1), _full_box(b"url ", 0, 1))),
        stbl,
    )
    mdia = _box(
        b"mdia",
        _full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, time_base_hz, 0, 0x55C4, 0)),  # language "und"
        _full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"Ninjacam\x00"),
        minf,
    )
    tkhd = _full_box(
        b"tkhd",
        0,
        3,
        struct.pack(">IIIII8xhhhH", 0, 0, 1, 0, 0, 0, 0, 0, 0),
        _MATRIX,
        struct.pack(">II", width << 16, height << 16),
    )
    moov = _box(
        b"moov",
        _full_box(
            b"mvhd", 0, 0, struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x100), _MATRIX, bytes(24),
            struct.pack(">I", 2),
        ),
        _box(b"trak", tkhd, mdia),
        _box(b"mvex", _full_box(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))),
    )  # fmt: skip
    return _box(b"ftyp", b"iso5", struct.pack(">I", 512), b"iso5iso6mp41") + moov


def encode_fragment(packet: Packet) -> bytes:
    """moof + mdat of one access unit (Annex B). Times: the packet's own ticks; decode time = pts - dts_offset."""
    sample = to_length_prefixed(packet.data)
    size = len(sample)
    head = _FRAGMENT.pack(
        _MOOF_BYTES, b"moof",
        16, b"mfhd", 0, packet.sequence & 0xFFFF_FFFF,
        _MOOF_BYTES - 24, b"traf",
        16, b"tfhd", 0x020000, 1,
        20, b"tfdt", 0x01000000, max(0, packet.pts - packet.dts_offset),
        36, b"trun", 0x01000F01, 1, _MOOF_BYTES + 8,
        packet.duration or int(packet.time_base_hz * _DEFAULT_DURATION_S),
        size,
        _SYNC_SAMPLE if packet.is_key else _OTHER_SAMPLE,
        packet.dts_offset,
        8 + size, b"mdat",
    )  # fmt: skip
    return head + sample

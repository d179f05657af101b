"""Builds fragmented MP4: headers from parameter sets, fragments from video and audio. No I/O.

ISO/IEC 14496-12 (boxes), 14496-14 (esds), 14496-15 (avcC, hvcC). Reading: `ninjacam.recordings.reader`.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ninjacam.codecs.bitstream import ParameterSets, SpsInfo
from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import Codec

SYNC_SAMPLE = 0x02000000
"""sample_depends_on = 2: independent."""
OTHER_SAMPLE = 0x01010000
"""sample_depends_on = 1, sample_is_non_sync_sample."""
NTP_EPOCH_S = 2_208_988_800
"""Seconds from 1900, the epoch of NTP, to 1970 (RFC 5905, figure 4)."""
ANNOTATIONS_SCHEME = b"urn:ninjacam:annotations"
"""Scheme of an emsg box whose data is a line of `core.annotations.encode_annotation_set`. Other players skip it."""
_CAPTURED = 24
"""prft flag: the time is that of the capture."""
_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_OTI_AAC, _OTI_JPEG = 0x40, 0x6C  # objectTypeIndication, 14496-1 table 5
_TRUN_VIDEO = 0x01000F01
"""Version 1: data offset, and for each sample duration, size, flags and a signed composition offset."""
_TRUN_AUDIO = 0x01000301
"""Data offset, and for each sample duration and size."""


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


# --- decoder configurations and sample entries ---


def _counted(nals: tuple[bytes, ...]) -> bytes:
    return b"".join(struct.pack(">H", len(nal)) + nal for nal in nals)


def encode_avcc(sets: ParameterSets, info: SpsInfo) -> bytes:
    """Return the AVCDecoderConfigurationRecord (14496-15, 5.3.3.1)."""
    sps = sets.sps[0]
    record = bytes((1, sps[1], sps[2], sps[3], 0xFF, 0xE0 | min(len(sets.sps), 31))) + _counted(sets.sps[:31])
    record += bytes((min(len(sets.pps), 255),)) + _counted(sets.pps[:255])
    if info.profile_idc in (100, 110, 122, 144):
        depths = (0xF8 | info.bit_depth_luma - 8, 0xF8 | info.bit_depth_chroma - 8)
        record += bytes((0xFC | info.chroma_format_idc, *depths, 0))
    return record


def encode_hvcc(sets: ParameterSets, info: SpsInfo) -> bytes:
    """Return the HEVCDecoderConfigurationRecord (14496-15, 8.3.3.1)."""
    record = (
        b"\x01"
        + info.profile_tier_level
        + struct.pack(
            ">HBBBBHB",
            0xF000,  # min_spatial_segmentation_idc: unspecified.
            0xFC,  # parallelismType: unspecified.
            0xFC | info.chroma_format_idc,
            0xF8 | info.bit_depth_luma - 8,
            0xF8 | info.bit_depth_chroma - 8,
            0,  # avgFrameRate: unspecified.
            0x0F,  # One temporal layer, nested, four-byte lengths.
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


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, 0x80, 0x80, len(body) >> 7 | 0x80, len(body) & 0x7F)) + body


def _esds(object_type: int, stream_type: int, config: bytes) -> bytes:
    specific = _descriptor(5, config) if config else b""
    decoder = _descriptor(4, bytes((object_type, stream_type << 2 | 1)) + bytes(11) + specific)
    return full_box(b"esds", 0, 0, _descriptor(3, bytes((0, 0, 0)) + decoder + _descriptor(6, b"\2")))


def _visual_entry(kind: bytes, width_px: int, height_px: int, config: bytes) -> bytes:
    return box(
        kind,
        struct.pack(">6xH16xHHIII H32xHh", 1, width_px, height_px, 0x480000, 0x480000, 0, 1, 24, -1),
        config,
    )


def video_entry(codec: Codec, sets: ParameterSets, info: SpsInfo) -> bytes:
    """Return avc1 or hvc1: parameter sets appear only there. Raises: EncodeError: the codec has no sample entry."""
    if codec is Codec.H264:
        return _visual_entry(b"avc1", info.width_px, info.height_px, box(b"avcC", encode_avcc(sets, info)))
    if codec is Codec.H265:
        return _visual_entry(b"hvc1", info.width_px, info.height_px, box(b"hvcC", encode_hvcc(sets, info)))
    raise EncodeError(f"{codec.label} is not supported in MP4.")


def jpeg_entry(width_px: int, height_px: int) -> bytes:
    """Return mp4v with the object type of JPEG, as FFmpeg writes it."""
    return _visual_entry(b"mp4v", width_px, height_px, _esds(_OTI_JPEG, 4, b""))


def aac_entry(config: bytes, *, sample_rate_hz: int, channels: int) -> bytes:
    """Return the sample entry of AAC. `config`: the AudioSpecificConfig (14496-3, 1.6.2.1)."""
    rate = sample_rate_hz << 16 if sample_rate_hz < 65536 else 0
    return box(
        b"mp4a",
        struct.pack(">6xH8xHHII", 1, channels, 16, 0, rate),
        _esds(_OTI_AAC, 5, config),
    )


# --- ftyp and moov ---

FTYP = box(b"ftyp", b"iso5", struct.pack(">I", 512), b"iso5iso6mp41")


@dataclass(frozen=True, slots=True)
class Mp4Track:
    """A track. `track_id`: from 1, without gaps. `width_px`, `height_px`: 0 for audio. `name`: free text of the
    handler."""

    track_id: int
    time_base_hz: int
    entry: bytes
    width_px: int = 0
    height_px: int = 0
    name: str = "Ninjacam"

    @property
    def is_video(self) -> bool:
        return self.width_px > 0


def _trak(track: Mp4Track) -> bytes:
    empty = struct.pack(">I", 0)
    stbl = box(
        b"stbl",
        full_box(b"stsd", 0, 0, struct.pack(">I", 1), track.entry),
        full_box(b"stts", 0, 0, empty),
        full_box(b"stsc", 0, 0, empty),
        full_box(b"stsz", 0, 0, empty, empty),
        full_box(b"stco", 0, 0, empty),
    )
    minf = box(
        b"minf",
        full_box(b"vmhd", 0, 1, bytes(8)) if track.is_video else full_box(b"smhd", 0, 0, bytes(4)),
        box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))),
        stbl,
    )
    handler = b"vide" if track.is_video else b"soun"
    mdia = box(
        b"mdia",
        full_box(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, track.time_base_hz, 0, 0x55C4, 0)),  # "und"
        full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, handler), track.name.encode() + b"\x00"),
        minf,
    )
    tkhd = full_box(
        b"tkhd",
        0,
        3,
        struct.pack(
            ">IIIII8xhhhH", 0, 0, track.track_id, 0, 0, 0, 0 if track.is_video else 1,
            0 if track.is_video else 0x100, 0,
        ),
        _MATRIX,
        struct.pack(">II", track.width_px << 16, track.height_px << 16),
    )  # fmt: skip
    return box(b"trak", tkhd, mdia)


def encode_header(tracks: Sequence[Mp4Track]) -> bytes:
    """Return ftyp and moov, which precede the first fragment."""
    moov = box(
        b"moov",
        full_box(
            b"mvhd", 0, 0, struct.pack(">IIIIIH10x", 0, 0, 1000, 0, 0x10000, 0x100), _MATRIX, bytes(24),
            struct.pack(">I", len(tracks) + 1),
        ),
        *(_trak(track) for track in tracks),
        box(
            b"mvex",
            *(full_box(b"trex", 0, 0, struct.pack(">IIIII", t.track_id, 1, 0, 0, 0)) for t in tracks),
        ),
    )  # fmt: skip
    return FTYP + moov


# --- fragments ---


class Sample(NamedTuple):
    """A sample. `duration` and `offset` (presentation time minus decoding time, may be negative) in ticks of the
    track."""

    size_bytes: int
    duration: int
    is_key: bool = True
    offset: int = 0


class Run(NamedTuple):
    """Samples of one track in decoding order. `dts`: of the first one."""

    track_id: int
    dts: int
    samples: Sequence[Sample]


def encode_moof(sequence: int, video: Run, audio: Run | None = None) -> bytes:
    """Return moof and the header of mdat. The data of all samples follows, video first."""
    runs = [_samples(video, _TRUN_VIDEO)]
    if audio is not None:
        runs.append(_samples(audio, _TRUN_AUDIO))
    # traf: 8, tfhd: 16, tfdt: 20, trun: 20 plus the samples.
    moof_bytes = 24 + sum(64 + len(samples) for _, _, samples, _ in runs)
    at = moof_bytes + 8
    parts = [struct.pack(">I4sI4sII", moof_bytes, b"moof", 16, b"mfhd", 0, sequence & 0xFFFF_FFFF)]
    for run, flags, samples, size_bytes in runs:
        parts.append(
            struct.pack(
                ">I4s I4sII I4sIQ I4sIIi",
                64 + len(samples), b"traf",
                16, b"tfhd", 0x020000, run.track_id,
                20, b"tfdt", 0x01000000, run.dts,
                20 + len(samples), b"trun", flags, len(run.samples), at,
            )
        )  # fmt: skip
        parts.append(samples)
        at += size_bytes
    parts.append(struct.pack(">I4s", 8 + sum(size for *_, size in runs), b"mdat"))
    return b"".join(parts)


def _samples(run: Run, flags: int) -> tuple[Run, int, bytes, int]:
    values: list[int] = []
    size_bytes = 0
    for sample in run.samples:
        size_bytes += sample.size_bytes
        values += (sample.duration, sample.size_bytes)
        if flags == _TRUN_VIDEO:
            values += (SYNC_SAMPLE if sample.is_key else OTHER_SAMPLE, sample.offset & 0xFFFF_FFFF)
    return run, flags, struct.pack(f">{len(values)}I", *values), size_bytes


def encode_prft(track_id: int, captured_ns: int, pts: int) -> bytes:
    """Return the wall-clock time of the frame at `pts` of the following fragment (14496-12, 8.16.5), exact to the
    ns."""
    seconds, rest_ns = divmod(captured_ns, 1_000_000_000)
    fraction = ((rest_ns << 32) + 500_000_000) // 1_000_000_000
    return full_box(
        b"prft", 1, _CAPTURED,
        struct.pack(">IIIQ", track_id, (seconds + NTP_EPOCH_S) & 0xFFFF_FFFF, fraction, max(0, pts)),
    )  # fmt: skip


def encode_emsg(number: int, time_base_hz: int, pts: int, data: bytes) -> bytes:
    """Return annotations, to be written after a fragment that begins at `pts` (ISO/IEC 23009-1, 5.10.3.3, version
    1)."""
    return full_box(
        b"emsg", 1, 0,
        struct.pack(">IQII", time_base_hz, max(0, pts), 0xFFFF_FFFF, number),  # Duration: unspecified.
        ANNOTATIONS_SCHEME, b"\0", b"1\0",
        data,
    )  # fmt: skip

"""Compressed media on its way through the house: the packet, the stream it belongs to, the states of a camera.

A packet is one access unit of video (one whole picture, Annex B for H.264 and H.265, with the parameter sets in band
at every key frame; one JPEG for MJPEG) or one frame of audio. It is immutable: many readers share it.
"""

import enum
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

VIDEO_CLOCK_HZ = 90_000
"""The time base of all video packets is 1/90000 s, the RTP clock of every video format (RFC 3551, section 5)."""


class Kind(enum.IntEnum):
    """What a message of a local stream carries. On the wire: never renumber."""

    VIDEO = 1
    AUDIO = 2
    INFO = 4  # the stream's description: extension, StreamInfo.as_dict()
    SUBSCRIBE = 5  # from the subscriber: extension, what it wants
    ERROR = 6  # the subscription is refused: extension, NinjacamError.as_dict()


class Codec(enum.IntEnum):
    """On the wire: never renumber. Spelled as FFmpeg spells them (`Codec.H264.label` == "h264")."""

    NONE = 0
    H264 = 1
    H265 = 2
    MJPEG = 3
    ANNOTATIONS = (
        4  # what was seen on a picture, in its place: `core.annotations.encode_annotation_set`; each is a KEY
    )
    AAC = 16
    PCMA = 17
    PCMU = 18
    OPUS = 19

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def is_video(self) -> bool:
        return 0 < self < 16


_LABELS = {
    Codec.NONE: "none",
    Codec.H264: "h264",
    Codec.H265: "hevc",
    Codec.MJPEG: "mjpeg",
    Codec.ANNOTATIONS: "annotations",
    Codec.AAC: "aac",
    Codec.PCMA: "pcm_alaw",
    Codec.PCMU: "pcm_mulaw",
    Codec.OPUS: "opus",
}
CODEC_BY_LABEL = {label: codec for codec, label in _LABELS.items()}


class Flags:
    """Bits of `Packet.flags`, plain numbers: each is asked for with every packet. On the wire: never renumber."""

    NONE: Final = 0
    KEY: Final = 1  # a decoder can start here
    CONFIG: Final = 2  # the parameter sets (codec, size) may differ: configure the decoder anew
    DISCONT: Final = 4  # something before this packet is missing, or time jumped
    CORRUPT: Final = 8  # the packet itself is damaged


class Packet(NamedTuple):
    """One access unit or audio frame.

    `pts` and `dts_offset` (pts - dts; not 0 only in streams with B-frames, and below 0 for a picture or two where a
    stream does not say that it has them) and `duration` count ticks of
    1/`time_base_hz` s; within one camera `pts - dts_offset` never decreases (`capture.timeline` repairs it).
    `captured_ns`: wall clock, ns since 1970 UTC, when the camera took the picture, as well as we know
    (docs/design/0001-time.md); 0 where not yet known. `received_ns`: this host's monotonic clock, when it was read.
    `width_px`, `height_px`: 0 for audio, and for video until the first parameter set.
    """

    kind: Kind
    codec: Codec
    data: bytes
    pts: int
    received_ns: int
    time_base_hz: int = VIDEO_CLOCK_HZ
    duration: int = 0
    dts_offset: int = 0
    flags: int = Flags.NONE
    captured_ns: int = 0
    sequence: int = 0
    width_px: int = 0
    height_px: int = 0

    @property
    def is_key(self) -> bool:
        return bool(self.flags & Flags.KEY)


@dataclass(frozen=True, slots=True)
class Track:
    """One elementary stream that a source offers.

    `extradata`: AAC: the AudioSpecificConfig; H.264 and H.265: parameter sets in Annex B as far as the SDP gave them.
    """

    kind: Kind
    codec: Codec
    time_base_hz: int = VIDEO_CLOCK_HZ
    extradata: bytes = b""
    width_px: int = 0
    height_px: int = 0
    sample_rate_hz: int = 0
    channels: int = 0


class CameraState(enum.StrEnum):
    """What an operator is told of a camera.

    CONNECTING: no picture yet since start or change. LIVE: video is coming. STALLED: connected, no video for 2 s.
    RECONNECTING: lost, being tried again. FAILED: will not be tried again until its configuration changes.
    DISABLED: switched off by its owner. UNKNOWN: no engine reports it.
    """

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    FAILED = "failed"
    DISABLED = "disabled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a subscriber of a local stream is told before the first packet, and whenever it changes.

    `error` is NinjacamError.as_dict() of what keeps the camera from being live, else None.
    """

    camera: str
    tracks: tuple[Track, ...] = ()
    state: CameraState = CameraState.CONNECTING
    error: dict[str, Any] | None = None
    epoch: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def video(self) -> Track | None:
        return next((track for track in self.tracks if track.kind is Kind.VIDEO), None)

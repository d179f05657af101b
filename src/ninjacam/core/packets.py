"""Compressed media inside Ninjacam: packets, the streams they belong to, and the states of a camera.

A packet is one access unit of video (one whole frame, Annex B for H.264 and H.265, with the parameter sets in band
at every key frame; one JPEG image for MJPEG) or one audio frame. Packets are immutable, because many readers share
them.
"""

import enum
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

VIDEO_CLOCK_HZ = 90_000
"""The time base of all video packets is 1/90000 s, the RTP clock of every video format (RFC 3551, section 5)."""


class Kind(enum.IntEnum):
    """Message types of a local stream. Part of the wire format: never renumber."""

    VIDEO = 1
    AUDIO = 2
    INFO = 4  # The stream's description: extension, StreamInfo.as_dict().
    SUBSCRIBE = 5  # From the subscriber: extension, the requested stream.
    ERROR = 6  # The subscription is refused: extension, NinjacamError.as_dict().


class Codec(enum.IntEnum):
    """Codecs, with FFmpeg's names (`Codec.H264.label` == "h264"). Part of the wire format: never renumber."""

    NONE = 0
    H264 = 1
    H265 = 2
    MJPEG = 3
    ANNOTATIONS = 4  # Annotations of a frame: `core.annotations.encode_annotation_set`; each is a KEY.
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
VIDEO, AUDIO, MJPEG = Kind.VIDEO, Kind.AUDIO, Codec.MJPEG
"""Shortcuts for code that runs once per packet: in Python 3.11, looking up an enum member takes four times as
long."""
CODEC_BY_LABEL = {label: codec for codec, label in _LABELS.items()}


class Flags:
    """Bits of `Packet.flags`. Plain integers, because they are tested for every packet. Part of the wire format:
    never renumber.
    """

    NONE: Final = 0
    KEY: Final = 1  # A decoder can start here.
    CONFIG: Final = 2  # The parameter sets (codec, size) may differ: reconfigure the decoder.
    DISCONT: Final = 4  # Data before this packet is missing, or time jumped.
    CORRUPT: Final = 8  # The packet itself is damaged.


class Packet(NamedTuple):
    """One access unit or audio frame.

    `pts`, `dts_offset` (pts - dts) and `duration` count ticks of 1/`time_base_hz` s. `dts_offset` is 0 except
    in streams with B-frames, and is negative for one or two frames if a stream does not announce them. Within
    one camera, `pts - dts_offset` never decreases (`capture.timeline` repairs it). `captured_ns`: wall clock,
    ns since 1970 UTC, of the capture, with the accuracy described in docs/design/0001-time.md; 0 if unknown.
    `received_ns`: this host's monotonic clock when the packet was read. `width_px`, `height_px`: 0 for audio,
    and for video until the first parameter set.
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

    `extradata`: for AAC, the AudioSpecificConfig; for H.264 and H.265, the parameter sets of the SDP in Annex B, if
    any.
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
    """The state of a camera, as displayed to operators.

    CONNECTING: no frame yet since the start or a change. LIVE: receiving video. STALLED: connected, no video
    for 2 s. RECONNECTING: connection lost, retrying. FAILED: not retried until its configuration changes.
    DISABLED: switched off by its owner. UNKNOWN: no engine reports it. IDLE: not connected, because it is
    unused (only streams besides `main`). ASLEEP: a battery camera that is not connected because it is unused
    or does not respond.
    """

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    FAILED = "failed"
    DISABLED = "disabled"
    UNKNOWN = "unknown"
    IDLE = "idle"
    ASLEEP = "asleep"


LIVE = CameraState.LIVE
"""A shortcut, like VIDEO."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Description that a subscriber of a local stream receives before the first packet, and whenever it changes.

    `error`: NinjacamError.as_dict() of the error that keeps the camera from being live, else None.
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

"""RTMP's audio and video messages: FLV tags (FLV 10.1, annex E) and Enhanced RTMP, as packets."""

from ninjacam.codecs.aac import parse_config
from ninjacam.codecs.bitstream import annexb_from_config, from_length_prefixed, parameter_sets, parse_sps
from ninjacam.core.errors import DecodeError, ProtocolError, UnsupportedCodecError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Flags, Kind, Packet, Track
from ninjacam.core.texts import sentence
from ninjacam.sources.access_units import AccessUnits
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import Emit

_CODECS = {7: Codec.H264, 12: Codec.H265}
"""By CodecID; 12 is not in the specification, but widely used."""
_FOURCC = {b"avc1": Codec.H264, b"hvc1": Codec.H265}
_NAMES = {2: "Sorenson H.263", 3: "Screen video", 4: "VP6", 5: "VP6", 8: "VP8", 9: "VP9", 13: "AV1"}
_ENHANCED = 0x80
_COMMAND_FRAME = 5
_SEQUENCE_START, _CODED, _SEQUENCE_END, _CODED_WITHOUT_OFFSET = 0, 1, 2, 3
_G711 = {7: Codec.PCMA, 8: Codec.PCMU}
_AAC, _ENHANCED_AUDIO = 10, 9
_WRAP_MS = 1 << 32
G711_HZ = 8000


class _Times:
    """Unwraps timestamps of 32 bits."""

    __slots__ = ("_last_ms",)

    def __init__(self) -> None:
        self._last_ms: int | None = None

    def unwrap(self, timestamp_ms: int) -> int:
        last = self._last_ms
        if last is None:
            self._last_ms = timestamp_ms
        else:
            step = (timestamp_ms - last + _WRAP_MS // 2) % _WRAP_MS - _WRAP_MS // 2
            self._last_ms = last + step
        return self._last_ms


class FlvMedia:
    """The tracks of one publisher. `take_video` and `take_audio` emit packets, of which the first video packet is a
    key frame.

    `video`, `audio`: None until the publisher has described them. A description of another codec replaces them.
    """

    def __init__(self, emit: Emit, stats: SourceStats) -> None:
        self.video: Track | None = None
        self.audio: Track | None = None
        self._emit = emit
        self._stats = stats
        self._units: AccessUnits | None = None
        self._length_bytes = 4
        self._config = b""
        self._times = _Times()
        self._is_first_audio = True

    # Video --------------------------------------------------------------------------------------------------------

    def take_video(self, data: bytes, timestamp_ms: int, received_ns: int) -> None:
        """Raises: ProtocolError; UnsupportedCodecError."""
        if len(data) < 5 or (data[0] >> 4 & 7) == _COMMAND_FRAME:
            return
        if data[0] & _ENHANCED:
            kind, codec, at = data[0] & 0x0F, _FOURCC.get(data[1:5]), 5
            name = repr(data[1:5].decode("ascii", "replace"))
        else:
            kind, codec, at = data[1], _CODECS.get(data[0] & 0x0F), 2
            name = _NAMES.get(data[0] & 0x0F, "an unknown codec")
        if codec is None:
            raise UnsupportedCodecError(
                sentence("The publisher sends %(name)s video. Set it to H.264 or H.265.", name=name)
            )
        offset_ms = 0
        if not data[0] & _ENHANCED or kind == _CODED:
            offset_ms, at = int.from_bytes(data[at : at + 3], "big", signed=True), at + 3
        if kind == _SEQUENCE_START:
            self._describe_video(codec, data[at:])
        elif kind == _CODED or (kind == _CODED_WITHOUT_OFFSET and data[0] & _ENHANCED):
            self._take_frame(codec, data[at:], timestamp_ms, offset_ms, received_ns)

    def _describe_video(self, codec: Codec, config: bytes) -> None:
        """Process a decoder configuration. Publishers may repeat it, or change it during a stream."""
        if config == self._config and self.video is not None and self.video.codec is codec:
            return
        try:
            annexb, length_bytes = annexb_from_config(codec, config)
            sets = parameter_sets(codec, annexb)
            info = parse_sps(codec, sets.sps[0]) if sets.sps else None
        except DecodeError as error:
            raise ProtocolError("The publisher's description of its video is malformed.") from error
        size = (info.width_px, info.height_px) if info else (0, 0)
        cache = ParameterSetCache(codec, annexb)
        self._config, self._length_bytes = config, length_bytes
        self._units = AccessUnits(codec, cache, self._emit, self._stats, TrackClock(VIDEO_CLOCK_HZ))
        self.video = Track(Kind.VIDEO, codec, VIDEO_CLOCK_HZ, sets.as_annexb(), *size)

    def _take_frame(
        self, codec: Codec, data: bytes, timestamp_ms: int, offset_ms: int, received_ns: int
    ) -> None:
        if self._units is None or self.video is None or self.video.codec is not codec:
            self._stats.frames_skipped += 1
            return
        pts = (self._times.unwrap(timestamp_ms) + offset_ms) * (VIDEO_CLOCK_HZ // 1000)
        try:
            annexb = from_length_prefixed(data, self._length_bytes) if self._length_bytes else data
        except DecodeError:
            self._stats.access_units_dropped += 1
            self._units.gap()
            return
        if annexb:
            self._units.push_unit(annexb, pts, received_ns)

    # Audio --------------------------------------------------------------------------------------------------------

    def take_audio(self, data: bytes, timestamp_ms: int, received_ns: int) -> None:
        """Add an audio message. Audio of other formats is ignored: video without audio is still useful."""
        if len(data) < 2:
            return
        form = data[0] >> 4
        if form == _AAC or (form == _ENHANCED_AUDIO and data[1:5] == b"mp4a"):
            is_config = data[1] == 0 if form == _AAC else data[0] & 0x0F == _SEQUENCE_START
            body = data[2:] if form == _AAC else data[5:]
            if is_config:
                self._describe_aac(body)
            elif form == _AAC or data[0] & 0x0F == _CODED:
                self._emit_audio(Codec.AAC, body, timestamp_ms, received_ns)
        elif form in _G711:
            codec = _G711[form]
            if self.audio is None:
                self.audio = Track(Kind.AUDIO, codec, G711_HZ, sample_rate_hz=G711_HZ, channels=1)
            self._emit_audio(codec, data[1:], timestamp_ms, received_ns)

    def _describe_aac(self, config: bytes) -> None:
        found = parse_config(config)
        if found is not None:
            rate_hz, channels = found
            self.audio = Track(
                Kind.AUDIO, Codec.AAC, rate_hz, config, sample_rate_hz=rate_hz, channels=channels
            )

    def _emit_audio(self, codec: Codec, data: bytes, timestamp_ms: int, received_ns: int) -> None:
        audio = self.audio
        if audio is None or audio.codec is not codec or not data:
            return
        flags = Flags.KEY | (Flags.CONFIG if self._is_first_audio else 0)
        self._is_first_audio = False
        self._emit(
            Packet(
                Kind.AUDIO,
                codec,
                data,
                self._times.unwrap(timestamp_ms) * audio.time_base_hz // 1000,
                received_ns,
                time_base_hz=audio.time_base_hz,
                duration=1024 if codec is Codec.AAC else len(data),
                flags=flags,
            )
        )

"""Converts the output of FFmpeg's demuxers: the tracks of a container, and libav's packets to ours.

Not here: opening, threads and pace (`sources.ffmpeg`).
"""

import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple, Self

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from ninjacam.codecs.aac import low_complexity_config, without_adts
from ninjacam.codecs.bitstream import annexb_from_config, from_length_prefixed, parameter_sets, parse_sps
from ninjacam.core.clock import Clock
from ninjacam.core.errors import DecodeError, NoVideoError, ProtocolError, UnsupportedCodecError
from ninjacam.core.packets import CODEC_BY_LABEL, VIDEO_CLOCK_HZ, Codec, Flags, Kind, Packet, Track
from ninjacam.core.texts import sentence
from ninjacam.sources.access_units import AccessUnits
from ninjacam.sources.base import OnPacket, SourceConfig, SourceStats
from ninjacam.sources.jpeg_images import JpegImages
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.track_clock import TrackClock

_NO_TIME_BASE = Fraction(1, VIDEO_CLOCK_HZ)
"""Time base of the empty packet at the end."""


class _Unit(NamedTuple):
    """The contents of a libav packet.

    The packet itself must not outlive its container. For a V4L2 device, it is one of the kernel's buffers, which
    FFmpeg returns through memory that closing the container frees, so the process would crash. No frame and no
    traceback may reference a packet.
    """

    data: bytes
    is_video: bool
    dts: int | None
    pts: int | None
    duration: int
    time_base: Fraction
    is_corrupt: bool
    reference_time: bytes
    """FFmpeg's "producer reference time", from RTCP sender reports; or empty."""

    @classmethod
    def of(cls, packet: "av.Packet[Any]") -> Self:
        return cls(
            bytes(packet),
            packet.stream.type == "video",
            packet.dts if packet.dts is not None else packet.pts,
            packet.pts if packet.pts is not None else packet.dts,
            packet.duration or 0,
            packet.time_base or _NO_TIME_BASE,
            packet.is_corrupt,
            bytes(packet.get_sidedata("prft")) if packet.has_sidedata("prft") else b"",
        )


class Reader:
    """Reads packets of one source, from any number of containers. Thread: the source's."""

    def __init__(
        self,
        container: InputContainer,
        config: SourceConfig,
        stats: SourceStats,
        clock: Clock,
        post: OnPacket,
    ) -> None:
        self._stats = stats
        self._clock = clock
        self._post_packet = post
        self._wants_audio = config.audio
        self._base = 0
        self._first: int | None = None
        self._last = 0
        self._step = VIDEO_CLOCK_HZ // 25
        self._pending: tuple[_Unit, int] | None = None
        self._wall = TrackClock(VIDEO_CLOCK_HZ)
        self.delivered = 0
        video, audio = _choose(container, audio=config.audio)
        self._codec = CODEC_BY_LABEL[video.codec_context.name]
        extradata = bytes(video.codec_context.extradata or b"")
        self._length_size = 0
        self._units: AccessUnits | JpegImages
        if self._codec is Codec.MJPEG:
            extradata = b""
            self._units = JpegImages(self._deliver, stats)
        else:
            try:
                extradata, self._length_size = annexb_from_config(self._codec, extradata)
            except DecodeError as exc:
                raise ProtocolError("The stream's description of its video is malformed.") from exc
            extradata = parameter_sets(self._codec, extradata).as_annexb()
            sets = ParameterSetCache(self._codec, extradata)
            self._units = AccessUnits(self._codec, sets, self._deliver, stats, self._wall)
        size = _size_of(self._codec, extradata) or (video.codec_context.width, video.codec_context.height)
        tracks = [Track(Kind.VIDEO, self._codec, VIDEO_CLOCK_HZ, extradata, *size)]
        self._has_adts = False
        if audio is not None:
            rate = audio.codec_context.sample_rate
            codec = CODEC_BY_LABEL[audio.codec_context.name]
            self._has_adts = codec is Codec.AAC and not audio.codec_context.extradata
            tracks.append(
                Track(
                    Kind.AUDIO,
                    codec,
                    rate,
                    _adts_config(audio) if self._has_adts else bytes(audio.codec_context.extradata or b""),
                    sample_rate_hz=rate,
                    channels=audio.codec_context.channels,
                )
            )
        self.tracks = tuple(tracks)

    def rewind(self, container: InputContainer) -> None:
        """Continue with the same file from its start. Time continues, and a discontinuity is marked."""
        self._base = self._last + self._step
        self._first = None
        self._units.gap()

    def read(self, container: InputContainer) -> Iterator[tuple[int, bool]]:
        """Yield (decoding time in 1/90000 s, which continues over rewinds; whether it is video) for each packet.
        `take` delivers it."""
        video, audio = _choose(container, audio=self._wants_audio)
        streams = [video] if audio is None else [video, audio]
        for unit in map(_Unit.of, container.demux(streams)):
            if not unit.data:
                continue
            scale, ticks = unit.time_base.numerator * VIDEO_CLOCK_HZ, unit.time_base.denominator
            if unit.is_video and unit.duration:
                self._step = max(1, unit.duration * scale // ticks)
            if unit.dts is None or unit.pts is None:
                due = pts = self._last + self._step if self._first is not None else self._base
                self._first = 0 if self._first is None else self._first
            else:
                if self._first is None:
                    self._first = unit.dts * scale // ticks - self._base
                due, pts = unit.dts * scale // ticks - self._first, unit.pts * scale // ticks - self._first
            if unit.is_video:
                self._last = max(self._last, due)
            self._pending = unit, pts
            yield due, unit.is_video

    def take(self) -> None:
        assert self._pending is not None
        unit, pts = self._pending
        data = unit.data
        received_ns = self._clock.monotonic_ns()
        self._stats.bytes_received += len(data)
        if unit.is_video:
            self._take_video(unit, pts, received_ns)
            return
        if self._has_adts:
            data = without_adts(data)
        if data:
            rate = self.tracks[1].time_base_hz
            self._post_packet(
                Packet(
                    Kind.AUDIO,
                    self.tracks[1].codec,
                    data,
                    pts * rate // VIDEO_CLOCK_HZ,
                    received_ns,
                    time_base_hz=rate,
                    flags=Flags.KEY,
                )
            )

    def _take_video(self, unit: _Unit, pts: int, received_ns: int) -> None:
        data = unit.data
        if unit.is_corrupt:
            self._stats.access_units_dropped += 1
            self._units.gap()
            return
        if self._length_size:
            try:
                data = from_length_prefixed(data, self._length_size)
            except DecodeError:
                self._stats.access_units_dropped += 1
                self._units.gap()
                return
        if len(unit.reference_time) >= 8:
            told_us = int.from_bytes(unit.reference_time[:8], sys.byteorder, signed=True)
            self._wall.set(pts, told_us * 1000)
        self._units.push_unit(data, pts, received_ns)

    def _deliver(self, packet: Packet) -> None:
        self.delivered += 1
        self._post_packet(packet)


def _choose(container: InputContainer, *, audio: bool) -> tuple[VideoStream, AudioStream | None]:
    """Return the tracks to read. Raises: NoVideoError; UnsupportedCodecError."""
    if not container.streams.video:
        raise NoVideoError("The source contains no video: check the URL.")
    for video in container.streams.video:
        if CODEC_BY_LABEL.get(video.codec_context.name, Codec.NONE).is_video:
            break
    else:
        names = ", ".join(sorted({stream.codec_context.name for stream in container.streams.video}))
        raise UnsupportedCodecError(
            sentence(
                "%(names)s video is not supported: switch the source to H.264, H.265 or MJPEG.", names=names
            )
        )
    for stream in container.streams.audio if audio else ():
        codec = CODEC_BY_LABEL.get(stream.codec_context.name, Codec.NONE)
        is_described = codec is not Codec.AAC or stream.codec_context.extradata or _adts_config(stream)
        if codec is not Codec.NONE and stream.codec_context.sample_rate and is_described:
            return video, stream
    return video, None


def _adts_config(audio: AudioStream) -> bytes:
    """Return the configuration of AAC in MPEG-TS, which repeats it in each frame; b"": not AAC-LC."""
    context = audio.codec_context
    return low_complexity_config(context.sample_rate, context.channels) if context.profile == "LC" else b""


def _size_of(codec: Codec, extradata: bytes) -> tuple[int, int] | None:
    sets = parameter_sets(codec, extradata) if extradata else None
    try:
        info = parse_sps(codec, sets.sps[0]) if sets and sets.sps else None
    except DecodeError:
        return None
    return (info.width_px, info.height_px) if info else None

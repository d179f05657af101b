"""A short recording that a fake camera plays in a loop: access units in memory, with the time at which each is sent."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from ninjacam.core.packets import CODEC_BY_LABEL, VIDEO_CLOCK_HZ, Codec

_TO_ANNEXB = {Codec.H264: "h264_mp4toannexb", Codec.H265: "hevc_mp4toannexb"}


@dataclass(frozen=True, slots=True)
class Unit:
    """One access unit or audio frame. `sent_s`, `pts_s`: seconds from the start of the clip; equal but for B-frames."""

    sent_s: float
    pts_s: float
    data: bytes = field(repr=False)
    key: bool


@dataclass(frozen=True, slots=True)
class ClipTrack:
    """`config`: AAC: the AudioSpecificConfig. `rate_hz`: the RTP clock."""

    codec: Codec
    units: tuple[Unit, ...] = field(repr=False)
    rate_hz: int = VIDEO_CLOCK_HZ
    channels: int = 1
    config: bytes = b""
    width_px: int = 0
    height_px: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Tracks of equal length. H.264 and H.265 are Annex B with parameter sets at the key frames, MJPEG whole JPEGs."""

    tracks: tuple[ClipTrack, ...]
    duration_s: float

    @property
    def video(self) -> ClipTrack:
        return next(track for track in self.tracks if track.codec.is_video)

    @property
    def frames(self) -> int:
        return len(self.video.units)

    @property
    def fps(self) -> float:
        return self.frames / self.duration_s

    def annexb(self) -> bytes:
        """The video as one elementary stream, each access unit opened by an access unit delimiter."""
        delimiter = b"\0\0\0\1\x09\xf0" if self.video.codec is Codec.H264 else b"\0\0\0\1\x46\x01\x50"
        return b"".join(delimiter + unit.data for unit in self.video.units)


def _packets(path: Path, index: int) -> "Iterator[av.Packet[Any]]":
    with av.open(str(path)) as container:
        stream = container.streams[index]
        codec = CODEC_BY_LABEL[stream.codec_context.name]
        raw = container.format.name in ("h264", "hevc")
        bsf = BitStreamFilterContext(_TO_ANNEXB[codec], stream) if codec in _TO_ANNEXB and not raw else None
        for packet in container.demux(stream):
            if packet.size:
                yield from bsf.filter(packet) if bsf else (packet,)


def load_clip(path: Path, *, fps: float = 25.0) -> Clip:
    """Read a media file. `fps`: for files without times of their own (raw .h264 and .h265).

    The codecs of `core.packets.Codec` are kept, other tracks left out. Raises: ValueError: no such video track.
    """
    tracks: list[ClipTrack] = []
    duration_s = 0.0
    with av.open(str(path)) as container:
        streams = [
            (stream.index, CODEC_BY_LABEL[stream.codec_context.name], stream.codec_context)
            for stream in (*container.streams.video, *container.streams.audio)
            if stream.codec_context.name in CODEC_BY_LABEL
        ]
        for index, codec, context in streams:
            units = _read_units(path, index, fps)
            if isinstance(context, av.VideoCodecContext):
                duration_s = duration_s or _video_duration_s(units)
                track = ClipTrack(codec, units, width_px=context.width, height_px=context.height)
            elif isinstance(context, av.AudioCodecContext):
                track = ClipTrack(
                    codec,
                    tuple(unit for unit in units if unit.sent_s < duration_s),
                    rate_hz=context.sample_rate,
                    channels=context.channels,
                    config=bytes(context.extradata or b""),
                )
            else:
                continue
            tracks.append(track)
    if not tracks or not tracks[0].codec.is_video:
        raise ValueError(f"{path} has no H.264, H.265 or MJPEG video.")
    return Clip(tuple(tracks), duration_s)


def _read_units(path: Path, index: int, fps: float) -> tuple[Unit, ...]:
    units: list[Unit] = []
    first = None
    for number, packet in enumerate(_packets(path, index)):
        if packet.dts is None or packet.pts is None or packet.time_base is None:
            sent = pts = Fraction(number) / Fraction(fps).limit_denominator(1001)
        else:
            sent, pts = packet.dts * packet.time_base, packet.pts * packet.time_base
        first = sent if first is None else first
        units.append(Unit(float(sent - first), float(pts - first), bytes(packet), packet.is_keyframe))
    return tuple(units)


def _video_duration_s(units: tuple[Unit, ...]) -> float:
    """The length of the loop: as many frame intervals as there are frames."""
    if len(units) < 2:
        return 1.0
    return units[-1].sent_s * len(units) / (len(units) - 1)


def write_clip(clip: Clip, path: Path) -> None:
    """Keep a clip in a file of our own, exactly as it is: a line of JSON, then the units. Atomic."""
    head = {
        "duration_s": clip.duration_s,
        "tracks": [
            {
                "codec": track.codec.label,
                "rate_hz": track.rate_hz,
                "channels": track.channels,
                "config": track.config.hex(),
                "width_px": track.width_px,
                "height_px": track.height_px,
                "units": [(unit.sent_s, unit.pts_s, len(unit.data), unit.key) for unit in track.units],
            }
            for track in clip.tracks
        ],
    }
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.writelines(unit.data for track in clip.tracks for unit in track.units)
    unfinished.replace(path)


def read_clip(path: Path) -> Clip:
    """What `write_clip` wrote."""
    with path.open("rb") as file:
        head = json.loads(file.readline())
        tracks = tuple(
            ClipTrack(
                codec=CODEC_BY_LABEL[entry["codec"]],
                units=tuple(Unit(sent, pts, file.read(size), key) for sent, pts, size, key in entry["units"]),
                rate_hz=entry["rate_hz"],
                channels=entry["channels"],
                config=bytes.fromhex(entry["config"]),
                width_px=entry["width_px"],
                height_px=entry["height_px"],
            )
            for entry in head["tracks"]
        )
        return Clip(tracks, head["duration_s"])

"""Selects tracks from the SDP: one video track, one audio track, and a depacketizer for each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ninjacam.codecs.bitstream import parameter_sets, parse_sps
from ninjacam.codecs.sps import MAX_FPS, MIN_FPS
from ninjacam.core.errors import DecodeError, NoVideoError, UnsupportedCodecError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Kind, Track
from ninjacam.core.texts import sentence
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.rtsp.audio import AacDepacketizer, AudioDepacketizer
from ninjacam.sources.rtsp.h264 import H264Depacketizer
from ninjacam.sources.rtsp.h265 import H265Depacketizer
from ninjacam.sources.rtsp.jpeg import JpegDepacketizer
from ninjacam.sources.rtsp.payload_codec import codec_of_payload
from ninjacam.sources.rtsp.rtp import Depacketizer, RtpReceiver
from ninjacam.sources.rtsp.sdp import Description, Format, Media, sprop_annexb
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import Emit

_VIDEO = {"H264": Codec.H264, "H265": Codec.H265, "JPEG": Codec.MJPEG}
_AUDIO = {"PCMA": Codec.PCMA, "PCMU": Codec.PCMU, "MPEG4-GENERIC": Codec.AAC}


@dataclass(slots=True)
class RtspTrack:
    """One track to set up. `receiver` receives its packets with `payload_type`. `control`: attribute of its SDP
    section."""

    track: Track
    receiver: RtpReceiver
    control: str
    payload_type: int


def choose_tracks(
    description: Description,
    emit: Emit,
    stats: SourceStats,
    *,
    audio: bool,
    ordered: bool = True,
    skip: int = 0,
) -> list[RtspTrack]:
    """Return the first readable video track, and the first readable audio track if there is one.

    `ordered`: see `RtpReceiver`. `skip`: number of readable video tracks that the camera has already refused.

    Raises: NoVideoError; UnsupportedCodecError: only video of other formats is offered.
    """
    videos = [media for media in description.media if media.kind == "video"]
    videos.sort(key=lambda media: "inactive" in media.attributes)
    if not videos:
        raise NoVideoError("The camera answers, but offers no video: check the path of the URL.")
    video = next(islice(_readable(videos, _VIDEO), skip, None), None)
    if video is None:
        names = sorted({form.encoding[:16] for media in videos for form in media.formats if form.encoding})
        shown = ", ".join(names).encode("ascii", "replace").decode() or "an unnamed format"
        raise UnsupportedCodecError(
            sentence(
                "The camera sends %(shown)s, which cannot be read: set it to H.264, H.265 or MJPEG in "
                "its own settings.",
                shown=shown,
            )
        )
    stats.declared_fps = _declared_fps(video[0])
    chosen = [_video_track(*video, emit, stats, ordered)]
    # Streams marked "sendonly" are back channels: the camera's loudspeaker, which expects audio from us.
    audios = [
        media
        for media in description.media
        if media.kind == "audio" and media.attributes.keys().isdisjoint(("sendonly", "inactive"))
    ]
    sound = next(_readable(audios, _AUDIO), None) if audio else None
    if sound is not None:
        chosen.append(_audio_track(*sound, emit, stats, ordered))
    return chosen


def _readable(medias: list[Media], known: dict[str, Codec]) -> Iterator[tuple[Media, Format]]:
    """Yield each section with a readable format, and the first such format."""
    for media in medias:
        for form in media.formats:
            if form.encoding in known and (form.encoding != "MPEG4-GENERIC" or form.clock_hz):
                yield media, form
                break


def _video_track(media: Media, form: Format, emit: Emit, stats: SourceStats, ordered: bool) -> RtspTrack:
    """Return a track for the first readable format. It also accepts packets of the other formats."""
    clock = TrackClock(VIDEO_CLOCK_HZ)
    track, depacketizer = _video_format(media, form, emit, stats, clock)
    receiver = RtpReceiver(form.payload_type, VIDEO_CLOCK_HZ, depacketizer, clock, stats, ordered=ordered)
    for other in media.formats:
        if other is not form and other.encoding in _VIDEO:
            receiver.offer(other.payload_type, _video_format(media, other, emit, stats, clock)[1])
    if track.codec is not Codec.MJPEG:
        named = "H265" if track.codec is Codec.H264 else "H264"
        unnamed, other_depacketizer = _video_format(
            media, Format(form.payload_type, named), emit, stats, clock
        )
        by_codec: dict[Codec | None, Depacketizer] = {
            track.codec: depacketizer,
            unnamed.codec: other_depacketizer,
        }
        receiver.doubt(lambda payload: by_codec.get(codec_of_payload(payload)))
    return RtspTrack(track, receiver, media.control, form.payload_type)


def _video_format(
    media: Media, form: Format, emit: Emit, stats: SourceStats, clock: TrackClock
) -> tuple[Track, Depacketizer]:
    codec = _VIDEO[form.encoding]
    extradata = b"" if codec is Codec.MJPEG else sprop_annexb(form)
    width_px, height_px = _size_of(media, codec, extradata)
    depacketizer: Depacketizer
    if codec is Codec.MJPEG:
        depacketizer = JpegDepacketizer(emit, stats, clock, (width_px, height_px))
    elif codec is Codec.H264:
        depacketizer = H264Depacketizer(codec, ParameterSetCache(codec, extradata), emit, stats, clock)
    else:
        has_donl = form.integer("sprop-max-don-diff") > 0
        depacketizer = H265Depacketizer(
            ParameterSetCache(codec, extradata), emit, stats, clock, has_donl=has_donl
        )
    return Track(Kind.VIDEO, codec, VIDEO_CLOCK_HZ, extradata, width_px, height_px), depacketizer


def _declared_fps(media: Media) -> float:
    """Return the frame rate in the SDP (RFC 8866, section 6.13, or its older nonstandard name); 0: none."""
    text = media.attributes.get("framerate") or media.attributes.get("x-framerate", "")
    found = re.match(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*\Z", text, re.ASCII)
    fps = float(found[1]) if found else 0.0
    return fps if MIN_FPS <= fps <= MAX_FPS else 0.0


def _size_of(media: Media, codec: Codec, extradata: bytes) -> tuple[int, int]:
    if codec is Codec.MJPEG:
        for name, pattern in (
            ("x-dimensions", r"(\d{1,5})\s*,\s*(\d{1,5})"),
            ("framesize", r"\d+ (\d{1,5})-(\d{1,5})"),
        ):
            found = re.match(pattern, media.attributes.get(name, ""))
            if found:
                return int(found[1]) & 0x3FFF, int(found[2]) & 0x3FFF
        return 0, 0
    try:
        sets = parameter_sets(codec, extradata)
        info = parse_sps(codec, sets.sps[0]) if sets.sps else None
    except DecodeError:
        info = None
    return (info.width_px, info.height_px) if info else (0, 0)


def _audio_track(media: Media, form: Format, emit: Emit, stats: SourceStats, ordered: bool) -> RtspTrack:
    codec = _AUDIO[form.encoding]
    clock_hz = form.clock_hz or 8000
    clock = TrackClock(clock_hz)
    config = b""
    depacketizer: Depacketizer
    if codec is Codec.AAC:
        text, size_bits = form.fmtp.get("config", ""), form.integer("sizelength", 13)
        config = bytes.fromhex(text) if re.fullmatch(r"(?:[0-9a-fA-F]{2}){2,64}", text) else b""
        depacketizer = AacDepacketizer(
            clock_hz,
            emit,
            stats,
            clock,
            size_bits=size_bits if 6 <= size_bits <= 16 else 13,
            index_bits=min(16, form.integer("indexlength", 3)),
        )
    else:
        depacketizer = AudioDepacketizer(codec, clock_hz, max(1, form.channels), emit, stats, clock)
    track = Track(
        Kind.AUDIO, codec, clock_hz, config, sample_rate_hz=clock_hz, channels=max(1, form.channels)
    )
    receiver = RtpReceiver(form.payload_type, clock_hz, depacketizer, clock, stats, ordered=ordered)
    return RtspTrack(track, receiver, media.control, form.payload_type)

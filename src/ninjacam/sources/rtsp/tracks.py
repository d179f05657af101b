"""From what the SDP offers to what we take: one video track, one audio track, and a depacketizer for each."""

import re
from dataclasses import dataclass

from ninjacam.core.bitstream import parameter_sets, parse_sps
from ninjacam.core.errors import DecodeError, NoVideoError, UnsupportedCodecError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Kind, Track
from ninjacam.sources.access_units import Emit, ParameterSetCache
from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.audio import AacDepacketizer, AudioDepacketizer
from ninjacam.sources.rtsp.h264 import H264Depacketizer
from ninjacam.sources.rtsp.h265 import H265Depacketizer
from ninjacam.sources.rtsp.jpeg import JpegDepacketizer
from ninjacam.sources.rtsp.rtp import Depacketizer, RtpReceiver
from ninjacam.sources.rtsp.sdp import Description, Media, sprop_annexb
from ninjacam.sources.track_clock import TrackClock

_VIDEO = {"H264": Codec.H264, "H265": Codec.H265, "HEVC": Codec.H265, "JPEG": Codec.MJPEG}
_AUDIO = {"PCMA": Codec.PCMA, "PCMU": Codec.PCMU, "MPEG4-GENERIC": Codec.AAC}


@dataclass(slots=True)
class RtspTrack:
    """One track to set up. `receiver` takes its RTP packets."""

    media: Media
    track: Track
    receiver: RtpReceiver


def choose_tracks(
    description: Description, emit: Emit, stats: SourceStats, *, audio: bool
) -> list[RtspTrack]:
    """The first video track that we can read, then perhaps the first such audio track.

    Raises: NoVideoError; UnsupportedCodecError: only video of other formats is offered.
    """
    videos = [media for media in description.media if media.kind == "video"]
    if not videos:
        raise NoVideoError("The camera answers, but offers no video: check the path of the URL.")
    video = next((media for media in videos if _codec_of(media, _VIDEO)), None)
    if video is None:
        names = ", ".join(sorted({media.encoding[:16] or "an unnamed format" for media in videos}))
        raise UnsupportedCodecError(
            f"The camera sends {names}, which cannot be read: set it to H.264, H.265 or MJPEG in its own settings."
        )
    chosen = [_video_track(video, emit, stats)]
    if audio:
        for media in description.media:
            if media.kind == "audio" and _codec_of(media, _AUDIO):
                chosen.append(_audio_track(media, emit, stats))
                break
    return chosen


def _codec_of(media: Media, known: dict[str, Codec]) -> Codec | None:
    codec = known.get(media.encoding)
    if codec is Codec.H264 and media.fmtp.get("packetization-mode", "0") not in ("0", "1"):
        return None
    if codec is Codec.AAC and (not media.clock_hz or not 6 <= media.integer("sizelength", 13) <= 16):
        return None
    return codec


def _video_track(media: Media, emit: Emit, stats: SourceStats) -> RtspTrack:
    codec = _VIDEO[media.encoding]
    clock = TrackClock(VIDEO_CLOCK_HZ)
    extradata = b"" if codec is Codec.MJPEG else sprop_annexb(media)
    width_px, height_px = _size_of(media, codec, extradata)
    depacketizer: Depacketizer
    if codec is Codec.MJPEG:
        depacketizer = JpegDepacketizer(emit, stats, clock, (width_px, height_px))
    elif codec is Codec.H264:
        depacketizer = H264Depacketizer(codec, ParameterSetCache(codec, extradata), emit, stats, clock)
    else:
        has_donl = media.integer("sprop-max-don-diff") > 0
        depacketizer = H265Depacketizer(
            ParameterSetCache(codec, extradata), emit, stats, clock, has_donl=has_donl
        )
    track = Track(Kind.VIDEO, codec, VIDEO_CLOCK_HZ, extradata, width_px, height_px)
    return RtspTrack(
        media, track, RtpReceiver(media.payload_type, VIDEO_CLOCK_HZ, depacketizer, clock, stats)
    )


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


def _audio_track(media: Media, emit: Emit, stats: SourceStats) -> RtspTrack:
    codec = _AUDIO[media.encoding]
    clock_hz = media.clock_hz or 8000
    clock = TrackClock(clock_hz)
    config = b""
    depacketizer: Depacketizer
    if codec is Codec.AAC:
        text = media.fmtp.get("config", "")
        config = bytes.fromhex(text) if re.fullmatch(r"(?:[0-9a-fA-F]{2}){2,64}", text) else b""
        depacketizer = AacDepacketizer(
            clock_hz,
            emit,
            stats,
            clock,
            size_bits=media.integer("sizelength", 13),
            index_bits=min(16, media.integer("indexlength", 3)),
        )
    else:
        depacketizer = AudioDepacketizer(codec, clock_hz, max(1, media.channels), emit, stats, clock)
    track = Track(
        Kind.AUDIO, codec, clock_hz, config, sample_rate_hz=clock_hz, channels=max(1, media.channels)
    )
    return RtspTrack(media, track, RtpReceiver(media.payload_type, clock_hz, depacketizer, clock, stats))

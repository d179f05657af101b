"""The session description that a fake camera answers to DESCRIBE (RFC 4566)."""

import base64
from collections.abc import Sequence

from ninjacam.codecs.bitstream import parameter_sets
from ninjacam.core.packets import Codec
from ninjacam.testing.clips import Clip, ClipTrack
from ninjacam.testing.rtp import payload_type

BACK_CHANNEL = "track-back"
"""The control of the loudspeaker."""
_STATIC_NUMBERS = {"PCMU/8000": 0, "PCMA/8000": 8}


def describe(
    clip: Clip,
    *,
    host: str,
    control_base: str = "",
    sprop: bool = True,
    video: bool = True,
    codec_name: str = "",
    back_channel: Sequence[str] = (),
    declared_fps: float = 0.0,
) -> str:
    """`control_base`: put before the tracks' control URLs, which are relative without it.

    `sprop`: give the parameter sets. `video`: False leaves the video out. `codec_name`: claim the video to be that.
    `back_channel`: the formats of a loudspeaker.
    `declared_fps`: frame rate of the video; 0: that of the clip.
    """
    lines = [
        "v=0",
        f"o=- 1 1 IN IP4 {host}",
        "s=Ninjacam test camera",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        f"a=control:{control_base or '*'}",
        "a=range:npt=now-",
    ]
    for index, track in enumerate(clip.tracks):
        if track.codec.is_video and not video:
            continue
        number = payload_type(track.codec, index)
        if track.codec.is_video and codec_name:
            number = 96 + index
            formats = [f"a=rtpmap:{number} {codec_name}/90000"]
        else:
            formats = _format_lines(track, number, sprop)
        kind = "video" if track.codec.is_video else "audio"
        lines += [f"m={kind} 0 RTP/AVP {number}", *formats]
        lines.append(f"a=control:{control_base + '/' if control_base else ''}track{index}")
        if track.codec.is_video:
            lines.append(f"a=framerate:{declared_fps or clip.fps:g}")
    return "\r\n".join(lines + _back_channel_lines(back_channel)) + "\r\n"


def _back_channel_lines(formats: Sequence[str]) -> list[str]:
    if not formats:
        return []
    numbers = [_STATIC_NUMBERS.get(name, 110 + index) for index, name in enumerate(formats)]
    return [
        f"m=audio 0 RTP/AVP {' '.join(map(str, numbers))}",
        *(f"a=rtpmap:{number} {name}" for number, name in zip(numbers, formats, strict=True)),
        f"a=control:{BACK_CHANNEL}",
        "a=sendonly",
    ]


def _format_lines(track: ClipTrack, number: int, sprop: bool) -> list[str]:
    def encoded(nals: tuple[bytes, ...]) -> str:
        return ",".join(base64.b64encode(nal).decode() for nal in nals)

    if track.codec is Codec.H264:
        text = f"a=fmtp:{number} packetization-mode=1"
        if sprop:
            sets = parameter_sets(track.codec, track.units[0].data)
            text += f";profile-level-id={sets.sps[0][1:4].hex()}"
            text += f";sprop-parameter-sets={encoded(sets.sps + sets.pps)}"
        return [f"a=rtpmap:{number} H264/90000", text]
    if track.codec is Codec.H265:
        out = [f"a=rtpmap:{number} H265/90000"]
        if sprop:
            sets = parameter_sets(track.codec, track.units[0].data)
            values = {"vps": sets.vps, "sps": sets.sps, "pps": sets.pps}
            out.append(f"a=fmtp:{number} " + ";".join(f"sprop-{k}={encoded(v)}" for k, v in values.items()))
        return out
    if track.codec is Codec.AAC:
        return [
            f"a=rtpmap:{number} MPEG4-GENERIC/{track.rate_hz}/{track.channels}",
            f"a=fmtp:{number} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            f"indexdeltalength=3;config={track.config.hex()}",
        ]
    names = {Codec.MJPEG: "JPEG/90000", Codec.PCMA: "PCMA/8000", Codec.PCMU: "PCMU/8000"}
    return [f"a=rtpmap:{number} {names[track.codec]}"]

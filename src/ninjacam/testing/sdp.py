"""The session description that a fake camera answers to DESCRIBE (RFC 4566)."""

import base64

from ninjacam.core.packets import Codec
from ninjacam.testing.clips import Clip, ClipTrack, nal_type, parameter_sets
from ninjacam.testing.rtp import payload_type


def describe(
    clip: Clip,
    *,
    host: str,
    control_base: str = "",
    sprop: bool = True,
    video: bool = True,
    codec_name: str = "",
) -> str:
    """`control_base`: put before the tracks' control URLs, which are relative without it.

    `sprop`: give the parameter sets. `video`: False leaves the video out. `codec_name`: claim the video to be that.
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
            lines.append(f"a=framerate:{clip.fps:g}")
    return "\r\n".join(lines) + "\r\n"


def _format_lines(track: ClipTrack, number: int, sprop: bool) -> list[str]:
    if track.codec is Codec.H264:
        sets = parameter_sets(track)
        text = f"a=fmtp:{number} packetization-mode=1"
        if sprop:
            text += f";profile-level-id={sets[0][1:4].hex()};sprop-parameter-sets="
            text += ",".join(base64.b64encode(nal).decode() for nal in sets)
        return [f"a=rtpmap:{number} H264/90000", text]
    if track.codec is Codec.H265:
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        values = {
            names[nal_type(track.codec, nal)]: base64.b64encode(nal).decode() for nal in parameter_sets(track)
        }
        out = [f"a=rtpmap:{number} H265/90000"]
        return [*out, f"a=fmtp:{number} " + ";".join(f"{k}={v}" for k, v in values.items())] if sprop else out
    if track.codec is Codec.AAC:
        return [
            f"a=rtpmap:{number} MPEG4-GENERIC/{track.rate_hz}/{track.channels}",
            f"a=fmtp:{number} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            f"indexdeltalength=3;config={track.config.hex()}",
        ]
    names_by_codec = {Codec.MJPEG: "JPEG/90000", Codec.PCMA: "PCMA/8000", Codec.PCMU: "PCMU/8000"}
    return [f"a=rtpmap:{number} {names_by_codec[track.codec]}"]

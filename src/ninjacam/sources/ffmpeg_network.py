"""Video over HTTP that FFmpeg demuxes: HLS, MPEG-TS, FLV and more.

FFmpeg opens no socket and no file: our HTTP client fetches everything that its demuxers request (`ffmpeg_http`).
"""

import asyncio
from dataclasses import replace

from ninjacam.core.clock import Clock
from ninjacam.sources.base import Source
from ninjacam.sources.ffmpeg import FfmpegInput, open_plan
from ninjacam.sources.ffmpeg_http import HttpFiles, is_playlist
from ninjacam.sources.http_client import HttpBody
from ninjacam.sources.urls import RequestTarget

# Demuxers that FFmpeg may select by content. They open files only through our callback, unlike rtsp, sdp or rtp,
# which open their own sockets.
_FORMATS = "flv,live_flv,mpegts,mov,matroska,mpjpeg,mjpeg,h264,hevc"
_PLAYLIST_FORMATS = f"hls,{_FORMATS}"
"""A playlist can refer to other hosts, so it is allowed only if the user asked for one: a URL that ends in .m3u8."""


async def open_answer(body: HttpBody, *, clock: Clock, timeout_s: float) -> Source:
    """Play a response of our HTTP client, and become its owner. Raises: SourceError."""
    target = body.target
    config = replace(body.config, url=target.uri, open_timeout_s=timeout_s)
    plan = FfmpegInput(
        url=target.uri,
        where=f"{target.host}:{target.port}",
        kind="network",
        options=_options(target),
        files=HttpFiles(body, config, asyncio.get_running_loop(), clock),
        in_bursts=is_playlist(target),
    )
    return await open_plan(plan, config, clock=clock)


def _options(target: RequestTarget) -> dict[str, str]:
    return {
        # The HLS reader compares the schemes of its segments with this list. Our client opens them.
        "protocol_whitelist": "http,https",
        "format_whitelist": _PLAYLIST_FORMATS if is_playlist(target) else _FORMATS,
        "probesize": "200000",
        "analyzeduration": "1000000",
        # FFmpeg's HLS reader would look for its own HTTP client below the result of `io_open`, and abort.
        "http_persistent": "0",
        "http_multiple": "0",
        "extension_picky": "0",
    }

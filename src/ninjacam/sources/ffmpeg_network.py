"""Network cameras that FFmpeg reads: RTSP over UDP, RTMP, SRT, HLS and other video over HTTP."""

import asyncio
from urllib.parse import quote

import av
import av.error

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ConfigError, SourceError, SourceTimeoutError
from ninjacam.sources import addresses
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.ffmpeg import Plan, open_plan
from ninjacam.sources.ffmpeg_errors import translate_av_error
from ninjacam.sources.ffmpeg_http import is_playlist
from ninjacam.sources.urls import Target, parse_url

# Demuxers that may be guessed from content, and protocols that these may open in their turn: no files.
_FORMATS = "rtsp,sdp,rtp,flv,live_flv,mpegts,mov,matroska,mpjpeg,mjpeg,h264,hevc"
_PLAYLIST_FORMATS = f"hls,{_FORMATS}"
"""A playlist may send us to other hosts, so only for whom the operator asked for one: a URL that ends in .m3u8."""
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
    "srt": "srt,udp",
    "http": "http,https",
    "https": "http,https",
}


async def open_network(config: SourceConfig, *, clock: Clock) -> Source:
    """Raises: SourceError; ConfigError: the URL or the transport is wrong."""
    target = parse_url(config.url)
    if target.scheme == "rtsps":
        raise ConfigError("rtsps: works over TCP only: set the transport of this camera to TCP.")
    if not target.port:
        raise ConfigError(f"The URL names no port: write it as {target.scheme}://host:port.")
    over_http = target.scheme in ("http", "https")
    plan = Plan(
        url=target.uri if over_http else _url(target, await _address(target, config), config),
        where=f"{target.host}:{target.port}",
        kind="network",
        format="rtsp" if target.scheme == "rtsp" else None,
        options=_options(target, config),
        over_http=over_http,
        in_bursts=over_http and is_playlist(target),
    )
    return await open_plan(plan, config, clock=clock)


def srt_error() -> SourceError | None:
    """What keeps this installation from reading any srt: camera. Sends nothing: a URL without a port is not tried."""
    try:
        av.open("srt://127.0.0.1", "r").close()
    except av.error.ProtocolNotFoundError as exc:
        return translate_av_error(exc, "", "srt")
    except (av.error.FFmpegError, OSError, ValueError):
        return None
    return None


async def _address(target: Target, config: SourceConfig) -> str:
    try:
        async with asyncio.timeout(config.open_timeout_s):
            return str((await addresses.resolve(target.host, target.port, config))[0])
    except TimeoutError as exc:
        raise SourceTimeoutError(f"The name {target.host} was not found in time: check the network.") from exc


def _url(target: Target, address: str, config: SourceConfig) -> str:
    """With the address that was checked instead of the name, but where TLS needs the name for the certificate."""
    host = target.host if target.is_tls else address
    host = f"[{host}]" if ":" in host else host
    user = ""
    if config.username or config.password:
        user = f"{quote(config.username, safe='')}:{quote(config.password, safe='')}@"
    path = "" if target.scheme == "srt" and target.path == "/" else target.path
    return f"{target.scheme}://{user}{host}:{target.port}{path}"


def _options(target: Target, config: SourceConfig) -> dict[str, str]:
    over_http = target.scheme in ("http", "https")
    formats = _PLAYLIST_FORMATS if over_http and is_playlist(target) else _FORMATS
    options = {"protocol_whitelist": _PROTOCOLS[target.scheme], "format_whitelist": formats}
    if target.scheme == "rtsp":
        # 32: play at once; what probing would find stands in the parameter sets.
        return {**options, "rtsp_transport": "udp", "probesize": "32", "user_agent": "Ninjacam"}
    options |= {"probesize": "200000", "analyzeduration": "1000000"}
    if over_http:
        # FFmpeg's HLS reader would look for its own HTTP client below what `io_open` has given it, and abort.
        return {**options, "http_persistent": "0", "http_multiple": "0", "extension_picky": "0"}
    if target.is_tls:
        options["tls_verify"] = "1" if config.verify_tls else "0"
    return options

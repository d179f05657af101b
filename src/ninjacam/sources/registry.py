"""The closed list of URL schemes and their openers. No scheme can start a program.

FFmpeg is imported only when needed, so that capture processes of RTSP cameras stay small and do not run its code.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError, UnsupportedSchemeError
from ninjacam.core.redact import split_credentials
from ninjacam.core.texts import sentence
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.publish import open_push
from ninjacam.sources.rtsp.session import open_rtsp
from ninjacam.sources.urls import check_characters, parse_url

Opener = Callable[[SourceConfig, Clock], Awaitable[Source]]


async def _open_rtsp(config: SourceConfig, clock: Clock) -> Source:
    return await open_rtsp(config, clock=clock)


async def _open_http(config: SourceConfig, clock: Clock) -> Source:
    from ninjacam.sources import http_mjpeg

    return await http_mjpeg.open_http(config, clock=clock)


async def _open_file(config: SourceConfig, clock: Clock) -> Source:
    from ninjacam.sources import files

    return await files.open_file(config, clock=clock)


async def _open_device(config: SourceConfig, clock: Clock) -> Source:
    from ninjacam.sources import usb

    return await usb.open_device(config, clock=clock)


async def _open_udp(config: SourceConfig, clock: Clock) -> Source:
    from ninjacam.sources import udp

    return await udp.open_udp(config, clock=clock)


async def _open_push(config: SourceConfig, clock: Clock) -> Source:
    return await open_push(config, clock=clock)


OPENERS: dict[str, Opener] = {
    "rtsp": _open_rtsp,
    "rtsps": _open_rtsp,
    "rtsp+http": _open_rtsp,
    "rtsp+https": _open_rtsp,
    "http": _open_http,
    "https": _open_http,
    "udp": _open_udp,
    "file": _open_file,
    "v4l2": _open_device,
    "push": _open_push,
}
SCHEMES = frozenset(OPENERS)
_RTSP = ("rtsp", "rtsps", "rtsp+http", "rtsp+https")
_USE_ANOTHER = "Use the camera's rtsp: URL, or provide HLS or MPEG-TS over http:, or MPEG-TS over udp:."
_REFUSED = {
    "rtmp": f"RTMP servers cannot be read. Add the camera as push: and let it publish to Ninjacam. {_USE_ANOTHER}",
    "rtmps": f"RTMP servers cannot be read. Add the camera as push: and let it publish to Ninjacam. {_USE_ANOTHER}",
    "srt": f"SRT is not supported. {_USE_ANOTHER}",
}
"""FFmpeg supports some of these, but would open its own sockets and bypass the checks of addresses and redirects.
"""


def scheme_of(url: str) -> str:
    """Return the scheme of a URL. Raises: UnsupportedSchemeError: the scheme is not in the list."""
    scheme = url.partition(":")[0].lower()
    if scheme in _REFUSED:
        raise UnsupportedSchemeError(_REFUSED[scheme])
    if scheme not in OPENERS:
        raise UnsupportedSchemeError(
            sentence(
                "Unsupported URL scheme %(scheme)s. Use one of %(schemes)s.",
                scheme=f"{scheme[:20]!r}",
                schemes=", ".join(sorted(OPENERS)),
            )
        )
    return scheme


def check_url(url: str) -> None:
    """Check a URL without network access. Raises: UnsupportedSchemeError; ConfigError: it is malformed."""
    scheme = scheme_of(url)
    if scheme in ("file", "v4l2", "push"):
        return
    if scheme == "udp":
        from ninjacam.sources.udp import parse_udp

        parse_udp(url)
        return
    parse_url(url)
    if scheme in ("http", "https"):
        from ninjacam.sources.http_snapshots import interval_of

        interval_of(url)


def runs_native_code(config: SourceConfig) -> bool:
    """Return whether FFmpeg's C code parses this camera's data, so that capture must use a separate process.

    Raises: UnsupportedSchemeError.
    """
    return scheme_of(config.url) not in (*_RTSP, "push")


def speaks_rtsp(url: str) -> bool:
    """Return whether the camera is an RTSP server, which may accept audio."""
    return url.partition(":")[0].lower() in _RTSP


def waits_for_publisher(config: SourceConfig) -> bool:
    """Return whether the camera connects to us. Raises: UnsupportedSchemeError."""
    return scheme_of(config.url) == "push"


async def open_source(config: SourceConfig, *, clock: Clock = SYSTEM_CLOCK) -> Source:
    """Open a camera, within `config.open_timeout_s`; the caller closes it.

    Raises: SourceError: each subclass says what to do; ConfigError: the URL or an option is invalid.
    """
    opener = OPENERS[scheme_of(config.url)]
    return await opener(_without_user_info(config), clock)


def _without_user_info(config: SourceConfig) -> SourceConfig:
    """Move credentials from the URL to the configuration."""
    if "@" not in config.url:
        return config
    check_characters(config.url)
    try:
        url, username, password = split_credentials(config.url)
    except ValueError as exc:
        raise ConfigError("The URL is malformed. Write it as rtsp://host:port/path.") from exc
    if not username and not password:
        return config
    return replace(
        config, url=url, username=config.username or username, password=config.password or password
    )

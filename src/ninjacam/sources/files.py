"""Video files as cameras, at real pace, once or in a loop."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ConfigError, ForbiddenAddressError, StreamNotFoundError
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.ffmpeg import FfmpegInput, open_plan

# Containers that hold their media themselves: no playlists, no image sequences, nothing that opens another file.
_FORMATS = "mov,matroska,avi,mpegts,mpeg,flv,h264,hevc,mjpeg,ogg"


async def open_file(config: SourceConfig, *, clock: Clock) -> Source:
    """Raises: ForbiddenAddressError: outside `config.files_dir`; StreamNotFoundError; SourceError."""
    path = file_path(config)
    plan = FfmpegInput(
        url=f"file:{path}",
        where=path.name,
        kind="file",
        options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        loop=config.loop,
    )
    return await open_plan(plan, config, clock=clock)


def file_path(config: SourceConfig) -> Path:
    """The file that a file: URL means, links resolved: absolute, or relative to the directory of files."""
    if not config.files_dir:
        raise ForbiddenAddressError(
            "Files are switched off as cameras: set the directory that they may lie in."
        )
    try:
        parts = urlsplit(config.url)
    except ValueError as exc:
        raise ConfigError("The URL is malformed: write it as file:name.mp4.") from exc
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(
            "The URL of a file names no host: write it as file:name.mp4 or file:///path/name.mp4."
        )
    name = unquote(parts.path)
    if not name or "\x00" in name:
        raise ConfigError("The URL names no file: write it as file:name.mp4.")
    root = Path(config.files_dir).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise ForbiddenAddressError("The file lies outside the directory that camera files may be in.")
    if not path.is_file():
        raise StreamNotFoundError(f"There is no file {path.name[:80]} in the directory of camera files.")
    return path

"""Video files as cameras, in real time, once or in a loop."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ConfigError, ForbiddenAddressError, StreamNotFoundError
from ninjacam.core.texts import sentence
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.ffmpeg import FfmpegInput, open_plan

# Self-contained containers: no playlists, no image sequences, nothing that opens another file.
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
    """Return the resolved path of a file: URL. A relative path is relative to the directory of files."""
    if not config.files_dir:
        raise ForbiddenAddressError(
            "File cameras are disabled. Set FILES_DIR to the directory that contains the files."
        )
    try:
        parts = urlsplit(config.url)
    except ValueError as exc:
        raise ConfigError("The URL is malformed. Write it as file:name.mp4.") from exc
    if parts.netloc not in ("", "localhost"):
        raise ConfigError(
            "The URL of a file must not contain a host. Write it as file:name.mp4 or file:///path/name.mp4."
        )
    name = unquote(parts.path)
    if not name or "\x00" in name:
        raise ConfigError("The URL contains no file name. Write it as file:name.mp4.")
    root = Path(config.files_dir).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise ForbiddenAddressError("The file is outside of the directory for camera files.")
    if not path.is_file():
        raise StreamNotFoundError(
            sentence("No file %(name)s in the directory of camera files.", name=path.name[:80])
        )
    return path

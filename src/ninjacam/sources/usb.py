"""USB and built-in cameras through Video4Linux: `v4l2:///dev/video0?format=mjpeg&size=1280x720&fps=25`."""

import contextlib
import fcntl
import os
import re
import stat
import struct
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import av

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ConfigError, DeviceError
from ninjacam.core.texts import sentence
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.ffmpeg import FfmpegInput, open_plan

_DEVICE = re.compile(r"/dev/video\d{1,3}")
_VIDIOC_STREAMOFF, _VIDEO_CAPTURE = 0x4004_5613, 1  # linux/videodev2.h
_OPTIONS = {
    "format": ("input_format", re.compile("mjpeg|h264")),
    "size": ("video_size", re.compile(r"\d{2,5}x\d{2,5}")),
    "fps": ("framerate", re.compile(r"\d{1,3}")),
}


async def open_device(config: SourceConfig, *, clock: Clock) -> Source:
    """Raises: DeviceError: missing, busy, forbidden, or without compressed video; ConfigError: the URL is invalid."""
    path, options = parse_device_url(config.url)
    name = next((name for name in av.formats_available if "v4l2" in name.split(",")), None)
    if name is None:
        raise DeviceError("This build of PyAV cannot read USB cameras: install one that has V4L2.")
    if not _is_device(path):
        raise DeviceError(
            sentence("There is no device %(path)s: plug the camera in, or choose another.", path=path)
        )
    unblock = partial(_stop_streaming, path)
    plan = FfmpegInput(url=path, where=path, kind="device", format="v4l2", options=options, unblock=unblock)
    return await open_plan(plan, config, clock=clock)


def _stop_streaming(path: str) -> None:
    """Interrupt FFmpeg's wait for the next frame, which FFmpeg cannot interrupt itself: a camera that hangs sends no
    frame.

    The file descriptor is found by the device's number, because the stream belongs to the open file, not the
    process.
    """
    with contextlib.suppress(OSError):
        number = os.stat(path).st_rdev
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.fstat(int(entry)).st_rdev == number:
                    fcntl.ioctl(int(entry), _VIDIOC_STREAMOFF, struct.pack("i", _VIDEO_CAPTURE))


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:
        return False


def parse_device_url(url: str) -> tuple[str, dict[str, str]]:
    """Return (path of the device, FFmpeg's options). MJPEG unless H.264 is requested: raw video is not supported."""
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise ConfigError("The URL is malformed. Write it as v4l2:///dev/video0.") from exc
    if parts.netloc or not _DEVICE.fullmatch(parts.path):
        raise ConfigError("Write the URL of a USB camera as v4l2:///dev/video0.")
    options = {"input_format": "mjpeg"}
    for name, value in parse_qsl(parts.query):
        known = _OPTIONS.get(name)
        if known is None or not known[1].fullmatch(value):
            raise ConfigError(
                sentence(
                    "Unknown option %(name)s=%(value)s of a USB camera. Use format, size or fps.",
                    name=name[:20],
                    value=value[:20],
                )
            )
        options[known[0]] = value
    return parts.path, options

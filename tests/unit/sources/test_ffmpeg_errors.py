import errno
import os

import av.error
import pytest

from ninjacam.core import errors
from ninjacam.sources.ffmpeg_errors import translate_av_error


def av_error(number: int) -> Exception:
    """As libav's return codes reach us."""
    try:
        av.error.err_check(number, "http://bob:hunter2@camera/live")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return error
    raise AssertionError(number)


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (-errno.ECONNREFUSED, errors.ConnectionRefusedSourceError, "check the port"),
        (-errno.EHOSTUNREACH, errors.HostNotFoundError, "check the address"),
        (-errno.ETIMEDOUT, errors.SourceTimeoutError, "in time"),
        (-errno.EIO, errors.SourceEndedError, "broke off"),
        (-errno.ECONNRESET, errors.SourceEndedError, "broke off"),
        (-int.from_bytes(b"EOF ", "little"), errors.NotACameraError, "closes the connection"),
    ],
)
def test_each_libav_error_maps_to_one_of_ours(number: int, kind: type[Exception], word: str) -> None:
    error = translate_av_error(av_error(number), "camera:9000", "http")
    assert type(error) is kind and word in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOENT, "There is no device"),
        (errno.ENODEV, "There is no camera"),
        (errno.EBUSY, "in use"),
        (errno.EACCES, "group"),
        (errno.EINVAL, "format"),
    ],
)
def test_each_device_error_has_a_readable_message(number: int, word: str) -> None:
    error = translate_av_error(OSError(number, os.strerror(number)), "/dev/video0", "v4l2")
    assert type(error) is errors.DeviceError and word in str(error)


@pytest.mark.parametrize("number", [errno.ENODEV, errno.EINVAL, errno.EIO])
def test_a_device_that_fails_while_playing_was_unplugged(number: int) -> None:
    error = translate_av_error(OSError(number, ""), "/dev/video0", "v4l2", is_playing=True)
    assert type(error) is errors.DeviceError and "unplugged" in str(error) and error.retryable

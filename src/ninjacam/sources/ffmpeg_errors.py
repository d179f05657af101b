"""Converts libav's errors to our errors. The texts of libav contain URLs with passwords, so they are never used."""

import errno

import av.error

from ninjacam.core.errors import (
    AuthenticationError,
    ConnectionRefusedSourceError,
    DeviceError,
    HostNotFoundError,
    NotACameraError,
    ProtocolError,
    SourceEndedError,
    SourceError,
    SourceTimeoutError,
    StreamNotFoundError,
)
from ninjacam.core.texts import sentence

_BROKEN_OFF = frozenset({errno.EIO, errno.EPIPE, errno.ECONNRESET})


def translate_av_error(exc: Exception, where: str, scheme: str, *, is_playing: bool = False) -> SourceError:
    """Return our error for a libav error. This is the only mapping.

    `scheme`: of the camera's URL. `is_playing`: whether the source had been opened.
    """
    kind = type(exc)
    if scheme == "v4l2":
        return _translate_device_error(exc, where, is_playing=is_playing)
    if issubclass(kind, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError | PermissionError):
        return AuthenticationError(
            sentence("%(where)s rejects the user name or password: check both.", where=where)
        )
    if issubclass(kind, av.error.HTTPNotFoundError | FileNotFoundError):
        return StreamNotFoundError(
            sentence("There is no stream at this path of %(where)s: check the path of the URL.", where=where)
        )
    if issubclass(kind, ConnectionRefusedError):
        return ConnectionRefusedSourceError(
            sentence("Nothing listens there at %(where)s: check the port.", where=where)
        )
    if issubclass(kind, av.error.ExitError | TimeoutError):
        return SourceTimeoutError(
            sentence("%(where)s does not answer in time: check the address and that it is on.", where=where)
        )
    if issubclass(kind, av.error.InvalidDataError):
        return NotACameraError(
            sentence("%(where)s does not send readable video: check the URL.", where=where)
        )
    if issubclass(kind, EOFError):
        return NotACameraError(
            sentence("%(where)s closes the connection at once: check the URL.", where=where)
        )
    number = getattr(exc, "errno", 0)
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return HostNotFoundError(
            sentence("%(where)s cannot be reached from here: check the address and the network.", where=where)
        )
    if number in _BROKEN_OFF:
        return SourceEndedError(sentence("The connection to %(where)s broke off.", where=where))
    return ProtocolError(sentence("%(where)s cannot be read (%(name)s).", where=where, name=kind.__name__))


def _translate_device_error(exc: Exception, where: str, *, is_playing: bool) -> DeviceError:
    number = getattr(exc, "errno", 0)
    # The error numbers of a driver that is being stopped.
    if is_playing and number in (
        errno.ENODEV,
        errno.ENXIO,
        errno.EIO,
        errno.EINVAL,
    ):
        return DeviceError(
            sentence(
                "The device %(where)s has disappeared: it was unplugged, or its driver stopped it. Plug "
                "it in again.",
                where=where,
            )
        )
    if isinstance(exc, FileNotFoundError):
        return DeviceError(
            sentence("There is no device %(where)s: plug the camera in, or choose another.", where=where)
        )
    if number in (errno.ENXIO, errno.ENODEV):  # Also for devices other than cameras: an output, a decoder.
        return DeviceError(
            sentence("There is no camera at %(where)s: plug it in, or choose another device.", where=where)
        )
    if isinstance(exc, PermissionError):
        return DeviceError(
            sentence(
                "Ninjacam is not allowed to open %(where)s: add its user to the group 'video'.", where=where
            )
        )
    if number == errno.EBUSY:
        return DeviceError(
            sentence("%(where)s is in use by another program: stop that program first.", where=where)
        )
    return DeviceError(
        sentence(
            "%(where)s does not provide MJPEG or H.264 video: choose another device or format.", where=where
        )
    )

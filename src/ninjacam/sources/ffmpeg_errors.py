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

_BROKEN_OFF = frozenset({errno.EIO, errno.EPIPE, errno.ECONNRESET})


def translate_av_error(exc: Exception, where: str, scheme: str, *, is_playing: bool = False) -> SourceError:
    """Return our error for a libav error. This is the only mapping.

    `scheme`: of the camera's URL. `is_playing`: whether the source had been opened.
    """
    kind = type(exc)
    if scheme == "v4l2":
        return _translate_device_error(exc, where, is_playing=is_playing)
    if issubclass(kind, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError | PermissionError):
        return AuthenticationError(f"{where} rejects the user name or password: check both.")
    if issubclass(kind, av.error.HTTPNotFoundError | FileNotFoundError):
        return StreamNotFoundError(f"There is no stream at this path of {where}: check the path of the URL.")
    if issubclass(kind, ConnectionRefusedError):
        return ConnectionRefusedSourceError(f"Nothing listens there at {where}: check the port.")
    if issubclass(kind, av.error.ExitError | TimeoutError):
        return SourceTimeoutError(f"{where} does not answer in time: check the address and that it is on.")
    if issubclass(kind, av.error.InvalidDataError):
        return NotACameraError(f"{where} does not send readable video: check the URL.")
    if issubclass(kind, EOFError):
        return NotACameraError(f"{where} closes the connection at once: check the URL.")
    number = getattr(exc, "errno", 0)
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return HostNotFoundError(f"{where} cannot be reached from here: check the address and the network.")
    if number in _BROKEN_OFF:
        return SourceEndedError(f"The connection to {where} broke off.")
    return ProtocolError(f"{where} cannot be read ({kind.__name__}).")


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
            f"The device {where} has disappeared: it was unplugged, or its driver stopped it. Plug it in again."
        )
    if isinstance(exc, FileNotFoundError):
        return DeviceError(f"There is no device {where}: plug the camera in, or choose another.")
    if number in (errno.ENXIO, errno.ENODEV):  # Also for devices other than cameras: an output, a decoder.
        return DeviceError(f"There is no camera at {where}: plug it in, or choose another device.")
    if isinstance(exc, PermissionError):
        return DeviceError(f"Ninjacam is not allowed to open {where}: add its user to the group 'video'.")
    if number == errno.EBUSY:
        return DeviceError(f"{where} is in use by another program: stop that program first.")
    return DeviceError(f"{where} does not provide MJPEG or H.264 video: choose another device or format.")

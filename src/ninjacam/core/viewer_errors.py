"""Error messages for viewers of a camera without video: the consequences, without addresses, paths or user
names.

Users who may configure the camera receive the full message. Not here: permissions (`ninjacam.auth`).
"""

from collections.abc import Mapping
from typing import Any

from ninjacam.core.errors import NinjacamError, SourceError
from ninjacam.core.texts import gettext_noop

_TEXTS = {
    "authentication_failed": gettext_noop("The camera does not accept the stored user and password."),
    "busy": gettext_noop("Another device is sending to the camera."),
    "config": gettext_noop("The settings of the camera cannot be used."),
    "connection_refused": gettext_noop("The camera refuses the connection."),
    "device": gettext_noop("The USB camera cannot be used."),
    "disk_full": gettext_noop(
        "The camera cannot be recorded at the moment, because the disk of the server is full."
    ),
    "ended": gettext_noop("The camera has ended the connection."),
    "forbidden_address": gettext_noop("The camera's address is not allowed."),
    "host_not_found": gettext_noop("The camera cannot be found in the network."),
    "no_video": gettext_noop("The camera offers no video."),
    "not_a_camera": gettext_noop("What answers at the camera's address is not a camera."),
    "protocol_error": gettext_noop("The camera sends data that cannot be read."),
    "recording": gettext_noop("The camera cannot be recorded at the moment."),
    "stalled": gettext_noop("The camera is connected but sends no frames."),
    "stream_not_found": gettext_noop("The camera does not have the stream that is set."),
    "timeout": gettext_noop("The camera does not answer."),
    "too_much_memory": gettext_noop("The camera sends more data than can be processed."),
    "unsupported_codec": gettext_noop("The camera sends video that cannot be read."),
    "unsupported_scheme": gettext_noop("The settings of the camera cannot be used."),
}
_OTHER = gettext_noop("The camera does not send video at the moment.")
VIEWER_TEXTS = (*dict.fromkeys(_TEXTS.values()), _OTHER)
"""All messages for viewers."""
_NOT_OF_SOURCES = {"config", "disk_full", "recording"}


def text_of_source_error(code: str) -> str:
    """Return the message for viewers of an error of a camera's source; empty: it is another error."""
    return "" if code in _NOT_OF_SOURCES else _TEXTS.get(code, "")


def without_traceback(error: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return a processor's error without its traceback, which only users who may configure the camera
    receive."""
    return {**error, "traceback": ""} if error else None


def for_viewers(error: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return an error made by `NinjacamError.as_dict` with its message for viewers. None stays None."""
    if not error:
        return None
    code = str(error.get("code", "error"))
    return {
        "code": code,
        "message": _TEXTS.get(code, _OTHER),
        "retryable": bool(error.get("retryable", True)),
    }


def without_details(error: NinjacamError) -> NinjacamError:
    """Return a camera's error with its message for viewers. Other errors are returned unchanged."""
    if not isinstance(error, SourceError):
        return error
    shown = for_viewers(error.as_dict()) or {}
    return type(error)(str(shown.get("message", "")))

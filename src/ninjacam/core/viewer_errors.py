"""Error messages for viewers of a camera without video: the consequences, without addresses, paths or user
names.

Users who may configure the camera receive the full message. Not here: permissions (`ninjacam.auth`).
"""

from collections.abc import Mapping
from typing import Any

from ninjacam.core.errors import NinjacamError, SourceError

_TEXTS = {
    "authentication_failed": "The camera does not accept the stored user and password.",
    "busy": "Another device is sending to the camera.",
    "config": "The settings of the camera cannot be used.",
    "connection_refused": "The camera refuses the connection.",
    "device": "The USB camera cannot be used.",
    "disk_full": "The camera cannot be recorded at the moment, because the disk of the server is full.",
    "ended": "The camera has ended the connection.",
    "forbidden_address": "The camera's address is not allowed.",
    "host_not_found": "The camera cannot be found in the network.",
    "no_video": "The camera offers no video.",
    "not_a_camera": "What answers at the camera's address is not a camera.",
    "protocol_error": "The camera sends data that cannot be read.",
    "recording": "The camera cannot be recorded at the moment.",
    "stalled": "The camera is connected but sends no frames.",
    "stream_not_found": "The camera does not have the stream that is set.",
    "timeout": "The camera does not answer.",
    "too_much_memory": "The camera sends more data than can be processed.",
    "unsupported_codec": "The camera sends video that cannot be read.",
    "unsupported_scheme": "The settings of the camera cannot be used.",
}
_OTHER = "The camera does not send video at the moment."


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

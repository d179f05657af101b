"""The exceptions that Ninjacam raises deliberately.

    NinjacamError
    ├── ConfigError                  a setting or an argument is invalid
    │   ├── UnsafeCodeError            other users can modify the code that we would run
    │   └── ModelError                 a network cannot be used: its file, its description or its outputs
    │   └── UnknownZoneError           a processor asks for a zone that the camera does not have
    ├── SourceError                  a camera does not deliver video
    │   ├── UnsupportedSchemeError     ftp://, exec: ...
    │   ├── ForbiddenAddressError      cameras are not allowed at this address
    │   ├── HostNotFoundError          the name does not resolve, or there is no route to the host
    │   ├── ConnectionRefusedSourceError  the host responds, but the port is closed
    │   ├── SourceTimeoutError         no response in time
    │   ├── AuthenticationError        wrong user name or password
    │   ├── StreamNotFoundError        the camera has no such path
    │   ├── NotACameraError            something else responds there: a web page, an SSH server
    │   ├── NoVideoError               it responds, but offers no video
    │   ├── UnsupportedCodecError      it offers video in a codec that we cannot read
    │   ├── ProtocolError              it violates the protocol
    │   ├── SourceMemoryError          reading its data takes more memory than a camera may use
    │   ├── SourceStalledError         connected, but without video for too long
    │   ├── SourceEndedError           it closed the connection, or the file has ended
    │   ├── SourceBusyError            another publisher is sending to this camera, or another program uses its port
    │   └── DeviceError                a USB device is missing, busy or forbidden
    ├── CommandError                 a camera does not carry out a command
    │   ├── UnsupportedCommandError    it lacks this function
    │   │   └── NoLoudspeakerError       it takes no audio
    │   ├── CommandRejectedError       it rejects the command, or one of its values
    │   ├── SpeakerBusyError           another user is talking through its loudspeaker
    │   └── TalkEndedError             the user has talked for too long, or has sent no audio
    ├── DecodeError                  a frame cannot be decoded
    ├── EncodeError                  a frame cannot be encoded
    ├── ProcessorError               a user's processor raised an exception, hung or killed its process
    ├── ViewNotFoundError            the camera has no processor of this name
    ├── DownloadError                a file cannot be downloaded
    ├── RecordingError               packets cannot be written to a file
    │   └── DiskFullError              the disk has no room for them
    ├── LimitError                   a limit that protects this host has been reached: try again later
    │   └── QuotaError                 a user or camera has used up its share of the storage
    ├── StreamUnavailableError       the local stream socket is not there, or was interrupted
    ├── UnknownStreamError           the request names a stream that the camera does not have
    ├── EngineRunningError           another engine holds this run directory
    ├── ForbiddenError               the user may not do this
    ├── NotFoundError                the object does not exist, or is invisible to the user
    ├── SearchUnavailableError       the search by words has no model, or its model does not work
    ├── ConflictError                the state of the object, or a name in use, prevents this
    └── InvalidError                 a value cannot be used; names its field

`code` identifies the error for user interfaces and never changes. The message is one sentence for users with
advice. `retryable` controls `supervise`: after an error that is not retryable, the service stays FAILED until the
configuration changes. An error that is `slow` is unlikely to end soon and is retried at long intervals. Messages
contain no credentials: pass URLs through `ninjacam.core.redact` first.
"""

from typing import Any, ClassVar

from ninjacam.core.json_values import to_plain
from ninjacam.core.texts import origin_of


class NinjacamError(Exception):
    """The base class. Raise one of its subclasses."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = True
    slow: ClassVar[bool] = False

    @property
    def message(self) -> str:
        return to_plain(str(self))

    @property
    def text(self) -> str:
        """The message with its template, if it has one."""
        return self.args[0] if self.args and isinstance(self.args[0], str) else self.message

    def as_dict(self) -> dict[str, Any]:
        """Return {"code", "message", "retryable"}, the form in which errors are sent to other processes, with the
        origin of the message (`core.texts`)."""
        known = {"code": self.code, "message": self.message, "retryable": self.retryable}
        return {**known, **origin_of(self.text)}


class ConfigError(NinjacamError):
    code = "config"
    retryable = False


class UnsafeCodeError(ConfigError):
    code = "unsafe_code"


class ModelError(ConfigError):
    code = "model"


class UnknownZoneError(ConfigError, KeyError):
    """Also a KeyError, because mappings raise it."""

    code = "unknown_zone"
    __str__ = Exception.__str__  # KeyError.__str__ would quote the message.


class SourceError(NinjacamError):
    code = "source"


class UnsupportedSchemeError(SourceError):
    code = "unsupported_scheme"
    retryable = False


class ForbiddenAddressError(SourceError):
    code = "forbidden_address"
    retryable = False


class HostNotFoundError(SourceError):
    code = "host_not_found"


class ConnectionRefusedSourceError(SourceError):
    code = "connection_refused"


class SourceTimeoutError(SourceError):
    code = "timeout"


class AuthenticationError(SourceError):
    code = "authentication_failed"
    retryable = False  # Cameras lock accounts after repeated failures.


class StreamNotFoundError(SourceError):
    code = "stream_not_found"
    slow = True


class NotACameraError(SourceError):
    code = "not_a_camera"
    slow = True


class NoVideoError(SourceError):
    code = "no_video"
    slow = True


class UnsupportedCodecError(SourceError):
    code = "unsupported_codec"
    retryable = False


class ProtocolError(SourceError):
    code = "protocol_error"


class SourceMemoryError(SourceError):
    code = "too_much_memory"
    slow = True


class SourceStalledError(SourceError):
    code = "stalled"


class SourceEndedError(SourceError):
    code = "ended"


class SourceBusyError(SourceError):
    code = "busy"


class DeviceError(SourceError):
    code = "device"


class CommandError(NinjacamError):
    code = "command_failed"


class UnsupportedCommandError(CommandError):
    code = "command_unsupported"
    retryable = False


class CommandRejectedError(CommandError):
    code = "command_rejected"
    retryable = False


class NoLoudspeakerError(UnsupportedCommandError):
    code = "no_loudspeaker"


class SpeakerBusyError(CommandError):
    code = "speaker_busy"


class TalkEndedError(CommandError):
    code = "talk_ended"


class DecodeError(NinjacamError):
    code = "decode"


class EncodeError(NinjacamError):
    code = "encode"


class ProcessorError(NinjacamError):
    """`traceback`: the frames of the user's code, without ours; empty if the process died."""

    code = "processor"

    def __init__(self, message: str, *, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = to_plain(traceback)

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "traceback": self.traceback}


class ViewNotFoundError(NinjacamError):
    code = "view_not_found"
    retryable = False


class DownloadError(NinjacamError):
    code = "download"


class LimitError(NinjacamError):
    """`retry_after_s`: seconds after which a retry may succeed."""

    code = "limit"

    def __init__(self, message: str, *, retry_after_s: float = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaError(LimitError):
    code = "quota"
    retryable = False


class RecordingError(NinjacamError):
    code = "recording"


class DiskFullError(RecordingError):
    code = "disk_full"


class StreamUnavailableError(NinjacamError):
    code = "stream_unavailable"


class EngineRunningError(NinjacamError):
    code = "engine_running"
    retryable = False


class UnknownStreamError(NinjacamError):
    code = "stream_not_found"
    retryable = False


class ForbiddenError(NinjacamError):
    code = "forbidden"
    retryable = False


class NotFoundError(NinjacamError):
    code = "not_found"
    retryable = False


class ConflictError(NinjacamError):
    code = "conflict"
    retryable = False


class SearchUnavailableError(NinjacamError):
    code = "search_unavailable"
    retryable = False


class InvalidError(NinjacamError):
    """`fields`: messages by the name of the invalid field."""

    code = "invalid"
    retryable = False

    def __init__(self, message: str, fields: dict[str, list[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}

    @classmethod
    def of(cls, field: str, message: str) -> "InvalidError":
        return cls(message, {field: [message]})

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "fields": self.fields}

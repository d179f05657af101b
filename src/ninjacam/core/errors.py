"""Every error that Ninjacam raises on purpose.

    NinjacamError
    ├── ConfigError                  a setting or an argument is wrong
    │   └── UnsafeCodeError            other users can write the code that we would run
    ├── SourceError                  a camera does not give us video
    │   ├── UnsupportedSchemeError     ftp://, exec: ...
    │   ├── ForbiddenAddressError      the address is not one that a camera may have
    │   ├── HostNotFoundError          the name does not resolve, or nothing routes there
    │   ├── ConnectionRefusedSourceError  the host answers, the port does not
    │   ├── SourceTimeoutError         no answer in time
    │   ├── AuthenticationError        wrong user or password
    │   ├── StreamNotFoundError        the camera has no such path
    │   ├── NotACameraError            something else answers there: a web page, an SSH server
    │   ├── NoVideoError               it answers, and offers no video
    │   ├── UnsupportedCodecError      it offers video that we cannot read
    │   ├── ProtocolError              it breaks the protocol, or sends garbage
    │   ├── SourceMemoryError          reading what it sends takes more memory than a camera may
    │   ├── SourceStalledError         connected, and no video for too long
    │   ├── SourceEndedError           it closed the connection, or the file is at its end
    │   └── DeviceError                a USB device is missing, busy or forbidden
    ├── DecodeError                  a picture cannot be decoded
    ├── EncodeError                  a picture cannot be encoded
    ├── ProcessorError               a user's processor raised, stalled or took its process down
    ├── ViewNotFoundError            no processor of that name for that camera
    ├── RecordingError               packets cannot be written to a file
    ├── LimitError                   one of the limits that protect this host is reached: try again later
    │   └── QuotaError                 a user or camera has used up its share of the storage
    ├── StreamUnavailableError       the local stream socket is not there, or broke off
    ├── EngineRunningError           another engine holds this run directory
    ├── ForbiddenError               the user may not do this
    ├── NotFoundError                there is no such object, or the user may not know that there is one
    ├── ConflictError                the object is in a state, or the name in use, that rules this out
    └── InvalidError                 a value cannot be used; names its field

`code` is what a UI branches on and never changes; the message is one sentence for a person that says what to do.
`retryable` drives `supervise`: an error that is not retryable ends in the state FAILED until the configuration
changes; one that is `slow` will hardly mend by itself, and is retried at long intervals. Messages hold no
credentials: whoever builds one passes URLs through `ninjacam.core.redact`.
"""

from typing import Any, ClassVar


class NinjacamError(Exception):
    """The root. Raise one of its children."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = True
    slow: ClassVar[bool] = False

    @property
    def message(self) -> str:
        return str(self)

    def as_dict(self) -> dict[str, Any]:
        """{"code", "message", "retryable"}: how an error crosses a process boundary."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}


class ConfigError(NinjacamError):
    code = "config"
    retryable = False


class UnsafeCodeError(ConfigError):
    code = "unsafe_code"


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
    retryable = False  # a camera locks the account of who keeps trying


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


class DeviceError(SourceError):
    code = "device"


class DecodeError(NinjacamError):
    code = "decode"


class EncodeError(NinjacamError):
    code = "encode"


class ProcessorError(NinjacamError):
    """`traceback` is the user's own, without our frames; empty where the process died."""

    code = "processor"

    def __init__(self, message: str, *, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "traceback": self.traceback}


class ViewNotFoundError(NinjacamError):
    code = "view_not_found"
    retryable = False


class LimitError(NinjacamError):
    """`retry_after_s`: when it is worth trying again."""

    code = "limit"

    def __init__(self, message: str, *, retry_after_s: float = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaError(LimitError):
    code = "quota"
    retryable = False


class RecordingError(NinjacamError):
    code = "recording"


class StreamUnavailableError(NinjacamError):
    code = "stream_unavailable"


class EngineRunningError(NinjacamError):
    code = "engine_running"
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


class InvalidError(NinjacamError):
    """`fields`: the name of each wrong field, and its messages."""

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

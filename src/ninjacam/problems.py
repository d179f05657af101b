"""Errors as problem+json (RFC 9457), for API, pages, streams and recordings.

This is the only module that maps the errors of `ninjacam.core.errors` to HTTP status codes. Not here: sending
problems (`ninjacam.api.errors` for Django, `ninjacam.front_door.responses` for ASGI).
"""

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from ninjacam.core.errors import (
    CommandError,
    ConflictError,
    EngineRunningError,
    ForbiddenError,
    InvalidError,
    LimitError,
    NinjacamError,
    NotFoundError,
    QuotaError,
    SearchUnavailableError,
    SourceError,
    SpeakerBusyError,
    StreamUnavailableError,
    TalkEndedError,
    UnknownStreamError,
    UnsupportedCommandError,
    ViewNotFoundError,
)
from ninjacam.languages import translate_error

Headers = Sequence[tuple[bytes, bytes]]
"""Header names in lower case, and values."""

CONTENT_TYPE = "application/problem+json"
STATUS_OF: tuple[tuple[type[NinjacamError], int], ...] = (
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ViewNotFoundError, 404),
    (UnknownStreamError, 404),
    (ConflictError, 409),
    (SearchUnavailableError, 409),
    (EngineRunningError, 409),
    (InvalidError, 422),
    (QuotaError, 409),
    (LimitError, 429),
    (UnsupportedCommandError, 409),
    (SpeakerBusyError, 409),
    (TalkEndedError, 409),
    (CommandError, 502),
    (SourceError, 502),
    (StreamUnavailableError, 503),
    (NinjacamError, 500),
)
"""Status codes by class. The first match counts."""


class Problem(Exception):  # noqa: N818 (the name in RFC 9457)
    """A response that refuses a request. `errors`: the invalid fields, each with "field" and "message"."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Headers = (),
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers
        self.errors = errors

    def as_dict(self) -> dict[str, Any]:
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        return {**body, "errors": list(self.errors)} if self.errors else body

    def encode(self) -> bytes:
        return json.dumps(self.as_dict()).encode()


def problem_of(error: NinjacamError) -> Problem:
    """Return the problem for an error that a request caused."""
    status = next(status for kind, status in STATUS_OF if isinstance(error, kind))
    fields = error.fields if isinstance(error, InvalidError) else {}
    errors = [{"field": name, "message": text} for name, texts in fields.items() for text in texts]
    headers = _retry_after(error.retry_after_s) if status == 429 and isinstance(error, LimitError) else ()
    return Problem(status, error.code, translate_error(error), headers, errors)


def problem_of_stream(error: Mapping[str, Any]) -> Problem:
    """Return the problem for a refused local stream. `error`: as `NinjacamError.as_dict` returns it.

    All errors except a missing view are conditions of this server, so their status is 503.
    """
    code, message = str(error.get("code", "error")), str(error.get("message", "The camera sends no frames."))
    if code == ViewNotFoundError.code:
        return Problem(404, code, message)
    return Problem(503, code, message, _retry_after(2))


def not_authenticated() -> Problem:
    return Problem(
        401,
        "not_authenticated",
        "Log in, send a valid token in the header `Authorization: Bearer nc_...`, or use a valid signed link.",
        ((b"www-authenticate", b'Bearer realm="ninjacam"'),),
    )


def no_database() -> Problem:
    message = "The database does not respond. Try again in a moment."
    return Problem(503, "database", message, _retry_after(5))


def stopping() -> Problem:
    return Problem(503, "stopping", "The server is restarting. Try again in a moment.", _retry_after(1))


def _retry_after(seconds: float) -> Headers:
    return ((b"retry-after", str(math.ceil(seconds)).encode()),)

"""The error tree as problem+json (RFC 9457): the only place that knows both errors and status codes."""

import logging
import math
from collections.abc import Callable, Sequence
from http import HTTPStatus

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from ninjacam.core.errors import (
    ConflictError,
    EngineRunningError,
    ForbiddenError,
    InvalidError,
    LimitError,
    NinjacamError,
    NotFoundError,
    QuotaError,
    SourceError,
    StreamUnavailableError,
    ViewNotFoundError,
)

logger = logging.getLogger("django.request")

STATUS_OF: tuple[tuple[type[NinjacamError], int], ...] = (
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ViewNotFoundError, 404),
    (ConflictError, 409),
    (EngineRunningError, 409),
    (InvalidError, 422),
    (QuotaError, 409),
    (LimitError, 429),
    (SourceError, 502),
    (StreamUnavailableError, 503),
    (NinjacamError, 500),
)
"""The first that fits counts."""

_CODE_OF = {400: "malformed", 401: "not_authenticated", 403: "forbidden", 404: "not_found", 429: "limit"}


def problem_response(
    status: int, code: str, detail: str, errors: Sequence[dict[str, str]] = ()
) -> JsonResponse:
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    response = JsonResponse(body, status=status, content_type="application/problem+json")
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="ninjacam"'
    elif status == 429:
        response["Retry-After"] = "5"
    response["Cache-Control"] = "no-store"
    return response


def _on_ours(request: HttpRequest, error: NinjacamError) -> JsonResponse:
    status = next(status for kind, status in STATUS_OF if isinstance(error, kind))
    fields = error.fields if isinstance(error, InvalidError) else {}
    errors = [{"field": name, "message": text} for name, texts in fields.items() for text in texts]
    response = problem_response(status, error.code, error.message, errors)
    if status == 429 and isinstance(error, LimitError):
        response["Retry-After"] = str(math.ceil(error.retry_after_s))
    return response


def _on_http(request: HttpRequest, error: HttpError) -> JsonResponse:
    code = _CODE_OF.get(error.status_code, "error")
    detail = str(error)
    if error.status_code == 401:
        detail = "Sign in, or send a token that is neither expired nor revoked: Authorization: Bearer nc_..."
    elif error.status_code == 403 and "CSRF" in detail:
        code = "csrf"
    return problem_response(error.status_code, code, detail)


def _on_missing(request: HttpRequest, error: Http404) -> JsonResponse:
    return problem_response(404, "not_found", "There is no such thing.")


def _on_invalid(request: HttpRequest, error: ValidationError) -> JsonResponse:
    """Names where and what is wrong, never the value: it may be a password."""
    errors = [
        {"field": _field(problem.get("loc", ())), "message": str(problem.get("msg", "invalid"))}
        for problem in error.errors
    ]
    first = errors[0] if errors else {"field": "", "message": "invalid"}
    return problem_response(422, "invalid", f"{first['field']}: {first['message']}", errors)


def _field(location: Sequence[object]) -> str:
    """("body", "camera", "url") -> "url": Ninja puts the kind of parameter first, and the body's own name second."""
    parts = [str(part) for part in location]
    skipped = 2 if parts[:1] == ["body"] else 1
    return ".".join(parts[skipped:] or parts[-1:])


def _on_database(request: HttpRequest, error: OperationalError | InterfaceError) -> JsonResponse:
    logger.error("The database does not answer: %s", error)
    response = problem_response(503, "database", "The database does not answer; try again in a moment.")
    response["Retry-After"] = "5"
    return response


def _on_size(request: HttpRequest, error: RequestDataTooBig) -> JsonResponse:
    return problem_response(413, "too_large", "The body is too large. Send less.")


def _on_hang_up(request: HttpRequest, error: UnreadablePostError) -> JsonResponse:
    return problem_response(400, "malformed", "The body is incomplete.")


def _on_bug(request: HttpRequest, error: Exception) -> JsonResponse:
    logger.error(
        "Internal error: %s", request.path, exc_info=error, extra={"status_code": 500, "request": request}
    )
    return problem_response(500, "internal", "Something went wrong here; it has been logged.")


_HANDLERS: tuple[tuple[type[Exception], Callable[..., JsonResponse]], ...] = (
    (NinjacamError, _on_ours),
    (HttpError, _on_http),
    (Http404, _on_missing),
    (ValidationError, _on_invalid),
    (RequestDataTooBig, _on_size),
    (UnreadablePostError, _on_hang_up),
    (OperationalError, _on_database),
    (InterfaceError, _on_database),
    (Exception, _on_bug),
)


def add_handlers(api: NinjaAPI) -> None:
    for kind, handler in _HANDLERS:
        api.add_exception_handler(kind, handler)

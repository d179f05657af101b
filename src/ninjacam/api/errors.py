"""Converts the exceptions of Django and Ninja to problems. Ninjacam's own errors: `ninjacam.problems`."""

import logging
from collections.abc import Callable, Sequence

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from ninjacam.core.errors import NinjacamError
from ninjacam.problems import CONTENT_TYPE, Problem, no_database, not_authenticated, problem_of

logger = logging.getLogger("django.request")

_CODE_OF = {400: "malformed", 403: "forbidden", 404: "not_found", 429: "limit"}


def problem_response(problem: Problem) -> HttpResponse:
    response = HttpResponse(problem.encode(), status=problem.status, content_type=CONTENT_TYPE)
    for name, value in problem.headers:
        response[name.decode().title()] = value.decode()
    response["Cache-Control"] = "no-store"
    return response


def _of_http(request: HttpRequest, error: HttpError) -> Problem:
    if error.status_code == 401:
        return not_authenticated()
    is_csrf = error.status_code == 403 and "CSRF" in str(error)
    return Problem(
        error.status_code, "csrf" if is_csrf else _CODE_OF.get(error.status_code, "error"), str(error)
    )


def _of_missing(request: HttpRequest, error: Http404) -> Problem:
    return Problem(404, "not_found", "Not found.")


def _of_invalid(request: HttpRequest, error: ValidationError) -> Problem:
    """Names the fields and their errors, never the values: one may be a password."""
    errors = [
        {"field": _field(problem.get("loc", ())), "message": str(problem.get("msg", "invalid"))}
        for problem in error.errors
    ]
    first = errors[0] if errors else {"field": "", "message": "invalid"}
    return Problem(422, "invalid", f"{first['field']}: {first['message']}", errors=errors)


def _field(location: Sequence[object]) -> str:
    """("body", "camera", "url") -> "url": Ninja puts the kind of parameter first, and the body's own name second."""
    parts = [str(part) for part in location]
    skipped = 2 if parts[:1] == ["body"] else 1
    return ".".join(parts[skipped:] or parts[-1:])


def _of_database(request: HttpRequest, error: OperationalError | InterfaceError) -> Problem:
    logger.error("The database does not respond: %s", error)
    return no_database()


def _of_size(request: HttpRequest, error: RequestDataTooBig) -> Problem:
    return Problem(413, "too_large", "The body is too large. Send a smaller one.")


def _of_hang_up(request: HttpRequest, error: UnreadablePostError) -> Problem:
    return Problem(400, "malformed", "The body is incomplete.")


def _of_bug(request: HttpRequest, error: Exception) -> Problem:
    logger.error(
        "Internal error: %s", request.path, exc_info=error, extra={"status_code": 500, "request": request}
    )
    return Problem(500, "internal", "An internal error occurred. Its details are in the server's log.")


_PROBLEMS: tuple[tuple[type[Exception], Callable[..., Problem]], ...] = (
    (NinjacamError, lambda request, error: problem_of(error)),
    (HttpError, _of_http),
    (Http404, _of_missing),
    (ValidationError, _of_invalid),
    (RequestDataTooBig, _of_size),
    (UnreadablePostError, _of_hang_up),
    (OperationalError, _of_database),
    (InterfaceError, _of_database),
    (Exception, _of_bug),
)


def add_handlers(api: NinjaAPI) -> None:
    for kind, make in _PROBLEMS:
        api.add_exception_handler(kind, _handler(make))


def _handler(make: Callable[..., Problem]) -> Callable[..., HttpResponse]:
    return lambda request, error: problem_response(make(request, error))

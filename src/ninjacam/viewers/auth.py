"""Who may watch: Django's hosts, origins, sessions and users, asked in a few threads that belong to no viewer.

The synchronous functions here query the database and run by `Database.run`, which closes the connections afterwards.
"""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseErrors
from django.db import connections
from django.http import QueryDict
from django.http.cookie import parse_cookie
from django.utils.http import is_same_domain

from ninjacam.core.errors import LimitError
from ninjacam.front_door.messages import Scope, header
from ninjacam.front_door.problems import Problem, camera_not_found, not_authenticated

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera

T = TypeVar("T")
THREADS = 2
"""Of the whole worker, whatever the number of viewers; so many connections to the database at most, for moments."""

ANSWER_TIMEOUT_S = 10.0
"""For one question; a database server that is cut off from the network answers nothing at all."""


class Database:
    """Runs synchronous Django code beside the event loop."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None  # made at the first use, which is after any fork

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Raises: Problem 503 "database": it does not answer, or not in time; and whatever `function` raises."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="ninjacam-live-auth")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await loop.run_in_executor(self._executor, _call, function, arguments)
        except TimeoutError as exc:
            raise _no_database() from exc

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    try:
        return function(*arguments)
    except DatabaseErrors as exc:
        raise _no_database() from exc
    finally:
        connections.close_all()


def _no_database() -> Problem:
    message = "The database does not answer. Try again in a moment."
    return Problem(503, "database", message, ((b"retry-after", b"5"),))


def query_of(scope: Scope) -> dict[str, str]:
    """The query's parameters; the last one counts of those of one name. Raises: Problem 400: it cannot be read."""
    try:
        return QueryDict(scope["query_string"]).dict()
    except (UnicodeDecodeError, ValueError) as exc:
        raise Problem(400, "bad_request", "The query cannot be read.") from exc


def check_host(scope: Scope) -> ASGIRequest:
    """Raises: Problem 400: a host that is not in ALLOWED_HOSTS."""
    scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
    request = ASGIRequest({**scope, "scheme": scheme, "method": scope.get("method", "GET")}, io.BytesIO())
    try:
        request.get_host()
    except DisallowedHost as exc:
        raise Problem(400, "host", "This host name is not one of the server's (ALLOWED_HOSTS).") from exc
    return request


def check_origin(request: ASGIRequest) -> bool:
    """Whether the page that opens a WebSocket is ours, as Django's CSRF middleware decides it.

    False also where there is no Origin: browsers always send one, so a cookie without it proves nothing.
    """
    origin = request.META.get("HTTP_ORIGIN", "")
    if not origin:
        return False
    if origin == f"{'https' if request.is_secure() else 'http'}://{request.get_host()}":
        return True
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    trusted = [urlsplit(each) for each in settings.CSRF_TRUSTED_ORIGINS if "*" in each]
    return any(
        parts.scheme == each.scheme and is_same_domain(parts.netloc, each.netloc.lstrip("*"))
        for each in trusted
    )


def identify(scope: Scope) -> "Principal":
    """Who is asking. Raises: Problem 401, 400; 429: too many wrong tokens came from this address."""
    from ninjacam.auth import principal_from
    from ninjacam.throttle import client_address

    query = query_of(scope)
    client = scope.get("client")
    address = client_address(str(client[0]) if client else "", header(scope, b"x-forwarded-for"))
    try:
        principal = principal_from(
            cookies=parse_cookie(header(scope, b"cookie")),
            authorization=header(scope, b"authorization"),
            sig=query.get("sig", ""),
            path=scope["path"],
            query=query,
            address=address,
        )
    except LimitError as error:
        raise Problem(429, error.code, error.message, ((b"retry-after", b"60"),)) from error
    if principal is None:
        raise not_authenticated()
    return replace(principal, address=address)


def find_camera(principal: "Principal", slug: str, view: str, role: str = "view") -> "Camera":
    """Return the camera, if `principal` has `role` for this view of it now.

    Raises: Problem 404: there is no such camera, or none that `principal` may know of; 403: the principal has other
    roles for the camera, or its link is for another view.
    """
    from ninjacam.auth import look_up_camera

    camera, allowed = look_up_camera(principal, slug, role, view)
    if camera is None:
        raise camera_not_found(slug)
    if allowed:
        return camera
    if principal.may(role, camera):
        raise Problem(403, "forbidden", "This link is for another view of the camera.")
    raise Problem(403, "forbidden", f"For this you need the role {role!r} of the camera.")


def authorise(scope: Scope, slug: str, view: str) -> "tuple[Principal, Camera]":
    """For one HTTP request. Raises: Problem."""
    check_host(scope)
    principal = identify(scope)
    return principal, find_camera(principal, slug, view)


def authorise_socket(scope: Scope) -> "Principal":
    """Raises: Problem 400, 401, 429; 403: the page is not ours."""
    request = check_host(scope)
    has_origin, ours = "HTTP_ORIGIN" in request.META, check_origin(request)
    if has_origin and not ours:
        raise Problem(403, "origin", "This page is not one of the server's (CSRF_TRUSTED_ORIGINS).")
    principal = identify(scope)
    if principal.source == "session" and not ours:
        raise Problem(403, "origin", "Without an Origin, a token is needed.")
    return principal


def authorise_again(principal: "Principal", slug: str, view: str) -> "tuple[Camera, bool]":
    """For a subscription of a socket: everything is read again. Raises: Problem 401, 403, 404.

    Returns: the camera, and whether the principal may see the details of its errors.
    """
    from ninjacam.auth import refresh

    fresh = refresh([principal])[principal]
    if fresh is None:
        raise not_authenticated()
    camera = find_camera(fresh, slug, view)
    return camera, may_see_details(fresh, camera)


def may_see_details(principal: "Principal", camera: "Camera") -> bool:
    """Whether addresses and the like may stand in the errors of the camera: they do for those who may configure it."""
    return principal.may("configure", camera)


def recheck_all(asked: "list[tuple[Principal, str, Camera]]") -> list[bool]:
    """For each: whether it still has that role. A handful of queries for all."""
    from ninjacam.auth import recheck

    return recheck(asked)

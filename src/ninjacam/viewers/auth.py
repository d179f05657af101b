"""Authorizes viewers with Django's hosts, origins, sessions and users, in a few threads shared by all viewers.

The synchronous functions here query the database. Call them with `Database.run`, which closes the connections
afterwards.
"""

import asyncio
import io
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import Error as DatabaseErrors
from django.db import connections
from django.http import QueryDict
from django.http.cookie import parse_cookie
from django.utils.http import is_same_domain

from ninjacam.core.errors import NinjacamError, StreamUnavailableError, ViewNotFoundError
from ninjacam.core.streams import MAIN, RAW_VIEW
from ninjacam.front_door.messages import Scope, header
from ninjacam.front_door.mount import Target
from ninjacam.problems import Problem, no_database, not_authenticated, problem_of
from ninjacam.routes import SLUG

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera
    from ninjacam.queries.event_updates import Span, Update

T = TypeVar("T")
THREADS = 2
"""Number of threads, and therefore of database connections, of the worker."""

ANSWER_TIMEOUT_S = 10.0
"""Seconds per query. A database server behind a broken network does not respond at all."""


Watched = tuple["Principal", "Camera", str | None]
"""A principal, the camera that it watches, and the view whose live video it receives. None: none, but recordings, or
talk."""


@dataclass(frozen=True, slots=True)
class LiveAccess:
    """The permission to receive one view of a camera live. `viewers.feeds` opens feeds for no other view.

    `view`: the view to send, which need not be the requested one; "" for the camera's own video. `stream`: the stream
    whose sockets provide it. `replaces_raw`: the view replaces the camera's own video for this viewer, a guest.
    """

    principal: "Principal"
    camera: "Camera"
    view: str
    stream: str
    replaces_raw: bool

    @property
    def watched(self) -> Watched:
        return self.principal, self.camera, self.view

    def refusal(self, error: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the error of a refused feed for this viewer. A guest has not chosen the view, and learns the names
        of no others."""
        if not self.replaces_raw or error.get("code") != ViewNotFoundError.code:
            return error
        from django.utils.translation import gettext as _

        message = _("The video that you may see is not available at the moment. It will return by itself.")
        return StreamUnavailableError(message).as_dict()


class Database:
    """Runs synchronous Django code outside of the event loop."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None  # Created at the first use, after any fork.

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a thread. Raises: Problem 503 "database": the database does not respond, or not in time;
        and the exceptions of `function`, our own errors as Problem."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="ninjacam-live-auth")
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await loop.run_in_executor(self._executor, _call, function, arguments)
        except TimeoutError as exc:
            raise no_database() from exc

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


def _call(function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
    try:
        return function(*arguments)
    except NinjacamError as exc:
        raise problem_of(exc) from exc
    except DatabaseErrors as exc:
        raise no_database() from exc
    finally:
        connections.close_all()


def query_of(scope: Scope) -> dict[str, str]:
    """Return the query's parameters; the last one of each name. Raises: Problem 400: the query cannot be parsed."""
    try:
        return QueryDict(scope["query_string"]).dict()
    except (UnicodeDecodeError, ValueError) as exc:
        raise Problem(400, "bad_request", "The query cannot be parsed.") from exc


def check_host(scope: Scope) -> ASGIRequest:
    """Return Django's request. Raises: Problem 400: the host is not in ALLOWED_HOSTS."""
    scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "http"), scope.get("scheme", "http"))
    request = ASGIRequest({**scope, "scheme": scheme, "method": scope.get("method", "GET")}, io.BytesIO())
    try:
        request.get_host()
    except DisallowedHost as exc:
        raise Problem(400, "host", "This host name is not allowed (ALLOWED_HOSTS).") from exc
    return request


def check_origin(request: ASGIRequest) -> bool:
    """Return whether the page that opens a WebSocket has our origin, by the rules of Django's CSRF middleware.

    False without an Origin: browsers always send one, so a cookie without it proves nothing.
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
    """Return the principal of the request.

    Raises: Problem 401, 400; LimitError: too many wrong tokens came from this address.
    """
    from ninjacam.auth import principal_from
    from ninjacam.throttle import client_address

    query = query_of(scope)
    client = scope.get("client")
    address = client_address(str(client[0]) if client else "", header(scope, b"x-forwarded-for"))
    principal = principal_from(
        cookies=parse_cookie(header(scope, b"cookie")),
        authorization=header(scope, b"authorization"),
        sig=query.get("sig", ""),
        path=scope["path"],
        query=query,
        address=address,
    )
    if principal is None:
        raise not_authenticated()
    return replace(principal, address=address)


def authorise(scope: Scope, target: Target) -> "tuple[Principal, Camera]":
    """Return the principal and the camera of an HTTP request, if the principal has the role of the route.

    For live video, use `authorise_live`. Raises: Problem, NotFoundError, ForbiddenError.
    """
    from ninjacam.queries.cameras import get_camera, get_recorded

    assert target.route is not None
    check_host(scope)
    principal = identify(scope)
    query = query_of(scope)
    role = target.route.role_for(query)
    if target.route.is_recorded:
        return principal, get_recorded(principal, target.slug, role)
    return principal, get_camera(principal, target.slug, role, view_of(query))


def authorise_live(
    scope: Scope, target: Target, stream: str, width_px: int, role: Literal["live", "thumbnail"]
) -> LiveAccess:
    """Do the same as `authorise`, for live video.

    Raises: also UnknownStreamError, only to users who may view the camera.
    """
    principal, camera = authorise(scope, target)
    return _live_access(principal, camera, view_of(query_of(scope)), stream, width_px, role)


def _live_access(
    principal: "Principal",
    camera: "Camera",
    view: str,
    stream: str,
    width_px: int,
    role: Literal["live", "thumbnail"],
) -> LiveAccess:
    """Raises: UnknownStreamError."""
    from ninjacam.auth import is_guest, shown_view
    from ninjacam.queries.streams import get_stream_name

    shown = shown_view(principal, camera, view)
    assert shown is not None  # get_camera has refused it.
    name = get_stream_name(camera, stream, width_px=0 if shown else width_px, role=role)
    return LiveAccess(
        principal,
        camera,
        shown,
        # `main` has the views of processors, regardless of the stream that they process.
        stream=MAIN if shown else name,
        replaces_raw=is_guest(principal, camera),
    )


def view_of(query: Mapping[str, str]) -> str:
    """Return the view in a query; "" for the camera's own frames."""
    view = query.get("view", "")
    return "" if view == RAW_VIEW else view


def authorise_socket(scope: Scope) -> "Principal":
    """Return the principal of a WebSocket. Raises: Problem 400, 401, 429; 403: the page has another origin."""
    request = check_host(scope)
    has_origin, ours = "HTTP_ORIGIN" in request.META, check_origin(request)
    if has_origin and not ours:
        raise Problem(403, "origin", "This page's origin is not allowed (CSRF_TRUSTED_ORIGINS).")
    principal = identify(scope)
    if principal.source == "session" and not ours:
        raise Problem(403, "origin", "Requests without an Origin header need a token.")
    return principal


def authorise_again(
    principal: "Principal", slug: str, view: str, stream: str, width_px: int
) -> tuple[LiveAccess, bool]:
    """Authorize a subscription of a WebSocket. All objects are read again.

    Returns: the access, and whether the principal may see the details of the camera's errors. Raises: Problem 401,
    NotFoundError, ForbiddenError, UnknownStreamError.
    """
    from ninjacam.auth import refresh
    from ninjacam.queries.cameras import get_camera

    fresh = refresh([principal])[principal]
    if fresh is None:
        raise not_authenticated()
    camera = get_camera(fresh, slug, view=view)
    return _live_access(fresh, camera, view, stream, width_px, "live"), may_see_details(fresh, camera)


def authorise_movement(principal: "Principal", slug: str) -> bool:
    """Authorize held movements. All objects are read again.

    Returns: whether the principal may see the details of the camera's errors. Raises: Problem 401, NotFoundError,
    ForbiddenError.
    """
    from ninjacam.auth import refresh
    from ninjacam.models import Role
    from ninjacam.queries.cameras import get_camera

    _check_slug(slug)
    fresh = refresh([principal])[principal]
    if fresh is None:
        raise not_authenticated()
    return may_see_details(fresh, get_camera(fresh, slug, Role.CONTROL))


def record_movement(principal: "Principal", slug: str, reason: str) -> None:
    """Record the start (`reason` "") or the end of a held movement."""
    from ninjacam.actions import ptz

    ptz.record_movement(principal, slug, reason)


def authorise_events(scope: Scope, wanted: list[str]) -> "tuple[Principal, frozenset[str] | None, Span]":
    """Authorize a stream of events. Return the principal, the cameras whose events it may read (None: all, and the
    host), and the positions of the journal. Raises: Problem, NotFoundError, ForbiddenError."""
    from ninjacam.queries.event_updates import journal_span, replayable

    check_host(scope)
    principal = identify(scope)
    for slug in wanted:
        _check_slug(slug)
    return principal, replayable(principal, wanted), journal_span()


def _check_slug(slug: str) -> None:
    """Raises: NotFoundError: no camera can have this slug. PostgreSQL fails at some texts, such as NUL."""
    from ninjacam.queries.cameras import missing_camera

    if not re.fullmatch(SLUG, slug):
        raise missing_camera(slug)


def read_event_updates(since: int, max_rows: int) -> "list[Update]":
    from ninjacam.queries.event_updates import read_updates

    return read_updates(since, max_rows)


def read_event_span() -> "Span":
    from ninjacam.queries.event_updates import journal_span

    return journal_span()


def authorise_events_again(
    asked: "list[tuple[Principal, list[str]]]",
) -> "list[frozenset[str] | None]":
    """Return the cameras whose events each principal may read now. Empty: none."""
    from ninjacam.queries.event_updates import replayable_again

    return replayable_again(asked)


@dataclass(frozen=True, slots=True)
class TalkPermission:
    """The permission of a user to talk to a camera.

    `details`: whether errors are shown in detail. `may_see_users`: whether the name of the speaker is shown.
    """

    principal: "Principal"
    camera: "Camera"
    details: bool
    may_see_users: bool


def authorise_talk(scope: Scope, slug: str) -> TalkPermission:
    """Authorize a WebSocket that carries audio to a camera.

    Raises: Problem 400, 401, 429; 403: the page has another origin; NotFoundError, ForbiddenError.
    """
    from ninjacam.models import Role
    from ninjacam.queries.cameras import get_camera

    principal = authorise_socket(scope)
    camera = get_camera(principal, slug, Role.CONTROL)
    return TalkPermission(
        principal, camera, may_see_details(principal, camera), principal.may_all("view_cameragrant")
    )


def record_talk(principal: "Principal", slug: str, verb: str, details: dict[str, object]) -> None:
    """Record the start or the end of a talk."""
    from ninjacam.actions import talk

    talk.record_talk(principal, slug, verb, **details)


def may_see_details(principal: "Principal", camera: "Camera") -> bool:
    """Return whether errors of the camera may contain addresses: only for users who may configure it."""
    return principal.may("configure", camera)


def recheck_all(asked: "list[tuple[Principal, str, Camera, str | None]]") -> list[bool]:
    """Return, for each, whether the principal still has that role, and may see that view. Uses a few queries for
    all."""
    from ninjacam.auth import recheck

    return recheck(asked)

"""Finds the route of a request, below the path at which the project's urls.py includes `ninjacam.urls`."""

import logging
from dataclasses import dataclass

from django.conf import settings
from django.urls import (
    NoReverseMatch,
    Resolver404,
    get_script_prefix,
    resolve,
    reverse,
    set_script_prefix,
)

from ninjacam.front_door.messages import Scope
from ninjacam.routes import ROUTES, ROUTES_BY_NAME, Route

logger = logging.getLogger("ninjacam.front_door")


@dataclass(frozen=True, slots=True)
class Target:
    """A route with the values from the path. `key`: the id of a segment or an export.

    `route` is None for a path that matches a route with a value that cannot exist.
    """

    route: Route | None
    slug: str = ""
    key: str = ""


class MountPoint:
    """The path at which `ninjacam.urls` is included. Created at the first request, because the project's URLs cannot
    be read earlier."""

    def __init__(self) -> None:
        self._prefix = _mount_point()

    def find(self, scope: Scope) -> Target | None:
        """Return the target of a request; None: the path does not belong to a route."""
        path = path_info(scope)
        if self._prefix is None or not path.startswith(self._prefix):
            return None
        tail = path[len(self._prefix) :]
        for route in ROUTES:
            if match := route.regex.match(tail):
                values = match.groupdict()
                return Target(route, values.pop("slug", ""), next(iter(values.values()), ""))
        return Target(None) if tail.startswith(("live/", "rec/")) and _is_ours(path) else None

    def owns(self, scope: Scope) -> bool:
        """Return whether Django would serve the request with one of our views, or with 404 below our mount point."""
        path = path_info(scope)
        if self._prefix is None or not path.startswith(self._prefix):
            return False
        if self._prefix != "/":
            return True
        try:
            return resolve(path).view_name.startswith(("ninjacam:", "ninjacam-api:"))
        except Resolver404:
            return True


def _mount_point() -> str | None:
    before = get_script_prefix()
    set_script_prefix("/")
    try:
        socket = ROUTES_BY_NAME["live-ws"]
        return reverse(f"ninjacam:{socket.name}").removesuffix(socket.pattern)
    except NoReverseMatch:
        logger.warning("ninjacam.urls is not in the project's URLs: no live video is served")
        return None
    finally:
        set_script_prefix(before)


def _is_ours(path: str) -> bool:
    """Return whether urls.py matches the path. It is less strict than the routes: it accepts segment 0, for example."""
    try:
        return resolve(path).view_name.startswith(("ninjacam:live-", "ninjacam:rec-"))
    except Resolver404:
        return False


def path_info(scope: Scope) -> str:
    """Return the path without the script name, as in Django's ASGIRequest."""
    path = str(scope["path"])
    script = str(settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")).rstrip("/")
    return path[len(script) :] if script and path.startswith(script + "/") else path

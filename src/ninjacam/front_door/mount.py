"""Which requests are ours: the paths below the place where the project's urls.py has included `ninjacam.urls`."""

import logging
import re
from dataclasses import dataclass
from typing import Literal, cast

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

logger = logging.getLogger("ninjacam.live")

Place = Literal[
    "mjpeg",
    "snapshot.jpg",
    "ws",
    "healthz",
    "metrics",
    "hls.m3u8",
    "segment",
    "clip.mp4",
    "at.jpg",
    "export",
    "nothing",
]
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")
_TAILS = (
    re.compile(rf"live/(?P<slug>{SLUG.pattern})/(?P<place>mjpeg|snapshot\.jpg)\Z"),
    re.compile(rf"rec/(?P<slug>{SLUG.pattern})/(?P<place>hls\.m3u8|clip\.mp4|at\.jpg)\Z"),
    re.compile(rf"rec/(?P<slug>{SLUG.pattern})/(?P<place>segment)/(?P<key>[1-9]\d{{0,17}})\.mp4\Z", re.ASCII),
    re.compile(
        rf"rec/(?P<slug>{SLUG.pattern})/(?P<place>export)/(?P<key>[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})\.mp4\Z"
    ),
)
_FIXED: dict[str, Place] = {"live/ws": "ws", "healthz": "healthz", "metrics": "metrics"}


@dataclass(frozen=True, slots=True)
class Target:
    """`key`: the number of a segment, the UUID of an export; as it stands in the path. The place "nothing": one of
    our paths to something that cannot exist."""

    place: Place
    slug: str = ""
    key: str = ""


class Mount:
    """Made at the first request, when the project's URLs can be read."""

    def __init__(self) -> None:
        self._prefix = _mount_point()

    def find(self, scope: Scope) -> Target | None:
        """None: not one of our paths."""
        path = path_info(scope)
        if self._prefix is None or not path.startswith(self._prefix):
            return None
        tail = path[len(self._prefix) :]
        if tail in _FIXED:
            return Target(_FIXED[tail])
        match = next(filter(None, (pattern.match(tail) for pattern in _TAILS)), None)
        if match is None:
            return Target("nothing") if tail.startswith(("live/", "rec/")) and _is_ours(path) else None
        return Target(cast(Place, match["place"]), match["slug"], match.groupdict().get("key", ""))

    def owns(self, scope: Scope) -> bool:
        """Return whether Django would serve it with one of our views, or with 404 below our mount point."""
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
        return reverse("ninjacam:live-ws").removesuffix("live/ws")
    except NoReverseMatch:
        logger.warning("ninjacam.urls is not in the project's URLs: no live video is served")
        return None
    finally:
        set_script_prefix(before)


def _is_ours(path: str) -> bool:
    """Whether urls.py has it, which is less strict than we are: about segment 0, or a camera in capitals."""
    try:
        return resolve(path).view_name.startswith(("ninjacam:live-", "ninjacam:rec-"))
    except Resolver404:
        return False


def path_info(scope: Scope) -> str:
    """The path without the place where the server has mounted the whole project, as Django's ASGIRequest has it."""
    path = str(scope["path"])
    script = str(settings.FORCE_SCRIPT_NAME or scope.get("root_path", "")).rstrip("/")
    return path[len(script) :] if script and path.startswith(script + "/") else path

"""Create signed links."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.translation import gettext as _

from ninjacam import signing
from ninjacam.actions.audit import record
from ninjacam.auth import Principal, link_for
from ninjacam.core.errors import ForbiddenError, InvalidError
from ninjacam.models import Camera, Role

ROUTES = {
    "mjpeg": "ninjacam:live-mjpeg",
    "snapshot": "ninjacam:live-snapshot",
    "ws": "ninjacam:live-ws",
    "hls": "ninjacam:rec-hls",
    "clip": "ninjacam:rec-clip",
    "at": "ninjacam:rec-at",
}
_PARAMETERS = {
    "mjpeg": {"width", "quality", "fps"},
    "snapshot": {"width", "quality"},
    "ws": set[str](),
    "hls": {"start", "end"},
    "clip": {"start", "end", "download"},
    "at": {"time", "width"},
}
_NEEDED = {"hls": {"start"}, "clip": {"start", "end"}, "at": {"time"}}


@dataclass(frozen=True, slots=True)
class SignedLink:
    """`path`: including the query, to be appended to scheme and host."""

    path: str
    expires_at: datetime


def role_of(kind: str, parameters: Mapping[str, str]) -> str:
    """The role required for, and passed on by, a link of this kind."""
    if kind not in _NEEDED:
        return Role.VIEW.value
    return Role.EXPORT.value if parameters.get("download") else Role.REPLAY.value


def create_link(
    principal: Principal,
    camera: Camera,
    kind: str,
    *,
    view: str = "",
    parameters: Mapping[str, str] | None = None,
    lifetime_s: int = 3600,
) -> SignedLink:
    """Return a link to a live stream or snapshot of one view, or to recordings, with the permissions of `principal`.
    It is valid for at most 7 days, and no longer than the permission, password and token behind it.

    `kind`: a key of ROUTES. `parameters`: of that route; part of what is signed.
    Raises: ForbiddenError, InvalidError.
    """
    role = role_of(kind, parameters or {})
    if principal.source == "signed" or not principal.may(role, camera, view):
        raise ForbiddenError(_("You are not allowed to create links for this camera."))
    if kind not in ROUTES:
        raise InvalidError.of("kind", _("Unknown kind of link."))
    if not 1 <= lifetime_s <= signing.MAX_AGE_S:
        raise InvalidError.of("lifetime_s", _("A link is valid for 1 second to 7 days."))
    query = {name: value for name, value in (parameters or {}).items() if value}
    if not _PARAMETERS[kind].issuperset(query):
        raise InvalidError.of("parameters", _("This kind of link does not accept these parameters."))
    if missing := sorted(_NEEDED.get(kind, set()).difference(query)):
        raise InvalidError.of(missing[0], _("This kind of link requires it."))
    if view and role != Role.VIEW:
        raise InvalidError.of("view", _("Only the camera's own view is recorded."))
    if view and kind != "ws":
        query["view"] = view
    path = reverse(ROUTES[kind], args=[] if kind == "ws" else [camera.slug])
    link = link_for(principal, camera, path=path, query=query, view=view, lifetime_s=lifetime_s, role=role)
    record(principal, "link.create", camera.slug, kind=kind, view=view, lifetime_s=lifetime_s)
    return SignedLink(
        path=f"{path}?{urlencode({**query, signing.PARAMETER: signing.sign(link)})}",
        expires_at=datetime.fromtimestamp(link.expires_at_s, UTC),
    )

"""Create signed links."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from ninjacam import signing
from ninjacam.actions.audit import record
from ninjacam.auth import Principal, link_for
from ninjacam.core.errors import ForbiddenError, InvalidError
from ninjacam.queries.cameras import get_camera
from ninjacam.routes import LINKED_ROUTES, Route


@dataclass(frozen=True, slots=True)
class SignedLink:
    """`path`: including the query, to be appended to scheme and host."""

    path: str
    expires_at: datetime


def create_link(
    principal: Principal,
    slug: str,
    kind: str,
    *,
    view: str = "",
    parameters: Mapping[str, str] | None = None,
    lifetime_s: int = 3600,
) -> SignedLink:
    """Return a link to one view of a live stream, or to recordings, that grants the permission of `principal`.

    It expires after `lifetime_s`, at most 7 days, and ends with the permission, the password and the token. `kind`:
    a key of `routes.LINKED_ROUTES`. `parameters`: of that route; the link is valid for these values only. Raises:
    NotFoundError, ForbiddenError, InvalidError.
    """
    route = LINKED_ROUTES.get(kind)
    if route is None:
        kinds = ", ".join(LINKED_ROUTES)
        raise InvalidError.of("kind", _("Unknown kind of link. Use one of: %(kinds)s.") % {"kinds": kinds})
    query = {name: value for name, value in (parameters or {}).items() if value}
    camera = get_camera(principal, slug, route.role_for(query), view)
    if view and view != camera.guest_view and camera.guest_view and not route.is_recorded:
        raise InvalidError.of(
            "view", _("Links show only the view of this camera that guests see. Omit “view”.")
        )
    if principal.source == "signed":
        raise ForbiddenError(_("You may not create links with a link."))
    if not 1 <= lifetime_s <= signing.MAX_AGE_S:
        raise InvalidError.of("lifetime_s", _("A link is valid for 1 second to 7 days."))
    _check_parameters(route, query)
    if view and route.is_recorded:
        raise InvalidError.of("view", _("Only the camera's own frames are recorded."))
    if view and route.takes("view"):
        query["view"] = view
    path = route.path(camera.slug)
    role = route.role_for(query)
    link = link_for(principal, camera, path=path, query=query, view=view, lifetime_s=lifetime_s, role=role)
    record(principal, "link.create", camera.slug, kind=kind, view=view, lifetime_s=lifetime_s)
    return SignedLink(
        path=f"{path}?{urlencode({**query, signing.PARAMETER: signing.sign(link)})}",
        expires_at=datetime.fromtimestamp(link.expires_at_s, UTC),
    )


def _check_parameters(route: Route, query: Mapping[str, str]) -> None:
    """Raises: InvalidError."""
    known = {each.name: each for each in route.parameters if each.name != "view"}
    for name, value in query.items():
        if name not in known:
            names = ", ".join(known) or _("none")
            raise InvalidError.of(
                f"parameters.{name}"[:60],
                _("Links of the kind “%(kind)s” have no such parameter. They have: %(names)s.")
                % {"kind": route.kind, "names": names},
            )
        if not known[name].accepts(value):
            raise InvalidError.of(
                f"parameters.{name}", _("Invalid value. %(text)s") % {"text": known[name].description}
            )
    for name, parameter in known.items():
        if parameter.required and name not in query:
            raise InvalidError.of(f"parameters.{name}", _("Links of this kind need this parameter."))

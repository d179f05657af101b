"""The cameras that a user may see: the only lookup for API, pages, live streams, WebSockets, recordings and links.

A camera is visible to users with any role for it, within the scopes of the token or link in use. An invisible camera
is treated like one that does not exist: `NotFoundError`, 404. A visible camera without the required role raises
`ForbiddenError`, 403, which names the role.
"""

import contextlib
from typing import Protocol, TypeVar

from django.utils.translation import gettext as _

from ninjacam.auth import Actor, Principal, shown_view
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import Camera, Role, Segment, archive
from ninjacam.models.camera import CameraQuerySet


class _OfCamera(Protocol):
    slug: str


R = TypeVar("R", bound=_OfCamera)
_OUTLIVING = (Role.REPLAY, Role.EXPORT)
"""The roles for recordings, which outlive their camera."""


def find_camera(actor: Actor, slug: str) -> Camera | None:
    """Return the camera, or None if it does not exist or is invisible to `actor`."""
    camera = Camera.objects.filter(slug=slug).first()
    return camera if camera is not None and knows(actor, camera) else None


def get_camera(actor: Actor, slug: str, role: str = Role.VIEW, view: str | None = None) -> Camera:
    """Return the camera, for which `actor` has `role` (and for its view, if one is given).

    With a view, use `auth.shown_view` for the one to show. Raises: NotFoundError, ForbiddenError.
    """
    return _checked(actor, Camera.objects.filter(slug=slug).first(), slug, role, view)


def get_recorded(actor: Actor, slug: str, role: str = Role.REPLAY) -> Camera:
    """Return the camera, if `actor` has `role` for its recordings, events or exports.

    They outlive their camera: for a deleted camera, this is an unsaved Camera, and requires the role for all
    cameras. The slug "" represents the host. Raises: NotFoundError, ForbiddenError.
    """
    camera = Camera.objects.filter(slug=slug).first()
    if camera is None and any(may_deleted(actor, each) for each in _OUTLIVING) and archive.has_left(slug):
        if may_deleted(actor, role):
            return Camera(slug=slug)
        raise ForbiddenError(_("You need the role “%(role)s” for all cameras.") % {"role": str(role)})
    return _checked(actor, camera, slug, role)


def require_recorded(actor: Actor, row: R | None, role: str, missing: str) -> R:
    """Return `row`, if `actor` has `role` for its camera.

    Raises: NotFoundError with the message `missing`: it is None, or its camera is invisible to the actor;
    ForbiddenError.
    """
    if row is not None:
        with contextlib.suppress(NotFoundError):
            get_recorded(actor, row.slug, role)
            return row
    raise NotFoundError(missing)


def _checked(actor: Actor, camera: Camera | None, slug: str, role: str, view: str | None = None) -> Camera:
    if camera is not None and actor.may(role, camera, view):
        if view is not None and shown_view(actor, camera, view) is None:
            raise ForbiddenError(_("You may not see this view of the camera. Omit “view”."))
        return camera
    if camera is None or not knows(actor, camera):
        raise missing_camera(slug)
    if actor.may(role, camera):
        raise ForbiddenError(_("This link is for another view of the camera."))
    raise ForbiddenError(
        _("You need the role “%(role)s” for the camera “%(slug)s”.") % {"role": str(role), "slug": slug}
    )


def missing_camera(slug: str) -> NotFoundError:
    return NotFoundError(_("No camera “%(slug)s”.") % {"slug": slug[:50]})


def knows(actor: Actor, camera: Camera) -> bool:
    """Return whether this camera is visible to `actor`: they have any role for it."""
    return any(actor.may(role, camera) for role in Role.values)


def may_deleted(actor: Actor, role: str) -> bool:
    """Return whether `actor` has `role` for recordings, events and exports of deleted cameras, and events of the
    host.
    """
    return actor.may_all(f"{role}_camera", role)


def list_cameras(who: Principal, role: str = Role.VIEW) -> CameraQuerySet:
    """Return the cameras for which `who` has `role`, ordered by slug."""
    cameras = Camera.objects.visible_to(who.user, role).order_by("slug")
    scoped = who.cameras_in_scope(role)
    return cameras if scoped is None else cameras.filter(pk__in=scoped)


def list_recorded(who: Principal, wanted: list[str], role: str = Role.REPLAY) -> list[str]:
    """Return the slugs of the cameras, including deleted ones, for whose recordings `who` has `role`; of `wanted`,
    if any.

    Raises: NotFoundError, ForbiddenError: for one of `wanted`.
    """
    if wanted:
        return [get_recorded(who, slug, role).slug for slug in dict.fromkeys(wanted)]
    slugs = set(list_cameras(who, role).values_list("slug", flat=True))
    if may_deleted(who, role):
        slugs.update(Segment.objects.recorded_slugs())
    return sorted(slugs)


def list_recorded_or_all(who: Principal, wanted: list[str], role: str = Role.REPLAY) -> list[str] | None:
    """Return the same as `list_recorded`, or None for all cameras, including deleted ones, and the host."""
    if not wanted and may_deleted(who, role):
        return None
    return list_recorded(who, wanted, role)

"""The stored zones, lines and masks of cameras."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import NotFoundError
from ninjacam.core.zones import MAX_NAME_CHARS
from ninjacam.models import CameraZone, Role
from ninjacam.queries.cameras import get_camera


def list_zones(actor: Actor, slug: str, role: str = Role.VIEW) -> "QuerySet[CameraZone]":
    """Return the zones of a camera, by name. Raises: NotFoundError, ForbiddenError."""
    return CameraZone.objects.filter(camera=get_camera(actor, slug, role)).order_by("name")


def get_zone(actor: Actor, slug: str, name: str, role: str = Role.VIEW) -> CameraZone:
    """Raises: NotFoundError, ForbiddenError."""
    zone = list_zones(actor, slug, role).select_related("camera").filter(name=name).first()
    if zone is None:
        values = {"slug": slug, "name": name[:MAX_NAME_CHARS]}
        raise NotFoundError(_("The camera “%(slug)s” has no zone “%(name)s”.") % values)
    return zone

"""Draw, change and remove the zones, lines and masks of a camera. Vision workers apply them within a second or two."""

from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import invalid
from ninjacam.auth import Actor
from ninjacam.core.errors import ConflictError, QuotaError
from ninjacam.core.zones import MAX_ZONES
from ninjacam.models import Camera, CameraZone, Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.zones import get_zone


class ZoneFields(TypedDict, total=False):
    """The fields of a zone that a user may set. `points`: pairs of fractions of the image's width and height."""

    name: str
    kind: str
    points: Any
    inertia_s: float
    loitering_s: float
    preset: str
    color: str


@audited
def create_zone(actor: Actor, slug: str, fields: ZoneFields) -> CameraZone:
    """Add a zone. Raises: NotFoundError, ForbiddenError, InvalidError; ConflictError: the name is in use;
    QuotaError."""
    camera = get_camera(actor, slug, Role.CONFIGURE)
    zone = CameraZone(camera=camera, **fields)
    with transaction.atomic():
        Camera._base_manager.select_for_update().get(pk=camera.pk)  # Serializes concurrent additions.
        if camera.zones.count() >= MAX_ZONES:
            raise QuotaError(
                _("A camera has at most %(count)s zones, lines and masks. Remove one first.")
                % {"count": MAX_ZONES}
            )
        _check_and_save(zone)
    record(actor, "zone.create", slug, zone=zone.name, kind=zone.kind)
    return zone


@audited
def update_zone(actor: Actor, slug: str, name: str, fields: ZoneFields) -> CameraZone:
    """Change the fields in `fields`. Raises: NotFoundError, ForbiddenError, InvalidError; ConflictError: the new name
    is in use.
    """
    zone = get_zone(actor, slug, name, Role.CONFIGURE)
    for field, value in fields.items():
        setattr(zone, field, value)
    with transaction.atomic():
        _check_and_save(zone)
    record(actor, "zone.update", slug, zone=name, fields=sorted(fields))
    return zone


@audited
def delete_zone(actor: Actor, slug: str, name: str) -> None:
    """Raises: NotFoundError, ForbiddenError."""
    get_zone(actor, slug, name, Role.CONFIGURE).delete()
    record(actor, "zone.delete", slug, zone=name)


def _check_and_save(zone: CameraZone) -> None:
    """Raises: InvalidError, ConflictError."""
    try:
        zone.full_clean(validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise invalid(error) from error
    try:
        with transaction.atomic():
            zone.save()
    except IntegrityError as error:
        raise ConflictError(
            _("The camera “%(slug)s” already has a zone “%(name)s”. Choose another name.")
            % {"slug": zone.camera.slug, "name": zone.name}
        ) from error

"""Who may replay which recordings. Cameras are named by slug, because recordings outlive them.

A camera that is there: whoever has `replay` for it. One that was deleted: whoever has it for all cameras.
"""

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import record
from ninjacam.actions.cameras import find_camera
from ninjacam.actions.protection import check_protection
from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import Camera, Event, Role, Segment


def replayable_slugs(actor: Actor, wanted: Sequence[str] = (), role: str = Role.REPLAY) -> list[str]:
    """Of which cameras, deleted ones too, `actor` has `role` for the recordings: `wanted`, or else all there are.

    Raises: NotFoundError, ForbiddenError: of one that is wanted.
    """
    if wanted:
        return [find_recorded(actor, slug, role) for slug in dict.fromkeys(wanted)]
    cameras = Camera.objects.order_by("slug")
    slugs = [camera.slug for camera in cameras if actor.may(role, camera)]
    if may_deleted(actor, role):
        there = {camera.slug for camera in cameras}
        slugs += [slug for slug in Segment.objects.recorded_slugs() if slug not in there]
    return sorted(slugs)


def find_recorded(actor: Actor, slug: str, role: str = Role.REPLAY) -> str:
    """`slug`, if there is such a camera, or recordings or events of one, and `actor` has `role` for it.

    Raises: NotFoundError, ForbiddenError.
    """
    if Camera.objects.filter(slug=slug).exists() or not (
        may_deleted(actor, role)
        and (Segment.objects.filter(slug=slug).exists() or Event.objects.filter(slug=slug).exists())
    ):
        return find_camera(actor, slug, role).slug
    return slug


def find_segment(actor: Actor, segment_id: int, role: str = Role.REPLAY) -> Segment:
    """Raises: NotFoundError: none, or none that the actor may know of; ForbiddenError: another role only."""
    segment = Segment.objects.filter(pk=segment_id).first()
    try:
        if segment is not None:
            find_recorded(actor, segment.slug, role)
            return segment
    except NotFoundError:
        pass
    raise NotFoundError(_("There is no recording %(id)s.") % {"id": segment_id})


def protect_segment(actor: Actor, segment: Segment, *, protected: bool) -> Segment:
    """Keep it from retention, or no longer. Needs `export`, as taking it away would.

    Raises: ForbiddenError; QuotaError: too much of this camera is protected.
    """
    try:
        find_recorded(actor, segment.slug, Role.EXPORT)
    except NotFoundError as error:
        raise ForbiddenError(
            _("You may not keep recordings of “%(slug)s”.") % {"slug": segment.slug}
        ) from error
    with transaction.atomic():
        Segment.objects.filter(pk=segment.pk).update(protected=protected)
        if protected:
            check_protection(actor, segment.slug)
    segment.protected = protected
    record(
        actor, "recording.protect" if protected else "recording.unprotect", segment.slug, path=segment.path
    )
    return segment


def may_deleted(actor: Actor, role: str) -> bool:
    """Whether `actor` has `role` for what belongs to cameras that are gone, or to none."""
    return actor.may_all(f"{role}_camera", role)

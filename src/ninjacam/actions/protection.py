"""Limits on protection from retention: for each camera, half of an equal share of the space for recordings.

Without a limit, a user who may protect recordings of one camera could fill the disk with them and force out the
recordings of all others.
"""

from django.db.models import Q, Sum
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from ninjacam.actions.export_limits import disk_of
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import QuotaError
from ninjacam.models import Camera, Event, Segment

PROTECTED_SHARE = 0.5


def check_protection(actor: Actor, slug: str) -> None:
    """Check the size of this camera's protected recordings, in the transaction that has just protected more.

    Users who may configure all cameras have no limit. Raises: QuotaError.
    """
    if actor.may_all("change_camera", "configure"):
        return
    limit_bytes = protectable_bytes()
    if protected_bytes(slug) > limit_bytes:
        raise QuotaError(
            _(
                "The protected recordings of “%(slug)s” would take more than %(limit)s, the limit per camera. "
                "Unprotect others first, or ask an administrator."
            )
            % {"slug": slug, "limit": filesizeformat(limit_bytes)}
        )


def protected_bytes(slug: str) -> int:
    """Return the size of the camera's recordings that are protected or belong to a protected event."""
    camera = Camera.objects.filter(slug=slug).first() or Camera()
    needed = Q(Event.objects.protecting(slug, *camera.pre_post_roll_ns))
    kept = Segment.objects.filter(Q(protected=True) | needed, slug=slug).order_by()
    return int(kept.aggregate(total=Sum("size_bytes"))["total"] or 0)


def protectable_bytes() -> int:
    """Return the maximum number of protected bytes of one camera."""
    settings = get_settings()
    rules = settings.retention
    used = Segment.objects.size_bytes_by_slug()
    disk = disk_of(settings.recordings_dir)
    room_bytes = sum(used.values()) + max(0, disk.free_bytes - rules.watermark_bytes(disk.size_bytes))
    if rules.bytes:
        room_bytes = min(room_bytes, rules.bytes)
    share_bytes = room_bytes // max(1, len(used))
    if rules.bytes_per_camera:
        share_bytes = min(share_bytes, rules.bytes_per_camera)
    return int(share_bytes * PROTECTED_SHARE)

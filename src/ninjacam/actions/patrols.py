"""Start and end the patrol of a camera. The capture process of the camera runs it (`ninjacam.devices.patrol`)."""

from collections.abc import Sequence
from dataclasses import asdict

from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError
from ninjacam.devices.patrol import MAX_DWELL_S, MAX_STEPS, MIN_DWELL_S, PatrolStep
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera


@audited
def set_patrol(actor: Actor, slug: str, steps: Sequence[PatrolStep], *, running: bool) -> Camera:
    """Save the steps of a camera's patrol, and start it again from the first one, or end it.

    The camera checks presets when it moves to them. Raises: NotFoundError, ForbiddenError, InvalidError.
    """
    camera = get_camera(actor, slug, Role.CONTROL)
    _check(steps, running=running)
    camera.patrol_steps = [asdict(step) for step in steps]
    camera.patrol_started_at = timezone.now() if running else None
    camera.patrol_ended_by = ""
    camera.save(update_fields=["patrol_steps", "patrol_started_at", "patrol_ended_by", "updated_at"])
    record(actor, "patrol.update", slug, steps=len(steps), running=running)
    return camera


def _check(steps: Sequence[PatrolStep], *, running: bool) -> None:
    """Raises: InvalidError."""
    if len(steps) > MAX_STEPS:
        raise InvalidError.of("steps", _("A patrol has at most %(count)s steps.") % {"count": MAX_STEPS})
    if running and not steps:
        raise InvalidError.of("steps", _("Specify at least one step, or do not start the patrol."))
    for step in steps:
        if not step.preset:
            raise InvalidError.of("steps", _("Specify the preset of each step."))
        if not MIN_DWELL_S <= step.dwell_s <= MAX_DWELL_S:
            raise InvalidError.of(
                "steps",
                _("A camera stays for %(low)g to %(high)g seconds at a preset.")
                % {"low": MIN_DWELL_S, "high": MAX_DWELL_S},
            )


def end_patrol(actor: Actor, slug: str) -> None:
    """Save that the patrol has ended because `actor` moves the camera. The device has already ended it.

    The caller has checked the permission.
    """
    running = Camera.objects.filter(slug=slug, patrol_started_at__isnull=False)
    if running.update(patrol_started_at=None, patrol_ended_by=actor.name[:200]):
        record(actor, "patrol.end", slug)

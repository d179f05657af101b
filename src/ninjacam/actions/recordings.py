"""Protect recordings from retention."""

from django.db import transaction

from ninjacam.actions.audit import record
from ninjacam.actions.protection import check_protection
from ninjacam.auth import Actor
from ninjacam.models import Role, Segment
from ninjacam.queries.cameras import get_recorded


def protect_segment(actor: Actor, segment: Segment, *, protected: bool) -> Segment:
    """Protect a recording from retention, or stop protecting it. Requires `export`, as downloading does.

    Raises: ForbiddenError; QuotaError: too much of this camera is protected.
    """
    get_recorded(actor, segment.slug, Role.EXPORT)
    with transaction.atomic():
        Segment.objects.filter(pk=segment.pk).update(protected=protected)
        if protected:
            check_protection(actor, segment.slug)
    segment.protected = protected
    record(
        actor, "recording.protect" if protected else "recording.unprotect", segment.slug, path=segment.path
    )
    return segment

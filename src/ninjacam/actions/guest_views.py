"""Stores the views that processors declare for guests (`replaces_video_for`)."""

from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone

from ninjacam.actions.audit import audited, record_as
from ninjacam.core.errors import NinjacamError
from ninjacam.models import Camera
from ninjacam.models.event import PROCESSOR


@audited
def store_guest_view(slug: str, view: str) -> None:
    """Set the view for guests of a camera, unless it has one. Users may save its other fields at the same time.

    Uses connections of its own, so call it in a thread. Raises: NinjacamError: the database is unavailable.
    """
    close_old_connections()
    try:
        found = Camera.objects.filter(slug=slug, guest_view="")
        is_changed = found.update(guest_view=view, updated_at=timezone.now())
    except DatabaseError as exc:
        raise NinjacamError("The database does not respond.") from exc
    finally:
        connections.close_all()
    if is_changed:
        record_as(PROCESSOR, "camera.update", slug, fields=["guest_view"], guest_view=view)

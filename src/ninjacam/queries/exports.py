"""Exports. Users with the role `export` for a camera see its exports."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from ninjacam.auth import Actor, Principal
from ninjacam.core.viewer_errors import without_traceback
from ninjacam.models import Camera, Export, Role
from ninjacam.models.export import ExportQuerySet
from ninjacam.queries.cameras import list_recorded_or_all, require_recorded


def get_export(actor: Actor, export_id: uuid.UUID) -> Export:
    """Raises: NotFoundError, also if its camera is invisible to the actor; ForbiddenError."""
    export = Export.objects.downloads().select_related("created_by").filter(pk=export_id).first()
    return require_recorded(actor, export, Role.EXPORT, _("No export %(id)s.") % {"id": export_id})


def export_error(actor: Actor, export: Export) -> Mapping[str, Any] | None:
    """Return the error of an export, with the traceback for users who may configure its camera."""
    if not export.error:
        return None
    camera = Camera.objects.filter(slug=export.slug).first()
    may_configure = camera is not None and actor.may(Role.CONFIGURE, camera)
    return export.error if may_configure else without_traceback(export.error)


def list_exports(who: Principal, wanted: list[str]) -> ExportQuerySet:
    """Return the exports of the cameras in `wanted`, or of all that `who` may export.

    Raises: NotFoundError, ForbiddenError: for one of `wanted`.
    """
    slugs = list_recorded_or_all(who, wanted, Role.EXPORT)
    found = Export.objects.downloads().select_related("created_by")
    return found if slugs is None else found.of_cameras(slugs)

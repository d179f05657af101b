"""Asking for exports, and for what becomes of them. All need the role `export`, as `queries.cameras` has it.

Not here: making them (`actions.export_jobs`).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam import signing
from ninjacam.actions.audit import record
from ninjacam.actions.export_limits import check_limits
from ninjacam.actions.export_options import MAX_LENGTH_S, parse_options
from ninjacam.actions.export_tasks import hand_over, tasks_are_used
from ninjacam.actions.links import SignedLink
from ninjacam.auth import Actor, Principal, link_for
from ninjacam.conf import get_settings
from ninjacam.core.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from ninjacam.models import Camera, Export, ExportState, Role, Segment
from ninjacam.queries.cameras import get_recorded

AHEAD_NS = 60 * 10**9
"""A span may end so much after now: the clocks of others."""
LINK_LIFETIME_S = 3600


def create_export(
    actor: Actor, slug: str, start_ns: int, end_ns: int, kind: str, options: Mapping[str, Any]
) -> Export:
    """Have it made.

    Raises: NotFoundError, ForbiddenError, InvalidError; LimitError: this user has too many waiting or running;
    QuotaError: this user has too many files or bytes.
    """
    slug = get_recorded(actor, slug, Role.EXPORT).slug
    parsed = parse_options(kind, options)
    if not start_ns < end_ns:
        raise InvalidError.of("end", _("The end must be after the start."))
    if end_ns > time.time_ns() + AHEAD_NS:
        raise InvalidError.of("end", _("This has not been recorded yet."))
    longest_s = MAX_LENGTH_S[Export.Kind(kind)]
    if end_ns - start_ns > longest_s * 10**9:
        raise InvalidError.of("end", _("Export at most %(hours)d h at once.") % {"hours": longest_s // 3600})
    if not Segment.objects.overlapping([slug], start_ns, end_ns).exists():
        raise InvalidError.of("start", _("Nothing was recorded then, or it is not kept any more."))
    with _within_limits(actor):
        export = Export.objects.create(
            slug=slug,
            start_ns=start_ns,
            end_ns=end_ns,
            kind=kind,
            options=parsed,
            created_by=getattr(actor, "user", None),
            handed_over=tasks_are_used(),
        )
    record(
        actor, "export.create", slug, export=export.pk, kind=kind, start_ns=start_ns, end_ns=end_ns, **parsed
    )
    hand_over(export)
    return export


@contextlib.contextmanager
def _within_limits(actor: Actor) -> Iterator[None]:
    """Roll back what the block has made active if it exceeds the user's limits.

    The block writes first: SQLite lets nobody write who has read what is old by then.
    Raises: LimitError, QuotaError.
    """
    with transaction.atomic():
        yield
        user = getattr(actor, "user", None)
        if user is not None:
            check_limits(user, get_settings())


def cancel_export(actor: Actor, export: Export) -> Export:
    """What is over stays as it is. What runs ends within a second. Raises: ForbiddenError."""
    _require_change(actor, export)
    this = Export.objects.filter(pk=export.pk)
    waiting = this.filter(state=ExportState.QUEUED)
    running = this.filter(state=ExportState.RUNNING, cancel_requested=False)
    if waiting.move(ExportState.CANCELLED, finished_at=timezone.now()) or running.update(
        cancel_requested=True
    ):
        record(actor, "export.cancel", export.slug, export=export.pk)
    return _fresh(export)


def retry_export(actor: Actor, export: Export) -> Export:
    """Raises: ForbiddenError, LimitError, QuotaError, ConflictError: it is neither failed nor cancelled."""
    _require_change(actor, export)
    again = Export.objects.filter(pk=export.pk).exclude(state=ExportState.RUNNING)
    with _within_limits(actor):
        if not again.move(
            ExportState.QUEUED,
            attempts=0,
            progress=0.0,
            error=None,
            cancel_requested=False,
            finished_at=None,
            created_by=getattr(actor, "user", None) or export.created_by,
            handed_over=tasks_are_used(),
        ):
            raise ConflictError(_("Only an export that failed or was cancelled can be tried again."))
    record(actor, "export.retry", export.slug, export=export.pk)
    hand_over(export)
    return _fresh(export)


def delete_export(actor: Actor, export: Export) -> None:
    """With its file. Whoever makes it ends within a second. Raises: ForbiddenError."""
    _require_change(actor, export)
    Export.objects.filter(pk=export.pk).delete()
    if export.claim:
        with contextlib.suppress(OSError):
            export.path(get_settings().exports_dir).unlink()
    record(actor, "export.delete", export.slug, export=export.pk)


def download_link(principal: Principal, export: Export) -> SignedLink | None:
    """For whoever cannot send a header. None: there is no file, or its camera is deleted, which links cannot name."""
    now = timezone.now()
    camera = Camera.objects.filter(slug=export.slug).first()
    if camera is None or not export.has_file(now) or not principal.may(Role.EXPORT, camera):
        return None
    assert export.expires_at is not None
    path = file_path(export)
    link = link_for(
        principal, camera, path=path, query={}, view="", lifetime_s=LINK_LIFETIME_S, role=Role.EXPORT.value
    )
    link = replace(link, expires_at_s=min(link.expires_at_s, int(export.expires_at.timestamp())))
    return SignedLink(
        path=f"{path}?{urlencode({signing.PARAMETER: signing.sign(link)})}",
        expires_at=datetime.fromtimestamp(link.expires_at_s, UTC),
    )


def file_path(export: Export) -> str:
    """Where its file is served."""
    return reverse("ninjacam:rec-export", args=[export.slug, export.pk])


def _require_change(actor: Actor, export: Export) -> None:
    """One's own; of others, for who may configure the camera, or all cameras. Raises: ForbiddenError."""
    user = getattr(actor, "user", None)
    if user is None or user.pk == export.created_by_id:
        return
    camera = Camera.objects.filter(slug=export.slug).first()
    if (
        actor.may(Role.CONFIGURE, camera)
        if camera is not None
        else actor.may_all("configure_camera", Role.CONFIGURE)
    ):
        return
    raise ForbiddenError(_("This export is somebody else's."))


def _fresh(export: Export) -> Export:
    """Raises: NotFoundError: it was deleted meanwhile."""
    found = Export.objects.select_related("created_by").filter(pk=export.pk).first()
    if found is None:
        raise NotFoundError(_("There is no export %(id)s.") % {"id": export.pk})
    return found

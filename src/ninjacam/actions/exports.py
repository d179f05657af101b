"""Create, cancel, retry and delete exports. All actions require the role `export`, as in `queries.cameras`.

Not here: running them (`actions.export_jobs`).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.db import transaction
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
from ninjacam.routes import ROUTES_BY_NAME

AHEAD_NS = 60 * 10**9
"""Maximum nanoseconds by which the end of a span may be in the future, because clients' clocks differ."""
LINK_LIFETIME_S = 3600


def create_export(
    actor: Actor, slug: str, start_ns: int, end_ns: int, kind: str, options: Mapping[str, Any]
) -> Export:
    """Create an export.

    Raises: NotFoundError, ForbiddenError, InvalidError; LimitError: this user has too many waiting or running;
    QuotaError: this user has too many files or bytes.
    """
    slug = get_recorded(actor, slug, Role.EXPORT).slug
    parsed = parse_options(kind, options)
    if not start_ns < end_ns:
        raise InvalidError.of("end", _("The end must be after the start."))
    if end_ns > time.time_ns() + AHEAD_NS:
        raise InvalidError.of("end", _("This span is in the future."))
    longest_s = MAX_LENGTH_S[Export.Kind(kind)]
    if end_ns - start_ns > longest_s * 10**9:
        raise InvalidError.of(
            "end", _("The maximum is %(hours)d hours per export.") % {"hours": longest_s // 3600}
        )
    if not Segment.objects.overlapping([slug], start_ns, end_ns).exists():
        raise InvalidError.of("start", _("There are no recordings of this span."))
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
    """Roll back the block if it makes the user exceed the limits on active exports.

    The block writes first, because SQLite does not let a transaction write after reading outdated data.
    Raises: LimitError, QuotaError.
    """
    with transaction.atomic():
        yield
        user = getattr(actor, "user", None)
        if user is not None:
            check_limits(user, get_settings())


def cancel_export(actor: Actor, export: Export) -> Export:
    """Cancel an export that has not ended. A running one stops within a second. Raises: ForbiddenError."""
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
    """Queue an export again. Raises: ForbiddenError, LimitError, QuotaError, ConflictError: it is neither failed nor
    cancelled."""
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
            raise ConflictError(_("Only exports that failed or were cancelled can be retried."))
    record(actor, "export.retry", export.slug, export=export.pk)
    hand_over(export)
    return _fresh(export)


def delete_export(actor: Actor, export: Export) -> None:
    """Delete an export and its file. If it is running, it stops within a second. Raises: ForbiddenError."""
    _require_change(actor, export)
    Export.objects.filter(pk=export.pk).delete()
    if export.claim:
        with contextlib.suppress(OSError):
            export.path(get_settings().exports_dir).unlink()
    record(actor, "export.delete", export.slug, export=export.pk)


def download_link(principal: Principal, export: Export) -> SignedLink | None:
    """Return a link for clients that cannot send a header. None: there is no file, or its camera is deleted; links
    cannot identify deleted cameras."""
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
    """Return the URL path of its file."""
    return ROUTES_BY_NAME["rec-export"].path(export.slug, export_id=export.pk)


def _require_change(actor: Actor, export: Export) -> None:
    """Allow changes of the actor's own exports; those of other users only with the role `configure` for the camera,
    or for all cameras. Raises: ForbiddenError."""
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
    raise ForbiddenError(_("This export belongs to another user."))


def _fresh(export: Export) -> Export:
    """Return the export, read again. Raises: NotFoundError: it was deleted meanwhile."""
    found = Export.objects.select_related("created_by").filter(pk=export.pk).first()
    if found is None:
        raise NotFoundError(_("No export %(id)s.") % {"id": export.pk})
    return found

"""Try options of a processor on recordings, before they are saved: a backtest with the present options and one with the
entered ones, and their comparison.

Requires the roles `configure` and `replay` for the camera, because the comparison has pictures from its recordings. A
backtest is a row of `Export`, and runs as exports do (`actions.export_jobs`). User code runs in a child of its process.
"""

import contextlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.actions.audit import record
from ninjacam.actions.processor_options import check_options
from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import InvalidError, LimitError, NotFoundError
from ninjacam.models import Camera, Export, Role, Segment
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.processor_options import get_options
from ninjacam.recordings.export import NothingRecordedError

MAX_SPAN_S = 12 * 3600
MAX_KEPT = 5
"""Maximum number of ended backtests of one user. Older ones are deleted."""
NIGHT_BEGINS_AT, NIGHT_ENDS_AT = 22, 6
"""Hours of the day."""


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """`comparison`: `backtest.comparison.Comparison.as_dict`, with the first events of each list. `html`: a part of a
    page, in which everything from user code is escaped."""

    comparison: Mapping[str, Any]
    html: str


def last_night(now: datetime) -> tuple[datetime, datetime]:
    """Return 22:00 of yesterday and 06:00 of today, or `now` if that is earlier, in the time zone of the project."""
    zone = timezone.get_default_timezone()
    local = timezone.localtime(now, zone)
    end = local.replace(hour=NIGHT_ENDS_AT, minute=0, second=0, microsecond=0)
    start = (end - timedelta(days=1)).replace(hour=NIGHT_BEGINS_AT)
    return start, min(end, local)


def create_backtest(
    actor: Actor, slug: str, processor: str, changes: Mapping[str, Any], start_ns: int, end_ns: int
) -> Export:
    """Compare the present options with changed ones, which are not saved; None resets an option to its default. Blocks
    for up to 15 s, while the options are checked.

    Raises: NotFoundError, ForbiddenError; InvalidError: an option, or the span; LimitError: a backtest of this user is
    waiting or running, or others check options.
    """
    camera = _get_camera(actor, slug)
    present = get_options(actor, slug, processor)
    _check_span(slug, start_ns, end_ns)
    wanted = check_options(actor, present, changes)
    if wanted == present.values:
        raise InvalidError.of(
            "values", _("Change an option first: the changed options are compared with the saved ones.")
        )
    before = {name: dict(values) for name, values in (camera.processor_options or {}).items()}
    user = getattr(actor, "user", None)
    with transaction.atomic():
        backtest = Export.objects.create(
            slug=slug,
            start_ns=start_ns,
            end_ns=end_ns,
            kind=Export.Kind.BACKTEST,
            options={
                "processor": processor,
                "before": before,
                "after": {**before, processor: wanted},
                "changes": dict(changes),
            },
            created_by=user,
        )
        if user is not None:
            _check_limit(user)
    if user is not None:
        _delete_old(user)
    record(
        actor,
        "backtest.create",
        slug,
        backtest=backtest.pk,
        processor=processor,
        options=sorted(changes),
        start_ns=start_ns,
        end_ns=end_ns,
    )
    return backtest


def get_backtest(actor: Actor, slug: str, backtest_id: uuid.UUID) -> Export:
    """Raises: NotFoundError, ForbiddenError."""
    _get_camera(actor, slug)
    found = Export.objects.backtests().filter(slug=slug, pk=backtest_id).first()
    if found is None:
        raise NotFoundError(_("No backtest %(id)s.") % {"id": backtest_id})
    return found


def delete_backtest(actor: Actor, backtest: Export) -> None:
    """Delete a backtest with its result. If it is running, it stops within a second. Raises: NotFoundError,
    ForbiddenError.
    """
    _get_camera(actor, backtest.slug)
    _delete(backtest)
    record(actor, "backtest.delete", backtest.slug, backtest=backtest.pk)


def read_result(backtest: Export) -> BacktestResult | None:
    """Return the comparison; None: there is none yet, or not any more."""
    if not backtest.has_file(timezone.now()):
        return None
    try:
        found = json.loads(backtest.path(get_settings().exports_dir).read_bytes())
        return BacktestResult(found["comparison"], found["html"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def changes_of(backtest: Export) -> dict[str, tuple[Any, Any]]:
    """Return the options that were tried: name -> (present value, tried value); None is the default."""
    options = backtest.options
    before, after = (options[each].get(options["processor"], {}) for each in ("before", "after"))
    return {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def trial_of(backtest: Export, output: Path, root: Path) -> dict[str, Any]:
    """Return the fields of `backtest.trial.TrialSpec`. Raises: NothingRecordedError."""
    rows = Segment.objects.overlapping([backtest.slug], backtest.start_ns, backtest.end_ns)
    files = [[str(root / row.path), row.start_ns, row.end_ns] for row in rows.order_by("start_ns", "pk")]
    camera = Camera.objects.filter(slug=backtest.slug).first()
    if not files or camera is None:
        raise NothingRecordedError
    return {
        "kind": backtest.kind,
        "camera": backtest.slug,
        "processor": backtest.options["processor"],
        "zones": [asdict(zone) for zone in camera.drawn_zones()],
        "before": backtest.options["before"],
        "after": backtest.options["after"],
        "files": files,
        "start_ns": backtest.start_ns,
        "end_ns": backtest.end_ns,
        "output": str(output),
        "zone": django_settings.TIME_ZONE,
    }


def _get_camera(actor: Actor, slug: str) -> Camera:
    """Raises: NotFoundError, ForbiddenError."""
    get_camera(actor, slug, Role.REPLAY)
    return get_camera(actor, slug, Role.CONFIGURE)


def _check_span(slug: str, start_ns: int, end_ns: int) -> None:
    """Raises: InvalidError."""
    if not start_ns < end_ns:
        raise InvalidError.of("end", _("The end must be after the start."))
    if start_ns > time.time_ns():
        raise InvalidError.of("start", _("This span is in the future."))
    if end_ns - start_ns > MAX_SPAN_S * 10**9:
        raise InvalidError.of("end", _("The maximum is %(hours)d hours.") % {"hours": MAX_SPAN_S // 3600})
    if not Segment.objects.overlapping([slug], start_ns, end_ns).exists():
        raise InvalidError.of("start", _("There are no recordings of this span. Choose another one."))


def _check_limit(user: Any) -> None:
    """Check the backtests of `user`, including the one just created in this transaction. Raises: LimitError."""
    # As in `export_limits.check_limits`: of two concurrent requests, the second one sees the row of the first one.
    get_user_model()._base_manager.select_for_update(no_key=True).filter(pk=user.pk).first()
    if Export.objects.backtests().active().filter(created_by=user).count() > 1:
        raise LimitError(
            _(
                "You already have a backtest that is waiting or running. Wait until it has ended, or cancel it."
            ),
            retry_after_s=30,
        )


def _delete_old(user: Any) -> None:
    active = Export.objects.active().values("pk")
    ended = Export.objects.backtests().filter(created_by=user).exclude(pk__in=active)
    for old in ended.order_by("-created_at", "-pk")[MAX_KEPT:]:
        _delete(old)


def _delete(backtest: Export) -> None:
    Export.objects.filter(pk=backtest.pk).delete()
    if backtest.claim:
        with contextlib.suppress(OSError):
            backtest.path(get_settings().exports_dir).unlink()

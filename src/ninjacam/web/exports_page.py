"""The page with exports: their progress, their files, and what the user may do with them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from ninjacam.actions.exports import cancel_export, delete_export, file_path, retry_export
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError, NinjacamError
from ninjacam.core.times import to_datetime
from ninjacam.languages import translate_item
from ninjacam.models import Camera, Export, ExportState, Role
from ninjacam.models.export import ACTIVE, ExportQuerySet
from ninjacam.problems import problem_of
from ninjacam.queries.cameras import list_cameras, may_deleted
from ninjacam.queries.exports import export_error, get_export, list_exports
from ninjacam.queries.pages import Page, paginate
from ninjacam.web.views import page, render_page

PAGE = 50
_ACTIONS: dict[str, Callable[[Principal, Export], object]] = {
    "cancel": cancel_export,
    "retry": retry_export,
    "delete": delete_export,
}


@dataclass(frozen=True, slots=True)
class ExportRow:
    """`percent`: of a running export. `url`: of the file; "": there is none. `error`: why it failed."""

    export: Export
    camera_name: str
    start: datetime
    end: datetime
    percent: int
    url: str
    error: str
    is_active: bool
    may_retry: bool


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_exports(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show the user's own exports, the newest first; with `?all=on`, also those of other users of cameras that the user
    may configure. POST `export`, `do`: cancel, retry or delete."""
    problems: list[str] = []
    if request.method == "POST":
        problems = _change(request, principal)
        if not problems:
            return redirect(request.get_full_path())
    configurable = _configurable(principal)
    shows_all = bool(request.GET.get("all")) and configurable is not False
    shown = _paginate(_select(principal, configurable if shows_all else False), request.GET.get("after", ""))
    names = {camera.slug: str(camera) for camera in Camera.objects.all()}
    now = timezone.now()
    rows = [_row(principal, export, names, now) for export in shown.items]
    context = {
        "rows": rows,
        "problems": problems,
        "is_active": any(row.is_active for row in rows),
        "may_see_all": configurable is not False,
        "shows_all": shows_all,
        "older": f"?after={shown.next}{'&all=on' if shows_all else ''}" if shown.next else "",
        "may_export": list_cameras(principal, Role.EXPORT).exists() or may_deleted(principal, Role.EXPORT),
    }
    return render_page(request, principal, "ninjacam/exports.html", context, 409 if problems else 200)


def _configurable(principal: Principal) -> list[str] | bool:
    """Return the slugs of the cameras whose exports of other users the user may see; True: all, False: none."""
    if principal.may_all("configure_camera", Role.CONFIGURE):
        return True
    return list(list_cameras(principal, Role.CONFIGURE).values_list("slug", flat=True)) or False


def _select(principal: Principal, configurable: list[str] | bool) -> ExportQuerySet:
    found = list_exports(principal, [])
    if configurable is True:
        return found
    return found.filter(Q(created_by=principal.user.pk) | Q(slug__in=configurable or []))


def _paginate(found: ExportQuerySet, after: str) -> Page[Export]:
    order = ("-created_at", "-pk")
    try:
        return paginate(found, order, after, PAGE)
    except InvalidError:  # A cursor that was changed by hand.
        return paginate(found, order, "", PAGE)


def _change(request: HttpRequest, principal: Principal) -> list[str]:
    """Change one export. Return what went wrong."""
    act = _ACTIONS.get(request.POST.get("do", ""))
    if act is None:
        return [_("Unknown action.")]
    try:
        export_id = uuid.UUID(request.POST.get("export", ""))
    except ValueError:
        return [_("Choose an export first.")]
    try:
        act(principal, get_export(principal, export_id))
    except NinjacamError as error:
        return [problem_of(error).detail]
    return []


def _row(principal: Principal, export: Export, names: dict[str, str], now: datetime) -> ExportRow:
    error = export_error(principal, export)
    return ExportRow(
        export=export,
        camera_name=names.get(export.slug, export.slug),
        start=timezone.localtime(to_datetime(export.start_ns)),
        end=timezone.localtime(to_datetime(export.end_ns)),
        percent=round(100 * min(1.0, max(0.0, export.progress))),
        url=file_path(export) if export.has_file(now) else "",
        error=translate_item(error) if error and export.state == ExportState.FAILED else "",
        is_active=export.state in ACTIVE,
        may_retry=export.state in (ExportState.FAILED, ExportState.CANCELLED),
    )

"""The pages of the system's health, of the settings and of the installed versions, for administrators."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from ninjacam.auth import Principal
from ninjacam.conf import get_settings
from ninjacam.languages import translate_item
from ninjacam.models import Camera
from ninjacam.queries.status import read_status
from ninjacam.queries.system import (
    list_packages,
    list_problems,
    list_processes,
    list_settings,
    platform_name,
    read_host,
)
from ninjacam.viewers.counters import FIGURES, Counters
from ninjacam.web.player import state_label
from ninjacam.web.views import page, render_page

PAGE = 50
MAX_VIEWS = 100


@dataclass(frozen=True, slots=True)
class CameraHealthRow:
    """`report`: of the engine. Figures are None while they are not known. `loss_percent`: of the last minute."""

    camera: Camera
    state: str
    label: str
    report: Mapping[str, Any]
    kbps: int | None
    loss_percent: float | None
    jitter_ms: float | None
    error: str


@dataclass(frozen=True, slots=True)
class ViewHealthRow:
    camera: str
    view: str
    report: Mapping[str, Any]


@require_safe
@page
def show_system(request: HttpRequest, principal: Principal) -> HttpResponse:
    status = read_status()
    processes = list_processes(principal, status)
    shown: Page[Camera] = Paginator(Camera.objects.order_by("slug"), PAGE).get_page(request.GET.get("page"))
    views = [
        ViewHealthRow(slug, name, report)
        for slug, found in sorted(status.views.items())
        for name, report in sorted(found.items())
        if name
    ]
    figures, workers = Counters(get_settings().run_dir).total()
    counted = dict(zip((name for name, _kind, _help in FIGURES), figures, strict=True))
    context = {
        "engine_running": status.engine_running,
        "host": read_host(principal),
        "processes": processes,
        "shown": shown,
        "rows": [_row(camera, status.camera(camera, details=True)) for camera in shown],
        "views": views[:MAX_VIEWS] if status.engine_running else [],
        "counted": counted,
        "workers": workers - 1,  # Without the object above.
    }
    return render_page(request, principal, "ninjacam/system.html", context)


def _row(camera: Camera, report: Mapping[str, Any]) -> CameraHealthRow:
    loss, error = report.get("packet_loss"), report.get("error")
    state = str(report["state"])
    return CameraHealthRow(
        camera=camera,
        state=state,
        label=state_label(state),
        report=report,
        kbps=None if report.get("bitrate_bps") is None else round(report["bitrate_bps"] / 1000),
        jitter_ms=None if report.get("jitter_s") is None else round(1000 * report["jitter_s"], 1),
        loss_percent=None if loss is None else round(100 * loss, 2),
        error=translate_item(error) if error else "",
    )


@require_safe
@page
def show_about(request: HttpRequest, principal: Principal) -> HttpResponse:
    context = {"packages": list_packages(principal), "platform": platform_name()}
    return render_page(request, principal, "ninjacam/about.html", context)


@require_safe
@page
def show_settings(request: HttpRequest, principal: Principal) -> HttpResponse:
    context = {"settings": list_settings(principal), "problems": list_problems(principal)}
    return render_page(request, principal, "ninjacam/settings.html", context)

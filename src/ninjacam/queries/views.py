"""Views of cameras, and the processors that produce them, with their last state that the engine reported."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from ninjacam.auth import Principal, is_guest
from ninjacam.conf import get_settings
from ninjacam.core.errors import NotFoundError
from ninjacam.core.times import to_datetime
from ninjacam.core.viewer_errors import without_traceback
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera, list_cameras
from ninjacam.queries.status import Status
from ninjacam.vision.failure_cases import failure_path


@dataclass(frozen=True, slots=True)
class ViewReport:
    """One view of a camera; `name` is "" for the camera itself. `failed_at`: time of `last_error`. `ms_p50`,
    `ms_p95`: of the latest calls of its processor. `dropped`: frames dropped because the processor was too slow.
    `skipped_share`: fraction of frames that were not decoded without motion; None if it does not wait for motion.
    `values`: the latest of each name.

    `error`, `last_error`: as `NinjacamError.as_dict` returns them, with the traceback for users who may configure
    the camera.
    """

    camera: str
    name: str
    description: str
    state: str
    error: Mapping[str, Any] | None
    ms_per_frame: float
    ms_p50: float
    ms_p95: float
    fps: float
    dropped: int
    skipped_share: float | None
    values: Mapping[str, float]
    failures: int
    last_error: Mapping[str, Any] | None
    failed_at: datetime | None


def processors_shown(
    who: Principal, camera: Camera, found: list[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return those of `found`, processors of a camera that `who` may view, which `who` may know. For a guest, this is
    the one whose view replaces the camera's own video, whether or not it is among them."""
    if not is_guest(who, camera):
        return found
    own = (each for each in found if each["name"] == camera.guest_view)
    return [next(own, {"name": camera.guest_view})]


def ready_made_shown(who: Principal, camera: Camera) -> list[str]:
    """Return the names of the ready-made processors of a camera that `who` may view. A guest learns no others than
    that of the view that replaces the camera's own video."""
    names = list(camera.processors or ())
    return [name for name in names if name == camera.guest_view] if is_guest(who, camera) else names


def views_to_choose(who: Principal, camera: Camera, status: Status) -> list[str]:
    """Return the names of the views that `who` may choose besides the camera's video. A guest has no choice."""
    if is_guest(who, camera):
        return []
    return [str(processor["name"]) for processor in status.views_of(camera.slug)]


def overlay_of(who: Principal, camera: Camera, status: Status) -> str | None:
    """Return the annotations that our pages display over a camera's video. None for guests: their view has its own."""
    return None if is_guest(who, camera) else status.overlay_of(camera.slug)


def list_views(who: Principal, cameras: Iterable[Camera], status: Status) -> list[ViewReport]:
    """Return the views of `cameras`, which `who` may view: for each camera its own view, then those of processors.

    A guest gets one view: the one that replaces the camera's own video.
    """
    return [view for camera in cameras for view in _views_of(who, camera, status)]


def _views_of(who: Principal, camera: Camera, status: Status) -> list[ViewReport]:
    shown = _whole if who.may(Role.CONFIGURE, camera) else without_traceback
    reports = status.views.get(camera.slug, {}) if status.engine_running else {}
    views = []
    own = () if is_guest(who, camera) else ({"name": ""},)
    for processor in (*own, *processors_shown(who, camera, status.views_of(camera.slug))):
        report = reports.get(processor["name"], {})
        failed_us = report.get("last_failed_us")
        views.append(
            ViewReport(
                camera=camera.slug,
                name=str(processor["name"]),
                description=str(processor.get("description", "")),
                state=report.get("state", "idle") if status.engine_running else "unknown",
                error=shown(report.get("error")),
                ms_per_frame=report.get("ms_per_frame") or 0,
                ms_p50=report.get("ms_p50") or 0,
                ms_p95=report.get("ms_p95") or 0,
                fps=report.get("fps") or 0,
                dropped=report.get("dropped") or 0,
                skipped_share=report.get("skipped_share"),
                values=report.get("values") or {},
                failures=report.get("failures") or 0,
                last_error=shown(report.get("last_error")),
                failed_at=to_datetime(failed_us * 1000) if failed_us else None,
            )
        )
    return views


def _whole(error: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return error or None


def read_failure(who: Principal, slug: str, view: str) -> bytes:
    """Return the ZIP file of the view's last failure on this host.

    Raises: NotFoundError, also if it has not failed; ForbiddenError.
    """
    camera = get_camera(who, slug, Role.CONFIGURE)
    try:
        return failure_path(get_settings().run_dir, camera.slug, view).read_bytes()
    except OSError as exc:
        raise NotFoundError(_("No failure of “%(view)s” is known.") % {"view": view}) from exc


@dataclass(frozen=True, slots=True)
class ProcessorReport:
    """One processor. `cameras`: patterns of slugs for users who may configure all cameras; otherwise the slugs that
    they may view."""

    name: str
    module: str
    cameras: list[str]
    description: str
    record: bool
    failures: int


def list_processors(who: Principal, status: Status) -> list[ProcessorReport]:
    """Return the processors of the cameras that `who` may view; all for a user who may configure all cameras."""
    found: dict[str, list[str]] = {}
    for camera in list_cameras(who):
        for processor in processors_shown(who, camera, status.processors_of(camera.slug)):
            found.setdefault(str(processor["name"]), []).append(camera.slug)
    everything = may_configure_all(who)
    return [
        ProcessorReport(
            name=processor["name"],
            module=processor.get("module", ""),
            cameras=list(processor.get("cameras", ())) if everything else found[processor["name"]],
            description=processor.get("description", ""),
            record=bool(processor.get("record")),
            failures=sum(
                status.views.get(slug, {}).get(processor["name"], {}).get("failures", 0)
                for slug in found.get(processor["name"], ())
            ),
        )
        for processor in status.processors
        if everything or processor["name"] in found
    ]


def list_module_errors(who: Principal, status: Status) -> list[Mapping[str, Any]]:
    """Return the modules with processors that cannot be imported, for users who may configure all cameras."""
    return [module for module in status.modules if module.get("error")] if may_configure_all(who) else []


def may_configure_all(who: Principal) -> bool:
    return who.may_all("configure_camera", Role.CONFIGURE)

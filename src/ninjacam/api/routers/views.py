"""What cameras show, and which user code makes it."""

from django.http import HttpRequest
from ninja import Router

from ninjacam.actions.cameras import find_camera
from ninjacam.api.auth import principal
from ninjacam.api.routers.cameras import error_out
from ninjacam.api.schemas.views import ModuleError, ProcessorList, ProcessorOut, ViewList, ViewOut
from ninjacam.api.times import to_time
from ninjacam.auth import Principal
from ninjacam.models import Camera
from ninjacam.queries.status import Status, read_status

router = Router()


@router.get("/views", response=ViewList, operation_id="list_views", summary="List all views")
def list_views(request: HttpRequest) -> ViewList:
    """The views of all cameras that you may see."""
    who, status = principal(request), read_status()
    cameras = [each for each in Camera.objects.visible_to(who.user) if who.in_scope("view", each)]
    return ViewList(items=[view for camera in cameras for view in views_of(who, camera, status)])


@router.get(
    "/cameras/{slug:slug}/views",
    response=ViewList,
    operation_id="list_camera_views",
    summary="List a camera's views",
)
def list_camera_views(request: HttpRequest, slug: str) -> ViewList:
    """The camera itself, and one view for each processor that is meant for it, with the errors of those that fail."""
    who = principal(request)
    return ViewList(items=views_of(who, find_camera(who, slug), read_status()))


@router.get("/processors", response=ProcessorList, operation_id="list_processors", summary="List processors")
def list_processors(request: HttpRequest) -> ProcessorList:
    """The processors of the cameras that you may see. If you may configure all cameras, `cameras` holds the patterns as
    they stand in the code; otherwise it holds the matching cameras that you may see."""
    who, status = principal(request), read_status()
    cameras = [each for each in Camera.objects.visible_to(who.user) if who.in_scope("view", each)]
    seen: dict[str, list[str]] = {}
    for camera in cameras:
        for processor in status.processors_of(camera.slug):
            seen.setdefault(processor["name"], []).append(camera.slug)
    everything = who.may_all("configure_camera", "configure")
    return ProcessorList(
        items=[
            ProcessorOut(
                name=processor["name"],
                module=processor.get("module", ""),
                cameras=list(processor.get("cameras", ())) if everything else seen[processor["name"]],
                description=processor.get("description", ""),
                record=bool(processor.get("record")),
                failures=sum(
                    status.views.get(slug, {}).get(processor["name"], {}).get("failures", 0)
                    for slug in seen.get(processor["name"], ())
                ),
            )
            for processor in status.processors
            if everything or processor["name"] in seen
        ],
        errors=[
            ModuleError(module=module["module"], traceback=module["error"])
            for module in status.modules
            if module.get("error") and everything
        ],
    )


def views_of(who: Principal, camera: Camera, status: Status) -> list[ViewOut]:
    may_configure = who.may("configure", camera)
    reports = status.views.get(camera.slug, {}) if status.engine_running else {}
    raw = {"name": "", "description": ""}
    views = []
    for processor in (raw, *status.views_of(camera.slug)):
        report = reports.get(processor["name"], {})
        failed_us = report.get("last_failed_us")
        views.append(
            ViewOut(
                camera=camera.slug,
                view=processor["name"],
                label=processor["name"] or "raw",
                description=processor.get("description", ""),
                state=report.get("state", "idle") if status.engine_running else "unknown",
                error=error_out(report.get("error"), with_traceback=may_configure),
                ms_per_frame=report.get("ms_per_frame") or 0,
                fps=report.get("fps") or 0,
                failures=report.get("failures") or 0,
                last_error=error_out(report.get("last_error"), with_traceback=may_configure),
                last_failed_at=to_time(failed_us * 1000) if failed_us else None,
            )
        )
    return views

"""Views of cameras, and the processors that make them."""

from typing import Literal, cast

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from ninjacam.api.auth import principal
from ninjacam.api.schemas.event_processors import EventProcessorOut, EventProcessorPage
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.api.schemas.views import ModuleError, ProcessorOut, ProcessorPage, ViewOut, ViewPage, ViewState
from ninjacam.queries import event_calls, views
from ninjacam.queries.cameras import get_camera, list_cameras
from ninjacam.queries.pages import paginate_list
from ninjacam.queries.status import read_status
from ninjacam.queries.views import ViewReport

router = Router()


@router.get("/views", response=ViewPage, operation_id="list_views", summary="List views")
def list_views(request: HttpRequest, query: Query[PageQuery]) -> ViewPage:
    """The views of all cameras that you may view, by camera and name."""
    who = principal(request)
    return _view_page(views.list_views(who, list_cameras(who), read_status()), query)


@router.get(
    "/cameras/{slug:slug}/views",
    response=ViewPage,
    operation_id="list_camera_views",
    summary="List views of camera",
)
def list_camera_views(request: HttpRequest, slug: str, query: Query[PageQuery]) -> ViewPage:
    """The camera's own frames, and a view for each of its processors, with their errors."""
    who = principal(request)
    return _view_page(views.list_views(who, [get_camera(who, slug)], read_status()), query)


@router.get(
    "/cameras/{slug:slug}/views/{slug:view}/failure",
    operation_id="get_view_failure",
    summary="Get failure of view",
    openapi_extra={
        "responses": {
            200: {
                "description": "OK",
                "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    },
)
def get_view_failure(request: HttpRequest, slug: str, view: str) -> HttpResponse:
    """The frame on which the processor has last failed, with a test that repeats the failure and the traceback: a ZIP
    file. Requires the role `configure`."""
    body = views.read_failure(principal(request), slug, view)
    response = HttpResponse(body, content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{slug}-{view}-failure.zip"'
    response["Cache-Control"] = "no-store"
    return response


@router.get("/processors", response=ProcessorPage, operation_id="list_processors", summary="List processors")
def list_processors(request: HttpRequest, query: Query[PageQuery]) -> ProcessorPage:
    """The processors of the cameras that you may view, by name. If you may configure all cameras, `cameras` has the
    patterns from the code; otherwise it has the matching cameras that you may view."""
    who, status = principal(request), read_status()
    found = views.list_processors(who, status)
    page = paginate_list(found, lambda each: (each.name,), query.after, query.limit)
    return ProcessorPage(
        items=[ProcessorOut.from_orm(each) for each in page.items],
        next=page.next,
        errors=[
            ModuleError(module=module["module"], traceback=module["error"])
            for module in views.list_module_errors(who, status)
        ],
    )


@router.get(
    "/cameras/{slug:slug}/event-processors",
    response=EventProcessorPage,
    operation_id="list_event_processors",
    summary="List event processors of camera",
)
def list_event_processors(request: HttpRequest, slug: str, query: Query[PageQuery]) -> EventProcessorPage:
    """The processors that are called with the camera's events, with their errors. Their results are in the `data` of
    the events."""
    who = principal(request)
    found = event_calls.list_event_processors(who, get_camera(who, slug), read_status())
    page = paginate_list(found, lambda each: (each.name,), query.after, query.limit)
    return EventProcessorPage(items=[_event_processor_out(each) for each in page.items], next=page.next)


def _event_processor_out(report: event_calls.EventProcessorReport) -> EventProcessorOut:
    return EventProcessorOut(
        camera=report.camera,
        processor=report.name,
        description=report.description,
        state=cast(Literal["idle", "waiting", "failed"], report.state),
        waiting=report.waiting,
        done=report.done,
        failures=report.failures,
        last_error=ErrorOut.of(report.last_error),
        last_failed_at=report.failed_at,
    )


def _view_page(found: list[ViewReport], query: PageQuery) -> ViewPage:
    page = paginate_list(found, lambda view: (view.camera, view.name), query.after, query.limit)
    return ViewPage(items=[_view_out(view) for view in page.items], next=page.next)


def _view_out(view: ViewReport) -> ViewOut:
    return ViewOut(
        camera=view.camera,
        view=view.name,
        label=view.name or "raw",
        description=view.description,
        state=cast(ViewState, view.state),
        error=ErrorOut.of(view.error),
        ms_per_frame=view.ms_per_frame,
        ms_p50=view.ms_p50,
        ms_p95=view.ms_p95,
        fps=view.fps,
        dropped=view.dropped,
        skipped_share=view.skipped_share,
        values=dict(view.values),
        failures=view.failures,
        last_error=ErrorOut.of(view.last_error),
        last_failed_at=view.failed_at,
    )

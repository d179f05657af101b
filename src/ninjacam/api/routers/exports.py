"""Exports: spans of recordings as files to take away. The bytes are the media application's (`/rec/`)."""

import uuid
from typing import cast

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from ninjacam.actions import exports
from ninjacam.actions.recordings import find_recorded
from ninjacam.api.auth import principal
from ninjacam.api.routers.cameras import error_out
from ninjacam.api.schemas.exports import (
    OPTION_FIELDS,
    ExportIn,
    ExportOut,
    ExportPage,
    ExportsQuery,
    Kind,
    State,
)
from ninjacam.api.times import to_ns, to_time
from ninjacam.auth import Principal
from ninjacam.models import Camera, Export, Role

router = Router()


@router.post("", response={201: ExportOut}, operation_id="create_export", summary="Export a span")
def create_export(request: HttpRequest, export: ExportIn) -> Status[ExportOut]:
    """Have a span made into one MP4. Ask for it again until its `state` is `done`: then it has a `download_url`.

    `copy`: as recorded, within seconds; from the key frame before `start`; gaps are closed up. `burned`: encoded anew
    and cut to the span, with the clock or a view of yours drawn in. `timelapse`: `speed` times as fast, or `length_s`
    long."""
    who = principal(request)
    given = {name: getattr(export, name) for name in OPTION_FIELDS & export.model_fields_set}
    made = exports.create_export(
        who, export.camera, to_ns(export.start), to_ns(export.end), export.kind, given
    )
    return Status(201, _export_out(request, who, made))


@router.get("", response=ExportPage, operation_id="list_exports", summary="List exports")
def list_exports(request: HttpRequest, query: Query[ExportsQuery]) -> ExportPage:
    """Those of the cameras that you may export, newest first."""
    who = principal(request)
    slugs = (
        [find_recorded(who, slug, Role.EXPORT) for slug in dict.fromkeys(query.camera)]
        if query.camera
        else exports.exportable_slugs(who)
    )
    found = Export.objects.of_cameras(slugs).select_related("created_by").order_by("-created_at", "-pk")
    if query.after:
        last_ns, _, last_id = query.after.partition("-")
        last = to_time(int(last_ns))
        found = found.filter(created_at__lte=last).exclude(created_at=last, pk__gte=last_id)
    rows = list(found[: query.limit + 1])
    page = rows[: query.limit]
    return ExportPage(
        items=[_export_out(request, who, row, in_list=True) for row in page],
        next=f"{to_ns(page[-1].created_at)}-{page[-1].pk}" if len(rows) > query.limit else None,
    )


@router.get("/{uuid:export_id}", response=ExportOut, operation_id="get_export", summary="Read an export")
def get_export(request: HttpRequest, export_id: uuid.UUID) -> ExportOut:
    """How far it is; and where its file is, once it is done."""
    who = principal(request)
    return _export_out(request, who, exports.find_export(who, export_id))


@router.post(
    "/{uuid:export_id}/cancel", response=ExportOut, operation_id="cancel_export", summary="Cancel an export"
)
def cancel_export(request: HttpRequest, export_id: uuid.UUID) -> ExportOut:
    """What is running ends within a second; what is over stays as it is. Of others: needs the role `configure`."""
    who = principal(request)
    return _export_out(request, who, exports.cancel_export(who, exports.find_export(who, export_id)))


@router.post(
    "/{uuid:export_id}/retry", response=ExportOut, operation_id="retry_export", summary="Try an export again"
)
def retry_export(request: HttpRequest, export_id: uuid.UUID) -> ExportOut:
    """One that failed or was cancelled is queued again."""
    who = principal(request)
    return _export_out(request, who, exports.retry_export(who, exports.find_export(who, export_id)))


@router.delete(
    "/{uuid:export_id}", response={204: None}, operation_id="delete_export", summary="Delete an export"
)
def delete_export(request: HttpRequest, export_id: uuid.UUID) -> Status[None]:
    """With its file; one that is being made ends. Of others: needs the role `configure`."""
    who = principal(request)
    exports.delete_export(who, exports.find_export(who, export_id))
    return Status(204, None)


def _export_out(request: HttpRequest, who: Principal, export: Export, *, in_list: bool = False) -> ExportOut:
    link = None if in_list else exports.download_link(who, export)
    there = export.has_file(timezone.now())
    camera = None if in_list or not export.error else Camera.objects.filter(slug=export.slug).first()
    may_configure = camera is not None and who.may(Role.CONFIGURE, camera)
    return ExportOut(
        id=export.pk,
        camera=export.slug,
        start=to_time(export.start_ns),
        end=to_time(export.end_ns),
        kind=cast(Kind, export.kind),
        options={name: value for name, value in export.options.items() if value not in (None, "")},
        state=cast(State, export.state),
        progress=round(export.progress, 4),
        attempts=export.attempts,
        cancel_requested=export.cancel_requested,
        error=error_out(export.error, with_traceback=may_configure),
        size_bytes=export.size_bytes,
        sha256=export.sha256 or None,
        created_by=export.created_by.get_username() if export.created_by else None,
        created_at=export.created_at,
        started_at=export.started_at,
        finished_at=export.finished_at,
        expires_at=export.expires_at,
        url=exports.file_path(export) if there else None,
        download_url=request.build_absolute_uri(link.path) if link else None,
        download_url_expires_at=link.expires_at if link else None,
    )

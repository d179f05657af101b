"""Exports: spans of recordings as files to download. The media application serves the files."""

import uuid
from typing import cast

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Status

from ninjacam.actions import exports
from ninjacam.api.auth import principal
from ninjacam.api.schemas.exports import (
    OPTION_FIELDS,
    ExportIn,
    ExportOut,
    ExportPage,
    ExportsQuery,
    Kind,
    State,
)
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.auth import Principal
from ninjacam.core.times import to_datetime, to_ns
from ninjacam.models import Export
from ninjacam.queries import exports as queries
from ninjacam.queries.pages import paginate

router = Router()


@router.post("", response={201: ExportOut}, operation_id="create_export", summary="Create export")
def create_export(request: HttpRequest, export: ExportIn) -> Status[ExportOut]:
    """Export a span of recordings as one MP4 file. Get the export until its `state` is `done`; then it has a
    `download_url`.

    `copy`: as recorded, ready within seconds; starts at the key frame before `start`; without gaps. `burned`: encoded
    again and cut to the span, with the time or a view drawn into the frames. `timelapse`: `speed` times faster, or
    `length_s` long. `key_frames`: a timelapse of the key frames as recorded, ready within seconds, without a clock; it
    has as many frames as the recording has key frames, or fewer."""
    who = principal(request)
    given = {name: getattr(export, name) for name in OPTION_FIELDS & export.model_fields_set}
    made = exports.create_export(
        who, export.camera, to_ns(export.start), to_ns(export.end), export.kind, given
    )
    return Status(201, _export_out(request, who, made))


@router.get("", response=ExportPage, operation_id="list_exports", summary="List exports")
def list_exports(request: HttpRequest, query: Query[ExportsQuery]) -> ExportPage:
    """The exports of the cameras that you may export, newest first."""
    who = principal(request)
    page = paginate(queries.list_exports(who, query.camera), ("-created_at", "-pk"), query.after, query.limit)
    return ExportPage(
        items=[_export_out(request, who, row, in_list=True) for row in page.items], next=page.next
    )


@router.get("/{uuid:export_id}", response=ExportOut, operation_id="get_export", summary="Get export")
def get_export(request: HttpRequest, export_id: uuid.UUID) -> ExportOut:
    """The progress of an export, and the URLs of its file."""
    who = principal(request)
    return _export_out(request, who, queries.get_export(who, export_id))


@router.post(
    "/{uuid:export_id}/cancel", response=ExportOut, operation_id="cancel_export", summary="Cancel export"
)
def cancel_export(request: HttpRequest, export_id: uuid.UUID) -> ExportOut:
    """A running export ends within a second; an export that has ended does not change. For exports of other users you
    need the role `configure`."""
    who = principal(request)
    return _export_out(request, who, exports.cancel_export(who, queries.get_export(who, export_id)))


@router.post(
    "/{uuid:export_id}/retry", response=ExportOut, operation_id="retry_export", summary="Retry export"
)
def retry_export(request: HttpRequest, export_id: uuid.UUID) -> ExportOut:
    """Queue an export again that failed or was cancelled."""
    who = principal(request)
    return _export_out(request, who, exports.retry_export(who, queries.get_export(who, export_id)))


@router.delete(
    "/{uuid:export_id}", response={204: None}, operation_id="delete_export", summary="Delete export"
)
def delete_export(request: HttpRequest, export_id: uuid.UUID) -> Status[None]:
    """Delete an export with its file. A running export ends. For exports of other users you need the role
    `configure`."""
    who = principal(request)
    exports.delete_export(who, queries.get_export(who, export_id))
    return Status(204, None)


def _export_out(request: HttpRequest, who: Principal, export: Export, *, in_list: bool = False) -> ExportOut:
    link = None if in_list else exports.download_link(who, export)
    there = export.has_file(timezone.now())
    error = queries.export_error(who, export)
    return ExportOut(
        id=export.pk,
        camera=export.slug,
        start=to_datetime(export.start_ns),
        end=to_datetime(export.end_ns),
        kind=cast(Kind, export.kind),
        options={name: value for name, value in export.options.items() if value not in (None, "")},
        state=cast(State, export.state),
        progress=round(export.progress, 4),
        attempts=export.attempts,
        cancel_requested=export.cancel_requested,
        error=ErrorOut.of(error),
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

"""Cameras."""

import base64
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal, cast

from django.db import transaction
from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import cameras as actions
from ninjacam.actions.probe import ProbeResult, probe_camera
from ninjacam.actions.sources import AddressFields
from ninjacam.api.auth import principal
from ninjacam.api.routers.streams import stream_out
from ninjacam.api.schemas.cameras import (
    CameraIn,
    CameraOut,
    CameraPage,
    CameraPatch,
    FindingOut,
    Health,
    Notice,
    ProbeIn,
    ProbeOut,
    ProbePatch,
    Record,
    SourceOut,
    TalkOut,
)
from ninjacam.api.schemas.fields import RoleName, plain
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.api.schemas.streams import NamedStreamIn
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError
from ninjacam.core.times import to_datetime
from ninjacam.languages import translate, translate_item
from ninjacam.models import Camera, Role
from ninjacam.queries import cameras as queries
from ninjacam.queries.pages import paginate
from ninjacam.queries.status import Status as EngineStatus
from ninjacam.queries.status import read_status
from ninjacam.queries.streams import list_streams
from ninjacam.queries.talk import talk_ability
from ninjacam.queries.views import ready_made_shown
from ninjacam.routes import ROUTES

router = Router()


@router.get("", response=CameraPage, operation_id="list_cameras", summary="List cameras")
def list_cameras(request: HttpRequest, query: Query[PageQuery]) -> CameraPage:
    """The cameras that you may view, by slug, with their states."""
    who = principal(request)
    status = read_status()
    cameras = queries.list_cameras(who).prefetch_related("streams")
    page = paginate(cameras, ("slug",), query.after, query.limit)
    return CameraPage(items=[camera_out(who, camera, status) for camera in page.items], next=page.next)


@router.post("", response={201: CameraOut}, operation_id="create_camera", summary="Create camera")
def create_camera(request: HttpRequest, camera: CameraIn) -> Status[CameraOut]:
    """Needs the permission to add cameras. You get the role `configure` for the new camera, which opens within 2 s."""
    who = principal(request)
    fields = cast("actions.CameraFields", plain(camera.dict(exclude={"slug", "streams"})))
    created = actions.create_camera(who, camera.slug, fields, _addresses(camera.streams))
    return Status(201, camera_out(who, created, read_status()))


@router.post("/probe", response=ProbeOut, operation_id="probe_new_camera", summary="Test new camera")
def probe_new_camera(request: HttpRequest, source: ProbeIn) -> ProbeOut:
    """Open a camera once, for at most 15 s, and return a frame or an error. Nothing is saved."""
    return _probe_out(probe_camera(principal(request), cast("actions.SourceFields", plain(source.dict()))))


@router.get("/{slug:slug}", response=CameraOut, operation_id="get_camera", summary="Get camera")
def get_camera(request: HttpRequest, slug: str) -> CameraOut:
    """One camera with its state and health."""
    who = principal(request)
    return camera_out(who, queries.get_camera(who, slug), read_status())


@router.patch("/{slug:slug}", response=CameraOut, operation_id="update_camera", summary="Update camera")
def update_camera(request: HttpRequest, camera: CameraPatch, slug: str) -> CameraOut:
    """Change the given fields. A new source opens within 2 s; viewers stay connected.

    With a new `slug`, recordings, events, exports, grants and tokens stay with the camera. Its URLs change, and open
    streams end."""
    who = principal(request)
    found = queries.get_camera(who, slug, "configure")
    given = plain(camera.dict(exclude_unset=True))
    new_slug = given.pop("slug", slug)
    with transaction.atomic():
        if given:
            found = actions.update_camera(who, found, cast("actions.CameraFields", given))
        found = actions.rename_camera(who, found, new_slug)
    return camera_out(who, found, read_status())


@router.delete("/{slug:slug}", response={204: None}, operation_id="delete_camera", summary="Delete camera")
def delete_camera(
    request: HttpRequest, slug: str, recordings: Literal["keep", "delete"] = "keep"
) -> Status[None]:
    """Delete a camera and end its streams. `recordings=delete` also deletes its recordings, events and exports,
    protected ones included, and needs the role `export`. Otherwise they stay available to users who may replay all
    cameras; a new camera with this slug does not get them."""
    who = principal(request)
    actions.delete_camera(who, queries.get_camera(who, slug), recordings=recordings)
    return Status(204, None)


@router.post(
    "/{slug:slug}/probe", response=ProbeOut, operation_id="probe_camera", summary="Test changes to camera"
)
def probe_saved_camera(request: HttpRequest, source: ProbePatch, slug: str) -> ProbeOut:
    """Open a camera once with the given changes, for at most 15 s, and return a frame or an error. Nothing is saved."""
    who = principal(request)
    camera = queries.get_camera(who, slug, "configure")
    fields = cast("actions.SourceFields", plain(source.dict(exclude_unset=True)))
    return _probe_out(probe_camera(who, fields, camera))


def _addresses(streams: list[NamedStreamIn]) -> dict[str, AddressFields]:
    """Raises: InvalidError: two have the same name."""
    found: dict[str, AddressFields] = {}
    for stream in streams:
        if stream.name in found:
            raise InvalidError.of("streams", f"Two streams are named “{stream.name}”.")
        found[stream.name] = cast(AddressFields, plain(stream.dict(exclude={"name"}, exclude_unset=True)))
    return found


def camera_out(who: Principal, camera: Camera, status: EngineStatus) -> CameraOut:
    roles = [role for role in Role.values if who.may(role, camera)]
    may_configure = Role.CONFIGURE.value in roles
    report = status.camera(camera, details=may_configure)
    return CameraOut(
        slug=camera.slug,
        name=str(camera),
        enabled=camera.enabled,
        record=cast(Record, camera.record),
        record_before_s=camera.record_before_s,
        record_after_s=camera.record_after_s,
        record_schedule=camera.record_schedule,
        state=report["state"],
        error=ErrorOut.of(report.get("error")),
        health=_health(report),
        talk=TalkOut(**asdict(talk_ability(camera, report))),
        roles=cast(list[RoleName], roles),
        urls={route.kind: route.path(camera.slug) for route in ROUTES if route.is_camera_url},
        record_stream=camera.record_stream,
        live_stream=camera.live_stream,
        detect_stream=camera.detect_stream,
        processors=ready_made_shown(who, camera),
        guest_view=camera.guest_view if may_configure else None,
        thumbnail_stream=camera.thumbnail_stream,
        streams=[stream_out(each) for each in list_streams(who, [camera], status)],
        source=SourceOut.from_orm(camera) if may_configure else None,
        created_at=camera.created_at,
        updated_at=camera.updated_at,
    )


def _health(report: Mapping[str, Any]) -> Health:
    def count(name: str) -> Any:
        return report.get(name) or 0

    return Health(
        codec=report.get("codec") or "",
        width_px=count("width"),
        height_px=count("height"),
        fps=count("fps"),
        declared_fps=count("declared_fps"),
        bitrate_bps=count("bitrate_bps"),
        audio_codec=report.get("audio_codec") or "",
        last_video_at=_time(report.get("last_video_ns")),
        connected_since=_time(report.get("connected_since_ns")),
        packets_lost=count("packets_lost"),
        packet_loss=report.get("packet_loss"),
        jitter_s=report.get("jitter_s"),
        clock_offset_s=report.get("clock_offset_s"),
        packets_ignored=count("packets_ignored"),
        sequence_restarts=count("sequence_restarts"),
        frames_dropped=count("frames_dropped"),
        frames_skipped=count("frames_skipped"),
        key_frame_interval_s=count("key_interval_s"),
        clock_rate=report.get("clock_rate"),
        findings=[_finding_out(finding) for finding in report.get("findings") or ()],
        notices=[
            Notice(code=notice["code"], message=translate_item(notice))
            for notice in report.get("notices") or ()
        ],
        reconnects=count("reconnects"),
        subscribers=count("subscribers"),
    )


def _finding_out(finding: Mapping[str, Any]) -> FindingOut:
    return FindingOut(
        code=finding["code"],
        label=translate(finding["label"]),
        level=finding["level"],
        message=translate_item(finding),
        advice=translate(finding["advice"]),
        since=to_datetime(finding["since_ns"]),
    )


def _time(wall_ns: int | None) -> datetime | None:
    return to_datetime(wall_ns) if wall_ns else None


def _probe_out(result: ProbeResult) -> ProbeOut:
    return ProbeOut(
        ok=result.ok,
        error=ErrorOut.of(result.error),
        codec=result.codec,
        width_px=result.width,
        height_px=result.height,
        audio_codec=result.audio_codec,
        jpeg_base64=base64.b64encode(result.jpeg).decode(),
    )

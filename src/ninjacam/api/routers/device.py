"""The devices of cameras: what they are, their encoders, clocks, imaging and outputs."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions import device as actions
from ninjacam.actions.cameras import CameraFields
from ninjacam.api.auth import principal
from ninjacam.api.routers.streams import stream_out
from ninjacam.api.schemas.cameras import Notice
from ninjacam.api.schemas.device import (
    AddedStreams,
    ClockOut,
    DeviceOut,
    DeviceProbeIn,
    DeviceProbePatch,
    DeviceRecordingsOut,
    EncoderOptionsOut,
    EncoderOut,
    EncoderPatch,
    EncoderSettingsOut,
    FocusIn,
    FunctionName,
    ImagingOut,
    ImagingPatch,
    OutputIn,
    OutputOut,
    OutputsOut,
    RangeOut,
    SizeOut,
    VideoProfileOut,
)
from ninjacam.api.schemas.fields import plain
from ninjacam.core.redact import redact_url
from ninjacam.devices.advice import Advice, advise_device, advise_encoder
from ninjacam.devices.description import DeviceDescription, EncoderSettings, known_streams
from ninjacam.languages import translate
from ninjacam.onvif.imaging import LEVELS, ImagingChanges
from ninjacam.onvif.media import EncoderChanges, EncoderOptions
from ninjacam.onvif.recordings import RecordingSummary
from ninjacam.queries import device as queries
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.status import read_status
from ninjacam.queries.streams import list_streams, stream_urls

router = Router()


@router.post(
    "/probe/device",
    response=DeviceOut,
    operation_id="probe_new_device",
    summary="Describe device of new camera",
)
def probe_new_device(request: HttpRequest, source: DeviceProbeIn) -> DeviceOut:
    """Ask the device at an address for its description and streams, for at most 17 s. Nothing is saved."""
    fields = cast(CameraFields, plain(source.dict()))
    return _device_out(*actions.read_device(principal(request), fields))


@router.post(
    "/{slug:slug}/probe/device",
    response=DeviceOut,
    operation_id="probe_device",
    summary="Describe device with changes to camera",
)
def probe_device(request: HttpRequest, source: DeviceProbePatch, slug: str) -> DeviceOut:
    """Ask the device of a camera with the given changes for its description and streams, for at most 17 s. Nothing is
    saved."""
    who = principal(request)
    fields = cast(CameraFields, plain(source.dict(exclude_unset=True)))
    return _device_out(*actions.read_device(who, fields, get_camera(who, slug, "configure")))


@router.get("/{slug:slug}/device", response=DeviceOut, operation_id="get_device", summary="Get device")
def get_device(request: HttpRequest, slug: str) -> DeviceOut:
    """Asks the device. 503: the camera is disabled or has no ONVIF address; 502: it does not answer as it should."""
    who = principal(request)
    found = queries.describe_device(who, slug)
    camera = get_camera(who, slug, "configure")
    return _device_out(found, known_streams(found.profiles, stream_urls(camera)))


@router.post(
    "/{slug:slug}/device/streams",
    response={201: AddedStreams},
    operation_id="add_device_streams",
    summary="Add streams of device",
)
def add_device_streams(request: HttpRequest, slug: str) -> Status[AddedStreams]:
    """Add the streams that the device describes and the camera lacks. Their addresses are at the device's own host."""
    who = principal(request)
    camera = get_camera(who, slug, "configure")
    names = {stream.name for stream in actions.add_device_streams(who, camera)}
    reports = list_streams(who, [camera], read_status())
    return Status(201, AddedStreams(streams=[stream_out(each) for each in reports if each.name in names]))


@router.get(
    "/{slug:slug}/device/encoders/{path:profile}",
    response=EncoderSettingsOut,
    operation_id="get_encoder",
    summary="Get encoder settings",
)
def get_encoder(request: HttpRequest, slug: str, profile: str) -> EncoderSettingsOut:
    """The encoder of a video profile, what it can be set to, and advice. Errors as for `GET …/device`."""
    return _encoder_settings_out(queries.get_encoder(principal(request), slug, profile))


@router.patch(
    "/{slug:slug}/device/encoders/{path:profile}",
    response={204: None},
    operation_id="update_encoder",
    summary="Change encoder settings",
)
def update_encoder(request: HttpRequest, changes: EncoderPatch, slug: str, profile: str) -> Status[None]:
    """Change the given settings; its stream may restart. 502 `command_rejected`: the camera does not offer such a
    value."""
    given = EncoderChanges(**changes.dict(exclude_unset=True))
    actions.set_encoder(principal(request), slug, profile, given)
    return Status(204, None)


@router.put(
    "/{slug:slug}/device/clock", response=ClockOut, operation_id="set_clock", summary="Set camera clock"
)
def set_clock(request: HttpRequest, slug: str) -> ClockOut:
    """Set the camera's clock to this server's time. If the camera used NTP, it no longer does."""
    return ClockOut(offset_s=actions.set_clock(principal(request), slug))


@router.get(
    "/{slug:slug}/imaging", response=ImagingOut, operation_id="get_imaging", summary="Get imaging settings"
)
def get_imaging(request: HttpRequest, slug: str) -> ImagingOut:
    """Asks the camera. Errors as for `GET …/device`; 409 `command_unsupported`: it has no imaging settings."""
    return ImagingOut(**asdict(queries.get_imaging(principal(request), slug)))


@router.patch(
    "/{slug:slug}/imaging",
    response={204: None},
    operation_id="update_imaging",
    summary="Change imaging settings",
)
def update_imaging(request: HttpRequest, changes: ImagingPatch, slug: str) -> Status[None]:
    """Change the given settings. 502 `command_rejected`: the camera does not offer such a value."""
    given = {name: value for name, value in changes.dict(exclude_unset=True).items() if value is not None}
    levels = {name: given.pop(name) for name in LEVELS if name in given}
    actions.set_imaging(principal(request), slug, ImagingChanges(**given, levels=levels))
    return Status(204, None)


@router.post("/{slug:slug}/focus", response={204: None}, operation_id="move_focus", summary="Move focus")
def move_focus(request: HttpRequest, focus: FocusIn, slug: str) -> Status[None]:
    """Returns when the focus has stopped. Errors as for `GET …/imaging`."""
    actions.move_focus(principal(request), slug, focus.speed, focus.duration_s)
    return Status(204, None)


@router.get(
    "/{slug:slug}/outputs", response=OutputsOut, operation_id="list_outputs", summary="List relay outputs"
)
def list_outputs(request: HttpRequest, slug: str) -> OutputsOut:
    """Asks the camera. Errors as for `GET …/device`."""
    found = queries.list_outputs(principal(request), slug)
    return OutputsOut(outputs=[OutputOut(**asdict(each)) for each in found])


@router.put(
    "/{slug:slug}/outputs/{path:output}",
    response={204: None},
    operation_id="set_output",
    summary="Switch relay output",
)
def set_output(request: HttpRequest, state: OutputIn, slug: str, output: str) -> Status[None]:
    """502 `command_rejected`: the camera has no such output."""
    actions.set_output(principal(request), slug, output, is_active=state.active)
    return Status(204, None)


def _device_out(found: DeviceDescription, streams: Mapping[str, str]) -> DeviceOut:
    """`streams`: names by token of the profile."""
    return DeviceOut(
        **asdict(found.information),
        functions=cast(list[FunctionName], list(found.functions)),
        clock_offset_s=found.clock_offset_s,
        profiles=[
            VideoProfileOut(
                token=profile.token,
                name=profile.name,
                stream=streams.get(profile.token),
                url=redact_url(profile.url) if profile.url else None,
                error=translate(profile.error),
                snapshot_url=redact_url(profile.snapshot_url),
                encoder=EncoderOut(**asdict(profile.encoder)),
                advice=_notices(advise_encoder(profile.encoder)),
            )
            for profile in found.profiles
        ],
        recordings=_recordings_out(found.recordings) if found.recordings else None,
        advice=_notices(advise_device(found)),
    )


def _recordings_out(found: RecordingSummary) -> DeviceRecordingsOut:
    start, end = (
        None if each is None else datetime.fromtimestamp(each, UTC) for each in (found.start_s, found.end_s)
    )
    return DeviceRecordingsOut(count=found.count, start=start, end=end)


def _notices(advice: list[Advice]) -> list[Notice]:
    return [Notice(code=each.code, message=translate(each.message)) for each in advice]


def _encoder_settings_out(found: EncoderSettings) -> EncoderSettingsOut:
    return EncoderSettingsOut(
        encoder=EncoderOut(**asdict(found.encoder)),
        options=[_options_out(each) for each in found.options],
        advice=_notices(advise_encoder(found.encoder)),
    )


def _options_out(found: EncoderOptions) -> EncoderOptionsOut:
    def limits(values: Any) -> RangeOut | None:
        return RangeOut(min=values[0], max=values[1]) if values else None

    return EncoderOptionsOut(
        codec=found.codec,
        sizes=[SizeOut(width_px=width, height_px=height) for width, height in found.sizes],
        fps=list(found.fps),
        fps_range=limits(found.fps_range),
        bitrate_kbps=limits(found.bitrate_kbps),
        gop_frames=limits(found.gop_frames),
    )

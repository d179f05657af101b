"""The streams of cameras, and the selection of one for a request of live video."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import UnknownStreamError
from ninjacam.core.packets import CameraState
from ninjacam.core.streams import MAIN, MAX_NAME_CHARS, choose
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.models import Camera, Role, Stream
from ninjacam.models.stream_fields import StreamFields
from ninjacam.queries.status import Status, read_status

_BROKEN = (CameraState.RECONNECTING, CameraState.FAILED)


def get_stream_name(
    camera: Camera, named: str = "", *, width_px: int = 0, role: Literal["live", "thumbnail"] = "live"
) -> str:
    """Return the name of the stream to use: `named`, or the one that the rules select for an image of `width_px`.

    The rules skip streams that currently cannot be connected. For a thumbnail, they use only live streams: one frame
    of `main`, which is always connected, costs less than a new connection and the wait for its key frame. Needs no
    query without `named`, a width, and an override. Raises: UnknownStreamError.
    """
    if named == MAIN:
        return MAIN
    if named:
        if not any(named == facts.name for facts in camera.stream_facts()):
            raise missing_stream(camera, named)
        return named
    override = camera.thumbnail_stream if role == "thumbnail" else camera.live_stream
    if not (override or width_px):
        return MAIN
    reports = _reports_of(camera)
    needs_live = role == "thumbnail" and not override

    def is_usable(name: str) -> bool:
        state = reports.get(name, {}).get("state")
        return name == MAIN or (state == CameraState.LIVE if needs_live else state not in _BROKEN)

    usable = (facts for facts in camera.stream_facts() if is_usable(facts.name))
    return choose(usable, override=override, width_px=width_px)


def _reports_of(camera: Camera) -> Mapping[str, Mapping[str, Any]]:
    """Return a running engine's reports on the camera's streams besides `main`, by name."""
    status = read_status()
    found: Mapping[str, Mapping[str, Any]] = (
        status.cameras.get(camera.slug, {}).get("streams", {}) if status.engine_running else {}
    )
    return found


def find_stream(camera: Camera, name: str) -> Stream | None:
    """Return a stream of the camera besides `main`; None: it does not exist."""
    return Stream.objects.filter(camera=camera, name=name).select_related("camera").first()


def get_stream(camera: Camera, name: str) -> Stream:
    """Return the same as `find_stream`. Raises: UnknownStreamError."""
    stream = find_stream(camera, name)
    if stream is None:
        raise missing_stream(camera, name)
    return stream


def missing_stream(camera: Camera, name: str) -> UnknownStreamError:
    values = {"slug": camera.slug, "name": name[:MAX_NAME_CHARS]}
    return UnknownStreamError(_("The camera “%(slug)s” has no stream “%(name)s”.") % values)


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream with its state. `fields`: the row with its address and format. `state`: for `main`, the camera's.
    `error`: as `NinjacamError.as_dict` returns it, in the form for the user. `details`: the user may configure the
    camera."""

    camera: str
    name: str
    fields: StreamFields
    state: str
    error: Mapping[str, Any] | None
    subscribers: int
    details: bool


def list_streams(who: Actor, cameras: Iterable[Camera], status: Status) -> list[StreamReport]:
    """Return the streams of `cameras`, which `who` may view: for each camera `main`, then the others by name."""
    return [stream for camera in cameras for stream in _streams_of(who, camera, status)]


def _streams_of(who: Actor, camera: Camera, status: Status) -> list[StreamReport]:
    details = who.may(Role.CONFIGURE, camera)
    report = status.camera(camera, details=details)
    others: Mapping[str, Mapping[str, Any]] = report.get("streams", {})
    is_running = report["state"] not in (CameraState.DISABLED, CameraState.UNKNOWN)
    found = [StreamReport(camera.slug, MAIN, camera, str(report["state"]), *_figures(report), details)]
    for stream in camera.streams.all():
        own = others.get(stream.name, {})
        state = own.get("state", CameraState.IDLE.value) if is_running else report["state"]
        shown = own if details else {**own, "error": for_viewers(own.get("error"))}
        found.append(StreamReport(camera.slug, stream.name, stream, str(state), *_figures(shown), details))
    return found


def _figures(report: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, int]:
    """Return (error, number of subscribers)."""
    return report.get("error"), int(report.get("subscribers") or 0)


def stream_urls(camera: Camera) -> dict[str, str]:
    """Return the displayable addresses of a camera's streams by name."""
    return {MAIN: camera.url, **{stream.name: stream.url for stream in camera.streams.all()}}

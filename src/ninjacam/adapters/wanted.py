"""The wanted state, read from the database."""

from collections.abc import Iterable

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.models import Camera, Event
from ninjacam.models.event import Windows
from ninjacam.sources.base import SourceConfig


class DatabaseWanted:
    """Thread: any one at a time. Holds one connection, and closes it when it breaks."""

    def read(self) -> WantedState:
        """Raises: NinjacamError: the database is away."""
        close_old_connections()
        try:
            cameras = list(Camera.objects.all())
            windows = _windows(cameras)
        except DatabaseError as exc:
            connections.close_all()
            raise NinjacamError("The database does not answer; the cameras go on as they are.") from exc
        return WantedState(tuple(_spec(camera, windows.get(camera.slug, ())) for camera in cameras))


def _windows(cameras: Iterable[Camera]) -> dict[str, Windows]:
    rolls_ns = {camera.slug: camera.rolls_ns for camera in cameras if camera.record == Camera.Record.EVENTS}
    return Event.objects.windows(rolls_ns, SYSTEM_CLOCK.wall_ns())


def _spec(camera: Camera, keep: Windows) -> CameraSpec:
    try:
        return camera.spec(keep)
    except ConfigError as exc:
        source = SourceConfig(camera.url)
        return CameraSpec(camera.slug, camera.pk, str(camera), source, camera.enabled, error=exc.as_dict())

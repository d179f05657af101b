"""The wanted state, read from the database."""

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.models import Camera
from ninjacam.sources.base import SourceConfig


class DatabaseWanted:
    """Thread: any one at a time. Holds one connection, and closes it when it breaks."""

    def read(self) -> WantedState:
        """Raises: NinjacamError: the database is away."""
        close_old_connections()
        try:
            cameras = list(Camera.objects.all())
        except DatabaseError as exc:
            connections.close_all()
            raise NinjacamError("The database does not answer; the cameras go on as they are.") from exc
        return WantedState(tuple(map(_spec, cameras)))


def _spec(camera: Camera) -> CameraSpec:
    try:
        return camera.spec()
    except ConfigError as exc:
        source = SourceConfig(camera.url)
        return CameraSpec(camera.slug, camera.pk, str(camera), source, camera.enabled, error=exc.as_dict())

"""The wanted state, read from the database."""

import logging

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.models import Camera

logger = logging.getLogger("ninjacam.engine")


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
        return WantedState(tuple(spec for spec in map(_spec, cameras) if spec is not None))


def _spec(camera: Camera) -> CameraSpec | None:
    try:
        return camera.spec()
    except ConfigError as exc:
        logger.error("%s: %s", camera.slug, exc)  # noqa: TRY400 (a sentence for a person)
        return None

"""What a camera can do by command, and its presets: asked of the camera itself."""

from dataclasses import dataclass

from ninjacam.auth import Actor
from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.core.movement import Abilities, Preset
from ninjacam.core.viewer_errors import without_details
from ninjacam.devices.client import request
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera


@dataclass(frozen=True, slots=True)
class PtzDescription:
    camera: Camera
    abilities: Abilities
    presets: tuple[Preset, ...]


def describe_ptz(actor: Actor, slug: str) -> PtzDescription:
    """Blocks for up to 15 s. Raises: NotFoundError, ForbiddenError; StreamUnavailableError: the camera takes no
    commands; SourceError, CommandError: of the camera.
    """
    camera = get_camera(actor, slug, Role.CONTROL)
    try:
        found = request(get_settings().run_dir, camera.slug, "describe")
    except NinjacamError as error:
        raise for_actor(actor, camera, error) from error
    return PtzDescription(
        camera, Abilities(**found["abilities"]), tuple(Preset(**preset) for preset in found["presets"])
    )


def for_actor(actor: Actor, camera: Camera, error: NinjacamError) -> NinjacamError:
    """Return the error of a camera without addresses, unless `actor` may configure the camera."""
    return error if actor.may(Role.CONFIGURE, camera) else without_details(error)

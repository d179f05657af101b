"""The PTZ functions of a camera, and its presets, queried from the camera itself."""

from dataclasses import dataclass

from ninjacam.auth import Actor
from ninjacam.core.movement import Abilities, Preset
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.device import ask_device


@dataclass(frozen=True, slots=True)
class PtzDescription:
    """`preset`: token of the preset at which the camera is; "": unknown, or it moves."""

    camera: Camera
    abilities: Abilities
    presets: tuple[Preset, ...]
    preset: str = ""


def describe_ptz(actor: Actor, slug: str) -> PtzDescription:
    """Return the PTZ functions and presets. Blocks for up to 15 s. Raises: NotFoundError, ForbiddenError;
    StreamUnavailableError: the camera does not accept commands; SourceError, CommandError: of the camera."""
    camera = get_camera(actor, slug, Role.CONTROL)
    found = ask_device(actor, camera, "describe")
    return PtzDescription(
        camera,
        Abilities(**found["abilities"]),
        tuple(Preset(**preset) for preset in found["presets"]),
        found.get("preset", ""),
    )

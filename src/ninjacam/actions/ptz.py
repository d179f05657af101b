"""Move a camera: single commands, and the start and end of held movements. All actions require the role `control`.

The capture process of the camera sends the commands; see docs/design/0011-onvif.md.
"""

from dataclasses import dataclass
from typing import Any, Literal

from ninjacam.actions.audit import record
from ninjacam.actions.commands import send_to_device
from ninjacam.actions.patrols import end_patrol
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError
from ninjacam.core.movement import Vector
from ninjacam.devices.messages import MOVING
from ninjacam.models import Role
from ninjacam.queries.cameras import get_camera

CommandName = Literal[
    "stop",
    "move_for",
    "move_by",
    "move_to",
    "goto_preset",
    "set_preset",
    "remove_preset",
    "go_home",
    "set_home",
]
NOWHERE = Vector()


@dataclass(frozen=True, slots=True)
class PtzCommand:
    """A command. `preset`: the camera's token. `name`: of a preset to save. `duration_s`: of a movement."""

    name: CommandName
    vector: Vector = NOWHERE
    preset: str = ""
    preset_name: str = ""
    duration_s: float = 0.0

    def values(self) -> dict[str, Any]:
        """Return the values that the command uses. Raises: InvalidError: one is missing."""
        match self.name:
            case "move_for" | "move_by" | "move_to":
                if self.vector == NOWHERE:
                    raise InvalidError.of("pan", "Specify pan, tilt or zoom.")
                found: dict[str, Any] = {
                    axis: value
                    for axis in ("pan", "tilt", "zoom")
                    if (value := getattr(self.vector, axis)) is not None
                }
                return found | ({"duration_s": self.duration_s} if self.name == "move_for" else {})
            case "goto_preset" | "remove_preset":
                if not self.preset:
                    raise InvalidError.of("preset", "Specify the preset.")
                return {"preset": self.preset}
            case "set_preset":
                if not self.preset_name:
                    raise InvalidError.of("name", "Specify the name of the preset.")
                return {"name": self.preset_name, "preset": self.preset}
        return {}


def send_command(actor: Actor, slug: str, command: PtzCommand) -> str | None:
    """Send a command, and wait for the camera's response. Return the token of a saved preset.

    Blocks for up to 15 s. Raises: NotFoundError, ForbiddenError, InvalidError; StreamUnavailableError: the camera
    does not accept commands; SourceError, CommandError: of the camera.
    """
    camera = get_camera(actor, slug, Role.CONTROL)
    if command.name in MOVING:
        end_patrol(actor, camera.slug)
    result = send_to_device(actor, camera, f"ptz.{command.name}", command.name, **command.values())
    return str(result["preset"]) if command.name == "set_preset" else None


def record_movement(actor: Actor, slug: str, reason: str = "") -> None:
    """Record the start or the end of a held movement, but not each refresh.

    `reason`: why it ended: "released", "disconnected", "failed" or "revoked"; "": it starts.
    """
    if reason:
        record(actor, "ptz.release", slug, reason=reason)
    else:
        record(actor, "ptz.move", slug)
        end_patrol(actor, slug)

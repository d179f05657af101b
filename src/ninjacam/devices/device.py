"""The interface to a camera that accepts commands. Each protocol has an adapter that implements it."""

from typing import Protocol

from ninjacam.core.errors import UnsupportedCommandError
from ninjacam.core.movement import Abilities, Preset, Vector
from ninjacam.core.texts import sentence
from ninjacam.devices.description import DeviceDescription, EncoderSettings
from ninjacam.onvif.device import Relay
from ninjacam.onvif.imaging import Imaging, ImagingChanges
from ninjacam.onvif.media import EncoderChanges


def _unsupported(what: str) -> UnsupportedCommandError:
    return UnsupportedCommandError(
        sentence("Ninjacam cannot %(what)s of this camera: its interface does not offer it.", what=what)
    )


class Device(Protocol):
    """One camera. All methods raise NinjacamError. `stop` does not wait for the response to a `move`.

    Adapters derive from this class, implement the movement, and those other methods that their protocol supports.
    """

    async def get_abilities(self) -> Abilities: ...
    async def move(self, velocity: Vector, timeout_s: float) -> None:
        """Move until `stop`, or at most for `timeout_s` if the camera supports it."""

    async def stop(self) -> None: ...
    async def move_by(self, translation: Vector) -> None: ...
    async def move_to(self, position: Vector) -> None: ...
    async def get_position(self) -> Vector: ...
    async def list_presets(self) -> list[Preset]: ...
    async def goto_preset(self, token: str) -> None: ...
    async def set_preset(self, name: str, token: str) -> str:
        """Save the position. Return the preset's token."""

    async def remove_preset(self, token: str) -> None: ...
    async def go_home(self) -> None: ...
    async def set_home(self) -> None: ...
    def close(self) -> None: ...

    async def describe(self) -> DeviceDescription:
        raise _unsupported("read the description")

    async def get_encoder(self, profile: str) -> EncoderSettings:
        """Return the encoder of a profile. `profile`: its token."""
        raise _unsupported("read the encoder settings")

    async def set_encoder(self, profile: str, changes: EncoderChanges) -> None:
        raise _unsupported("change the encoder settings")

    async def set_clock(self) -> float:
        """Set the camera's clock to ours. Return the remaining seconds by which it is ahead."""
        raise _unsupported("set the clock")

    async def get_imaging(self) -> Imaging:
        raise _unsupported("read the imaging settings")

    async def set_imaging(self, changes: ImagingChanges) -> None:
        raise _unsupported("change the imaging settings")

    async def move_focus(self, speed: float) -> None:
        """Move the focus until `stop_focus`: near (-1) to far (1)."""
        raise _unsupported("move the focus")

    async def stop_focus(self) -> None:
        raise _unsupported("move the focus")

    async def list_outputs(self) -> list[Relay]:
        raise _unsupported("read the outputs")

    async def set_output(self, token: str, *, is_active: bool) -> None:
        raise _unsupported("switch the outputs")

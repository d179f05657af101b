"""Cameras and video servers with Axis' VAPIX protocol, such as models from before ONVIF.

Source: the manufacturer's VAPIX Pan Tilt Zoom API: /axis-cgi/com/ptz.cgi.
"""

import re
from dataclasses import replace

from ninjacam.core.errors import CommandRejectedError
from ninjacam.core.movement import Abilities, Preset, Vector
from ninjacam.core.texts import sentence
from ninjacam.devices.http_device import ABILITIES, MAX_PRESETS, HttpDevice, checked_axes
from ninjacam.onvif.xml import printable

DEGREES = {"pan": 180.0, "tilt": 180.0}
MAX_ZOOM = 9999
_PRESET = re.compile(r"^presetposno\d{1,5}=(.{1,64})$")


class AxisDevice(HttpDevice):
    """Presets are identified by their names. The protocol has no timeout for a movement."""

    path = "/axis-cgi/com/ptz.cgi"
    confirms = False

    async def get_abilities(self) -> Abilities:
        """Raises: SourceError, CommandError: it cannot move."""
        await self.list_presets()
        return replace(ABILITIES, home=True)

    async def move(self, velocity: Vector, timeout_s: float) -> None:
        await self._command(self._speeds(velocity))

    async def stop(self) -> None:
        await self._command(self._speeds(Vector(0.0, 0.0, 0.0)), urgent=True)

    def _speeds(self, velocity: Vector) -> dict[str, object]:
        pan, tilt, zoom = (
            round(100 * (value or 0)) for value in (velocity.pan, velocity.tilt, velocity.zoom)
        )
        return self._of_camera(continuouspantiltmove=f"{pan},{tilt}", continuouszoommove=zoom)

    async def move_by(self, translation: Vector) -> None:
        axes = checked_axes(translation)
        values = {
            f"r{name}": f"{axes[name] * degrees:.4g}" for name, degrees in DEGREES.items() if name in axes
        }
        if "zoom" in axes:
            values["rzoom"] = str(round(axes["zoom"] * MAX_ZOOM))
        await self._command(self._of_camera(**values))

    async def move_to(self, position: Vector) -> None:
        axes = checked_axes(position)
        values = {name: f"{axes[name] * degrees:.4g}" for name, degrees in DEGREES.items() if name in axes}
        if "zoom" in axes:
            values["zoom"] = str(1 + round(max(0.0, axes["zoom"]) * (MAX_ZOOM - 1)))
        await self._command(self._of_camera(**values))

    async def list_presets(self) -> list[Preset]:
        return parse_presets(await self._send(self._of_camera(query="presetposall")))

    async def goto_preset(self, token: str) -> None:
        if token not in {preset.token for preset in await self.list_presets()}:
            raise CommandRejectedError(
                sentence("The camera has no preset “%(token)s”.", token=printable(token, 64))
            )
        await self._command(self._of_camera(gotoserverpresetname=token))

    async def set_preset(self, name: str, token: str) -> str:
        await self._command(self._of_camera(setserverpresetname=token or name))
        return token or name

    async def remove_preset(self, token: str) -> None:
        await self._command(self._of_camera(removeserverpresetname=token))

    async def go_home(self) -> None:
        await self._command(self._of_camera(move="home"))

    def _of_camera(self, **values: object) -> dict[str, object]:
        return {"camera": self._channel, **values}


def parse_presets(text: str) -> list[Preset]:
    """Return the presets of a response of lines such as presetposno1=Gate."""
    names = [match[1].strip() for line in text.splitlines() if (match := _PRESET.match(line.strip()))]
    return [Preset(name, printable(name, 80)) for name in dict.fromkeys(names[:MAX_PRESETS]) if name]

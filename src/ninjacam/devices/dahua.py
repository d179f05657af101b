"""Cameras with Dahua's CGI protocol, also sold as Amcrest, Lorex and others, without ONVIF.

Source: the manufacturer's HTTP API description, chapter PTZ: /cgi-bin/ptz.cgi.
"""

import contextlib
import math
import re
from dataclasses import replace

from ninjacam.core.errors import CommandError, CommandRejectedError
from ninjacam.core.movement import Abilities, Preset, Vector
from ninjacam.devices.http_device import ABILITIES, MAX_PRESETS, HttpDevice, checked_axes
from ninjacam.onvif.xml import printable

MIN_STEP, MAX_STEP = 5, 100
"""Limits of a speed; smaller ones do not move the camera."""
_PRESET = re.compile(r"^presets\[(\d{1,4})\]\.(Index|Name)=(.*)$")


class DahuaDevice(HttpDevice):
    """Presets are numbers from 1. The protocol has no home position."""

    path = "/cgi-bin/ptz.cgi"

    async def get_abilities(self) -> Abilities:
        """Raises: SourceError, CommandError: it cannot move."""
        await self.list_presets()
        return replace(ABILITIES, min_timeout_s=1.0)

    async def move(self, velocity: Vector, timeout_s: float) -> None:
        steps = [_step(value) for value in (velocity.pan, velocity.tilt, velocity.zoom)]
        await self._ptz("start", "Continuously", *steps, math.ceil(max(1.0, timeout_s)))

    async def stop(self) -> None:
        await self._ptz("stop", "Continuously", 0, 0, 0, 0, urgent=True)

    async def move_by(self, translation: Vector) -> None:
        await self._positioned("moveRelatively", translation)

    async def move_to(self, position: Vector) -> None:
        await self._positioned("moveAbsolutely", position)

    async def _positioned(self, action: str, vector: Vector) -> None:
        numbers = {"pan": "arg1", "tilt": "arg2", "zoom": "arg3"}
        values = {numbers[name]: f"{value:.4g}" for name, value in checked_axes(vector).items()}
        await self._command({"action": action, "channel": self._channel, **values})

    async def list_presets(self) -> list[Preset]:
        return parse_presets(await self._send({"action": "getPresets", "channel": self._channel}))

    async def goto_preset(self, token: str) -> None:
        await self._ptz("start", "GotoPreset", 0, _number(token), 0)

    async def set_preset(self, name: str, token: str) -> str:
        taken = {int(preset.token) for preset in await self.list_presets()}
        number = _number(token) if token else next(n for n in range(1, MAX_PRESETS + 2) if n not in taken)
        await self._ptz("start", "SetPreset", 0, number, 0)
        with contextlib.suppress(CommandError):  # Older models cannot name presets.
            await self._command(
                {"action": "setPreset", "channel": self._channel, "arg1": number, "arg2": name}
            )
        return str(number)

    async def remove_preset(self, token: str) -> None:
        await self._ptz("start", "ClearPreset", 0, _number(token), 0)

    async def _ptz(self, action: str, code: str, *arguments: int, urgent: bool = False) -> None:
        numbered = {f"arg{number}": value for number, value in enumerate(arguments, 1)}
        values = {"action": action, "channel": self._channel, "code": code, **numbered}
        await self._command(values, urgent=urgent)


def _step(value: float | None) -> int:
    """Return a speed from -1 to 1 as a step of the protocol."""
    if not value:
        return 0
    step = MIN_STEP + abs(value) * (MAX_STEP - MIN_STEP)
    return round(math.copysign(step, value))


def _number(token: str) -> int:
    """Raises: CommandRejectedError."""
    if not (token.isascii() and token.isdigit() and len(token) < 5):
        raise CommandRejectedError("The presets of this camera are numbers.")
    return int(token)


def parse_presets(text: str) -> list[Preset]:
    """Return the presets of a response of lines such as presets[0].Index=1 and presets[0].Name=Gate."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines()[: 8 * MAX_PRESETS]:
        if match := _PRESET.match(line):
            found.setdefault(match[1], {})[match[2]] = match[3].strip()
    return [
        Preset(number, printable(each.get("Name", ""), 80) or number)
        for each in list(found.values())[:MAX_PRESETS]
        if (number := each.get("Index", "")).isascii() and number.isdigit() and len(number) < 5
    ]

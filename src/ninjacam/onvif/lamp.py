"""The infrared lamp: auxiliary commands of the PTZ service, or of Device Management.

Source: ONVIF Core Specification, section “Auxiliary operation”. No operation reads the state of the lamp.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ninjacam.core.errors import CommandError, NotACameraError, ProtocolError
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.media import list_profiles
from ninjacam.onvif.ptz import find_node
from ninjacam.onvif.xml import Element, escape

MAX_COMMANDS = 64
_COMMANDS = {"tt:irlamp|on": "on", "tt:irlamp|off": "off", "tt:irlamp|auto": "auto"}
"""ONVIF's commands in lower case -> our names of the modes. Cameras spell them differently."""


@dataclass(frozen=True, slots=True)
class IrLamp:
    """A lamp. `commands`: its commands as the camera announces them, by mode ("on", "off", "auto"). `profile`: token
    of the profile of the PTZ service; empty: the commands are those of Device Management."""

    commands: dict[str, str]
    profile: str = ""

    @property
    def modes(self) -> tuple[str, ...]:
        return tuple(self.commands)


def read_commands(announced: Iterable[str]) -> dict[str, str]:
    """Return the announced commands for the lamp, by mode."""
    commands = {mode: text for text in announced if (mode := _COMMANDS.get(text.strip().lower()))}
    return {mode: commands[mode].strip() for mode in _COMMANDS.values() if mode in commands}


async def find_ir_lamp(client: OnvifClient) -> IrLamp | None:
    """Return the lamp that the device announces; None: it announces none. Raises: SourceError."""
    for find in (_find_in_node, _find_in_services, _find_in_capabilities):
        try:
            lamp = await find(client)
        except (CommandError, ProtocolError, NotACameraError):
            continue
        if lamp.commands:
            return lamp
    return None


async def _find_in_node(client: OnvifClient) -> IrLamp:
    if not await client.has_service("ptz"):
        return IrLamp({})
    profile = next((each for each in await list_profiles(client) if each.ptz_token), None)
    if profile is None:
        return IrLamp({})
    announced = (await find_node(client, profile)).find_all("AuxiliaryCommands")[:MAX_COMMANDS]
    return IrLamp(read_commands(each.text for each in announced), profile.token)


async def _find_in_services(client: OnvifClient) -> IrLamp:
    answer = await client.call("device", "GetServiceCapabilities")
    misc = answer.find("Capabilities", "Misc") or Element("")
    announced = misc.attributes.get("AuxiliaryCommands", "").split(maxsplit=MAX_COMMANDS)[:MAX_COMMANDS]
    return IrLamp(read_commands(announced))


async def _find_in_capabilities(client: OnvifClient) -> IrLamp:
    """Return the lamp that devices from before ONVIF 2.1 announce."""
    answer = await client.call("device", "GetCapabilities", "<Category>Device</Category>")
    announced = answer.find_all("Capabilities", "Device", "IO", "Extension", "AuxiliaryCommands")
    return IrLamp(read_commands(each.text for each in announced[:MAX_COMMANDS]))


async def set_ir_lamp(client: OnvifClient, lamp: IrLamp, mode: str) -> None:
    """Switch the lamp. `mode`: one of `lamp.modes`. Raises: SourceError, CommandError."""
    command = escape(lamp.commands[mode])
    if lamp.profile:
        content = (
            f"<ProfileToken>{escape(lamp.profile)}</ProfileToken><AuxiliaryData>{command}</AuxiliaryData>"
        )
        await client.call("ptz", "SendAuxiliaryCommand", content)
    else:
        content = f"<AuxiliaryCommand>{command}</AuxiliaryCommand>"
        await client.call("device", "SendAuxiliaryCommand", content)

"""Movement, presets and the home position (ONVIF PTZ)."""

import math

from ninjacam.core.errors import CommandRejectedError, UnsupportedCommandError
from ninjacam.core.movement import Abilities, Preset, Vector
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.media import MediaProfile, list_profiles
from ninjacam.onvif.xml import Element, as_float, escape, printable

MAX_PRESETS = 300
URGENT = "urgent"
"""The lane of Stop, which must not wait for the response to another command."""


STOP_TIMEOUT_S = 2.0

_Range = tuple[float, float]
_SPACES = {
    "ContinuousPanTiltVelocitySpace": "continuous_move",
    "ContinuousZoomVelocitySpace": "continuous_zoom",
    "RelativePanTiltTranslationSpace": "relative_move",
    "RelativeZoomTranslationSpace": "relative_zoom",
    "AbsolutePanTiltPositionSpace": "absolute_move",
    "AbsoluteZoomPositionSpace": "absolute_zoom",
}


class Ptz:
    """The movement of one profile of a device. `open_ptz` creates it."""

    def __init__(
        self, client: OnvifClient, profile: MediaProfile, abilities: Abilities, ranges: dict[str, _Range]
    ) -> None:
        self.abilities = abilities
        self._client = client
        self._token = f"<ProfileToken>{escape(profile.token)}</ProfileToken>"
        self._ranges = ranges

    async def move(self, velocity: Vector, timeout_s: float) -> None:
        """Move until `stop`, or for `timeout_s` (whole seconds, and at least the camera's minimum). Unsupported axes
        are ignored.

        Raises: UnsupportedCommandError: it has none of these axes; SourceError, CommandError.
        """
        vector = self._vector("continuous", velocity)
        timeout = f"PT{math.ceil(max(1.0, timeout_s, self.abilities.min_timeout_s))}S"
        content = f"{self._token}<Velocity>{vector}</Velocity><Timeout>{timeout}</Timeout>"
        await self._client.call("ptz", "ContinuousMove", content)

    async def stop(self) -> None:
        """Stop at once. Raises: SourceError, CommandError."""
        content = f"{self._token}<PanTilt>true</PanTilt><Zoom>true</Zoom>"
        await self._client.call("ptz", "Stop", content, lane=URGENT, timeout_s=STOP_TIMEOUT_S)

    async def move_by(self, translation: Vector) -> None:
        """Move by a fraction of the range. Raises: as `move`."""
        vector = self._vector("relative", translation)
        await self._client.call("ptz", "RelativeMove", f"{self._token}<Translation>{vector}</Translation>")

    async def move_to(self, position: Vector) -> None:
        """Move to a position. Raises: as `move`."""
        vector = self._vector("absolute", position)
        await self._client.call("ptz", "AbsoluteMove", f"{self._token}<Position>{vector}</Position>")

    async def get_position(self) -> Vector:
        """Raises: SourceError, CommandError."""
        answer = await self._client.call("ptz", "GetStatus", self._token)
        position = answer.find("PTZStatus", "Position") or Element("")
        pan_tilt, zoom = (position.find(name) or Element(name) for name in ("PanTilt", "Zoom"))
        return Vector(
            self._normal("absolute_move", as_float(pan_tilt.attributes.get("x", ""))),
            self._normal("absolute_move", as_float(pan_tilt.attributes.get("y", ""))),
            as_float(zoom.attributes.get("x", "")),
        )

    async def list_presets(self) -> list[Preset]:
        """Raises: SourceError, CommandError."""
        if not self.abilities.max_presets:
            return []
        answer = await self._client.call("ptz", "GetPresets", self._token)
        found = [
            Preset(token, printable(preset.get_text("Name"), 80) or printable(token))
            for preset in answer.find_all("Preset")[:MAX_PRESETS]
            if 0 < len(token := preset.attributes.get("token", "")) <= 64
        ]
        return list({preset.token: preset for preset in found}.values())

    async def goto_preset(self, token: str) -> None:
        """Move to a preset. Raises: CommandRejectedError: it does not exist; SourceError, CommandError."""
        content = f"{self._token}<PresetToken>{escape(token)}</PresetToken>"
        await self._client.call("ptz", "GotoPreset", content)

    async def set_preset(self, name: str, token: str = "") -> str:
        """Save the present position under `name`, as a new preset or replacing `token`. Return its token.

        Raises: SourceError, CommandError.
        """
        content = f"{self._token}<PresetName>{escape(name)}</PresetName>"
        if token:
            content += f"<PresetToken>{escape(token)}</PresetToken>"
        answer = await self._client.call("ptz", "SetPreset", content)
        return answer.get_text("PresetToken")[:64] or token

    async def remove_preset(self, token: str) -> None:
        """Raises: SourceError, CommandError."""
        content = f"{self._token}<PresetToken>{escape(token)}</PresetToken>"
        await self._client.call("ptz", "RemovePreset", content)

    async def go_home(self) -> None:
        """Raises: UnsupportedCommandError; SourceError, CommandError."""
        await self._client.call("ptz", "GotoHomePosition", self._token)

    async def set_home(self) -> None:
        """Raises: SourceError, CommandError."""
        await self._client.call("ptz", "SetHomePosition", self._token)

    def _vector(self, kind: str, vector: Vector) -> str:
        """Return the XML of a vector, with the axes that the camera supports, in the camera's ranges."""
        xml = ""
        move, zoom = f"{kind}_move", f"{kind}_zoom"
        if (vector.pan is not None or vector.tilt is not None) and getattr(self.abilities, move):
            pan = self._scaled(move, vector.pan or 0.0)
            tilt = self._scaled(f"{move}_y", vector.tilt or 0.0)
            xml += f'<t:PanTilt x="{pan:.4g}" y="{tilt:.4g}"/>'
        if vector.zoom is not None and getattr(self.abilities, zoom):
            xml += f'<t:Zoom x="{self._scaled(zoom, vector.zoom):.4g}"/>'
        if not xml:
            raise UnsupportedCommandError("The camera cannot move in this direction.")
        return xml

    def _scaled(self, space: str, value: float) -> float:
        """Return `value`, from -1 to 1, in the range of the space. A range that starts at 0 requires 0 to 1."""
        if not -1 <= value <= 1:
            raise CommandRejectedError("Pan, tilt and zoom must be from -1 to 1.")
        low, high = self._ranges.get(space, (-1.0, 1.0))
        if low >= 0:
            return low + max(0.0, value) * (high - low)
        return value * (high if value > 0 else -low)

    def _normal(self, space: str, value: float | None) -> float | None:
        low, high = self._ranges.get(space, (-1.0, 1.0))
        if value is None or low >= 0 or high <= 0:
            return value
        return max(-1.0, min(1.0, value / (high if value > 0 else -low)))


async def open_ptz(client: OnvifClient, profiles: list[MediaProfile] | None = None) -> Ptz:
    """Return the PTZ service of the first profile that supports it. Raises: UnsupportedCommandError: the camera
    cannot move; SourceError, CommandError."""
    if not await client.has_service("ptz"):
        raise UnsupportedCommandError("The camera cannot be moved by ONVIF.")
    profiles = await list_profiles(client) if profiles is None else profiles
    profile = next((each for each in profiles if each.ptz_token), None)
    if profile is None:
        raise UnsupportedCommandError(
            "The camera cannot be moved: none of its profiles has a PTZ configuration."
        )
    node = await find_node(client, profile)
    ranges = _ranges(node)
    options = await _options(client, profile)
    abilities = Abilities(
        **{name: name in ranges for name in _SPACES.values()},
        home=node.get_text("HomeSupported").lower() in ("true", "1"),
        max_presets=max(0, min(MAX_PRESETS, node.get_int("MaximumNumberOfPresets") or 0)),
        min_timeout_s=_seconds(options.get_text("PTZConfigurationOptions", "PTZTimeout", "Min")),
    )
    return Ptz(client, profile, abilities, ranges)


async def find_node(client: OnvifClient, profile: MediaProfile) -> Element:
    """Return the PTZ node of a profile, or else the first one. Raises: SourceError, CommandError."""
    nodes = (await client.call("ptz", "GetNodes")).find_all("PTZNode")
    node = next((each for each in nodes if each.attributes.get("token") == profile.ptz_node), None)
    return node or (nodes[0] if nodes else Element(""))


async def _options(client: OnvifClient, profile: MediaProfile) -> Element:
    content = f"<ConfigurationToken>{escape(profile.ptz_token)}</ConfigurationToken>"
    try:
        return await client.call("ptz", "GetConfigurationOptions", content)
    except (UnsupportedCommandError, CommandRejectedError):
        return Element("")


def _ranges(node: Element) -> dict[str, _Range]:
    found: dict[str, _Range] = {}
    for space in (node.find("SupportedPTZSpaces") or Element("")).children:
        name = _SPACES.get(space.name)
        if name is None or name in found:
            continue
        for key, axis in ((name, "XRange"), (f"{name}_y", "YRange")):
            low, high = space.get_float(axis, "Min"), space.get_float(axis, "Max")
            found[key] = (low, high) if low is not None and high is not None and low < high else (-1.0, 1.0)
    return found


def _seconds(duration: str) -> float:
    """Return the seconds of an xs:duration such as PT1M10.5S; 0: unreadable."""
    if not duration.startswith("PT") or len(duration) > 20:
        return 0.0
    seconds, number = 0.0, ""
    for letter in duration[2:]:
        if letter in "HMS":
            seconds += (as_float(number) or 0.0) * {"H": 3600, "M": 60, "S": 1}[letter]
            number = ""
        else:
            number += letter
    return seconds

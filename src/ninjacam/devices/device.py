"""The interface to a camera that takes commands, and its implementation by ONVIF.

A camera without ONVIF needs an adapter that implements `Device`.
"""

from typing import Protocol

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import AuthenticationError, NinjacamError
from ninjacam.core.movement import Abilities, Preset, Vector
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.ptz import Ptz, open_ptz
from ninjacam.sources.base import SourceConfig

LOCKED_S = 30.0
"""Seconds without commands after a rejected login, because cameras lock accounts."""


class Device(Protocol):
    """One camera. All methods raise NinjacamError. `stop` does not wait for the response to a `move`."""

    async def get_abilities(self) -> Abilities: ...
    async def move(self, velocity: Vector, timeout_s: float) -> None:
        """Move until `stop`, at most for `timeout_s` where the camera supports it."""

    async def stop(self) -> None: ...
    async def move_by(self, translation: Vector) -> None: ...
    async def move_to(self, position: Vector) -> None: ...
    async def get_position(self) -> Vector: ...
    async def list_presets(self) -> list[Preset]: ...
    async def goto_preset(self, token: str) -> None: ...
    async def set_preset(self, name: str, token: str) -> str:
        """Return the token."""

    async def remove_preset(self, token: str) -> None: ...
    async def go_home(self) -> None: ...
    async def set_home(self) -> None: ...
    def close(self) -> None: ...


class OnvifDevice:
    """Opens the device at the first command. Thread: the event loop."""

    def __init__(self, config: SourceConfig, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.client = OnvifClient(config, clock=clock)
        self._clock = clock
        self._ptz: Ptz | None = None
        self._refusal: tuple[int, AuthenticationError] | None = None
        """Monotonic time and error of a rejected login."""

    async def open(self) -> Ptz:
        """Raises: UnsupportedCommandError: it cannot move; SourceError, CommandError."""
        if self._ptz is None:
            self.check_login()
            try:
                self._ptz = await open_ptz(self.client)
            except NinjacamError as error:
                self.note(error)
                raise
        return self._ptz

    def check_login(self) -> None:
        """Raises: AuthenticationError: the camera has just rejected the login."""
        if self._refusal is not None:
            refused_ns, error = self._refusal
            if self._clock.monotonic_ns() - refused_ns < LOCKED_S * 1e9:
                raise error
            self._refusal = None

    def note(self, error: NinjacamError) -> None:
        """Remember a rejected login."""
        if isinstance(error, AuthenticationError):
            self._refusal = (self._clock.monotonic_ns(), error)

    async def get_abilities(self) -> Abilities:
        return (await self.open()).abilities

    async def move(self, velocity: Vector, timeout_s: float) -> None:
        await (await self.open()).move(velocity, timeout_s)

    async def stop(self) -> None:
        await (await self.open()).stop()

    async def move_by(self, translation: Vector) -> None:
        await (await self.open()).move_by(translation)

    async def move_to(self, position: Vector) -> None:
        await (await self.open()).move_to(position)

    async def get_position(self) -> Vector:
        return await (await self.open()).get_position()

    async def list_presets(self) -> list[Preset]:
        return await (await self.open()).list_presets()

    async def goto_preset(self, token: str) -> None:
        await (await self.open()).goto_preset(token)

    async def set_preset(self, name: str, token: str) -> str:
        return await (await self.open()).set_preset(name, token)

    async def remove_preset(self, token: str) -> None:
        await (await self.open()).remove_preset(token)

    async def go_home(self) -> None:
        await (await self.open()).go_home()

    async def set_home(self) -> None:
        await (await self.open()).set_home()

    def close(self) -> None:
        self.client.close()

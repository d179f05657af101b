"""The preset at which a camera is, as far as our own commands show. Users and other programs may move it unnoticed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import CommandError, NinjacamError, UnsupportedCommandError
from ninjacam.core.movement import Vector

logger = logging.getLogger("ninjacam.devices")

START_S = 1.0
"""Seconds in which a camera starts to move after it has accepted the command."""
LOOK_EVERY_S = 0.5
"""Seconds between two queries of the position: if they are equal, the camera has arrived."""
UNREPORTED_S = 3.0
"""Seconds after which a camera that reports no position is assumed to have arrived."""
MAX_LOOKS = 60
"""Queries after which the position stays unknown: a camera whose position never stops changing."""


class PresetPosition:
    """Thread: the event loop. `get_position()`: asks the camera. `on_change()`: `preset` has changed."""

    def __init__(
        self,
        get_position: Callable[[], Awaitable[Vector]],
        on_change: Callable[[], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._get_position = get_position
        self._on_change = on_change
        self._clock = clock
        self._preset = ""
        self._target = ""
        """The preset to which the camera was last sent."""
        self._movements = 0
        self._arriving: asyncio.Task[None] | None = None

    @property
    def preset(self) -> str:
        """The token of the preset; "": unknown, or the camera moves."""
        return self._preset

    def leave(self) -> int:
        """Note that a command to move is about to be sent. Return its number, for `approach`."""
        self._movements += 1
        self._target = ""
        self._cancel()
        self._set("")
        return self._movements

    def approach(self, preset: str, movement: int) -> None:
        """Note that the camera has accepted the command to go to a preset, unless another movement has followed."""
        if movement == self._movements:
            self._cancel()
            self._target = preset
            self._arriving = asyncio.create_task(self._arrive(preset), name="device-arrival")

    def stop(self) -> None:
        """Note that a movement is stopped. A camera that has arrived stays there."""
        if not self._preset:
            self.leave()

    def forget(self, preset: str) -> None:
        """Note that a preset is removed. The camera may give its token to another position."""
        if preset in (self._preset, self._target):
            self.leave()

    async def close(self) -> None:
        """Wait until no query of the position is running. Idempotent."""
        arriving = self._arriving
        self._cancel()
        if arriving is not None:
            await asyncio.gather(arriving, return_exceptions=True)

    def _cancel(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    async def _arrive(self, preset: str) -> None:
        await self._clock.sleep(START_S)
        try:
            if not await self._has_stopped():
                logger.warning("the camera does not stop at the preset “%s”", preset)
                return
        except CommandError:
            await self._clock.sleep(UNREPORTED_S - START_S)
        except NinjacamError as exc:  # It may not have arrived, either.
            logger.warning("the camera may not be at the preset “%s”: %s", preset, exc)
            return
        self._set(preset)

    async def _has_stopped(self) -> bool:
        """Wait until the camera stops; False: it does not. Raises: CommandError: it reports no position; SourceError:
        it does not respond.
        """
        before: Vector | None = None
        for _look in range(MAX_LOOKS):
            position = await self._get_position()
            if position == Vector():
                raise UnsupportedCommandError("The camera reports no position.")
            if position == before:
                return True
            before = position
            await self._clock.sleep(LOOK_EVERY_S)
        return False

    def _set(self, preset: str) -> None:
        if preset != self._preset:
            self._preset = preset
            self._on_change()

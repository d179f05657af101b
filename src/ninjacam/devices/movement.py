"""The dead man's switch: a camera moves only while a user holds the key, and a stop is never lost.

See docs/design/0011-onvif.md.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import AuthenticationError, NinjacamError
from ninjacam.core.movement import Vector

logger = logging.getLogger("ninjacam.devices")

HOLD_S = 0.25
"""Seconds after its last refresh at which a hold ends."""
RENEW_S = 0.5
"""Interval at which a movement is renewed. The camera stops by itself after TIMEOUT_S."""
TIMEOUT_S = 1.0
RETRY_S = 0.25
REJECTED_RETRY_S = 1.0
"""Seconds to pause after a stop whose login was rejected. Doubled each time, because cameras lock accounts.
"""
GIVE_UP_S = 60.0
"""Seconds for which a failed stop is repeated."""


class Mover(Protocol):
    """Sends movements to a camera. Raises: NinjacamError. `stop` does not wait for the response to a `move`."""

    async def move(self, velocity: Vector, timeout_s: float) -> None: ...
    async def stop(self) -> None: ...


class Movement:
    """The held movement of one camera. Thread: the event loop.

    `marker`: a file that exists while the camera may be moving, for the next process if this one is killed.
    `on_error(holder, error)`: a command failed. A holder is any object that identifies a connection.
    """

    def __init__(
        self,
        mover: Mover,
        marker: Path,
        on_error: Callable[[object, NinjacamError], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._mover = mover
        self._marker = marker
        self._on_error = on_error
        self._clock = clock
        self._holder: object | None = None
        self._target: Vector | None = None
        self._until_ns = 0
        """Monotonic time at which the hold ends."""
        self._may_move = marker.exists()
        self._moving: asyncio.Task[None] | None = None
        self._guarding: asyncio.Task[None] | None = None
        self._halting: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._is_answered = asyncio.Event()
        self._is_answered.set()

    @property
    def may_move(self) -> bool:
        """Return whether the camera may be moving because of our command."""
        return self._may_move

    def recover(self) -> None:
        """Stop the camera if the previous process was killed while it moved."""
        if self._may_move:
            logger.warning("%s: the previous process was moving the camera; stopping it", self._marker.stem)
            self._halt()

    def hold(self, holder: object, velocity: Vector, hold_s: float = HOLD_S) -> None:
        """Start, change or refresh a movement, which ends after `hold_s`. A zero velocity releases it."""
        if velocity.is_zero:
            self.release(holder)
            return
        until_ns = self._clock.monotonic_ns() + round(hold_s * 1e9)
        if until_ns < self._until_ns and self._guarding is not None:
            self._guarding.cancel()  # It may be sleeping until the end of a longer hold.
            self._guarding = None
        self._until_ns = until_ns
        self._holder = holder
        if velocity != self._target:
            self._target = velocity
            self._changed.set()
        if self._moving is None or self._moving.done():
            self._moving = asyncio.create_task(self._move(), name="device-move")
        if self._guarding is None or self._guarding.done():
            self._guarding = asyncio.create_task(self._guard(), name="device-hold")

    def release(self, holder: object) -> None:
        """Stop at once, unless another holder has taken over."""
        if holder is self._holder:
            self._end_hold()
            self._halt()

    def stop(self) -> None:
        """Stop at once, even if another client holds the movement, or no movement is known."""
        self._end_hold()
        self._may_move = True
        self._halt()

    async def finish(self) -> None:
        """End the hold of any client before another command moves the camera."""
        if self._holder is not None:
            self.release(self._holder)
        await self.settle()

    def _end_hold(self) -> None:
        self._holder, self._target = None, None
        self._changed.set()

    async def settle(self) -> None:
        """Wait until the pending stop is acknowledged."""
        if self._halting is not None:
            await asyncio.shield(self._halting)

    async def close(self, timeout_s: float = 1.0) -> None:
        """Stop the camera if it moves, and end."""
        self._end_hold()
        if self._may_move:
            self._halt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self.settle()
        tasks = [task for task in (self._moving, self._guarding, self._halting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guard(self) -> None:
        """End the hold when it is no longer refreshed."""
        while self._holder is not None:
            left_s = (self._until_ns - self._clock.monotonic_ns()) / 1e9
            if left_s <= 0:
                self.release(self._holder)
                return
            await self._clock.sleep(left_s)

    async def _move(self) -> None:
        """Send the movement, and renew it while it is held."""
        while self._target is not None:
            if self._halting is not None and not self._halting.done():
                await asyncio.shield(self._halting)  # A stop that arrives after this move would end it.
            holder, target = self._holder, self._target
            if target is None:
                return
            self._changed.clear()
            was_still = not self._may_move
            self._mark()
            self._is_answered.clear()
            try:
                await self._mover.move(target, TIMEOUT_S)
            except NinjacamError as error:
                self._on_error(holder, error)
                if self._holder is holder:
                    self._end_hold()
                if was_still and isinstance(error, AuthenticationError):
                    self._unmark()
                else:
                    self._halt()  # The camera may have accepted the command.
            finally:
                self._is_answered.set()
            await self._wait_for_change(RENEW_S)

    async def _wait_for_change(self, timeout_s: float) -> None:
        waiting = asyncio.ensure_future(self._changed.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(timeout_s))
        try:
            await asyncio.wait((waiting, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            sleeping.cancel()

    def _mark(self) -> None:
        if not self._may_move:
            self._may_move = True
            with contextlib.suppress(OSError):  # A full disk must not keep a user from moving the camera.
                self._marker.touch(mode=0o600)

    def _halt(self) -> None:
        if self._may_move and (self._halting is None or self._halting.done()):
            self._halting = asyncio.create_task(self._send_stop(), name="device-stop")

    async def _send_stop(self) -> None:
        """Send Stop until the camera acknowledges one that was sent after the last move.

        If it never does, the marker remains, so that the next stop or the next process retries.
        """
        deadline_ns = self._clock.monotonic_ns() + round(GIVE_UP_S * 1e9)
        rejected_retry_s = REJECTED_RETRY_S
        while self._target is None and self._may_move:
            was_answered = self._is_answered.is_set()
            try:
                await self._mover.stop()
            except NinjacamError as error:
                self._on_error(None, error)
                is_rejected = isinstance(error, AuthenticationError)
                if not (error.retryable or is_rejected):
                    self._unmark()  # The camera does not support the command.
                    return
                if self._clock.monotonic_ns() >= deadline_ns:
                    return
                await self._clock.sleep(rejected_retry_s if is_rejected else RETRY_S)
                rejected_retry_s *= 2 if is_rejected else 1
                continue
            if was_answered:
                self._unmark()
            else:
                await self._is_answered.wait()

    def _unmark(self) -> None:
        self._may_move = False
        with contextlib.suppress(OSError):
            self._marker.unlink(missing_ok=True)

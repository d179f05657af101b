"""Held movements of one WebSocket: the keys that a user holds. The end of the socket ends them.

The dead man's switch itself is in the capture process (`ninjacam.devices.movement`).
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ninjacam.core.errors import NinjacamError
from ninjacam.core.movement import Vector
from ninjacam.core.viewer_errors import without_details
from ninjacam.devices.client import DeviceConnection
from ninjacam.devices.messages import error_of
from ninjacam.front_door.messages import Message
from ninjacam.live.background import BackgroundWrites
from ninjacam.live.encodings import text_message
from ninjacam.live.subscriptions import is_number
from ninjacam.problems import Problem, problem_of
from ninjacam.viewers import auth
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal

logger = logging.getLogger("ninjacam.live")

MAX_CAMERAS = 4
"""Maximum number of cameras that one socket controls. The one that it moved first is given up."""
REST_S = 1.0
"""Seconds after a failure during which the refreshes of a held key are ignored."""


@dataclass(slots=True)
class _Held:
    """A camera that the socket moves. `details`: whether the user may see the details of its errors.

    `checked_s`, `failed_s`: monotonic times of the last check of the permission, and of the last error.
    """

    connection: DeviceConnection
    is_moving: bool = False
    details: bool = False
    checked_s: float = 0.0
    failed_s: float = 0.0


class HeldMovements:
    """Thread: the event loop. `put`: sends a message to the client."""

    def __init__(self, worker: Worker, principal: "Principal", put: Callable[[Message], None]) -> None:
        self._worker = worker
        self._principal = principal
        self._put = put
        self._held: dict[str, _Held] = {}
        self._records = BackgroundWrites(worker)
        self._is_closed = False

    async def take(self, message: dict[str, Any]) -> None:
        """Handle {"op": "ptz", "camera", "pan", "tilt", "zoom"}: start, change, refresh, or end a movement."""
        slug = message.get("camera")
        try:
            if not isinstance(slug, str) or not 0 < len(slug) <= 50:
                raise Problem(400, "bad_request", "'camera' must be the short name of a camera.")  # noqa: TRY301
            velocity = _velocity(message)
            if velocity.is_zero:
                self._release(slug, "released")
            else:
                await self._move(slug, velocity)
        except Problem as problem:
            self._refuse(slug if isinstance(slug, str) else "", problem)

    async def _move(self, slug: str, velocity: Vector) -> None:
        """Raises: Problem."""
        now_s = time.monotonic()
        held = self._held.get(slug)
        if held is not None and not held.is_moving and now_s - held.failed_s < REST_S:
            return
        if held is None or now_s - held.checked_s > self._worker.settings.reauth_s:
            held = await self._authorise(slug)
            if self._is_closed:  # The socket has ended meanwhile.
                held.connection.close()
                return
            held.checked_s = now_s
        held.connection.move(velocity)
        if not held.is_moving:
            held.is_moving = True
            self._record(slug, "")

    async def _authorise(self, slug: str) -> _Held:
        """Check the permission, and open the connection. Raises: Problem."""
        try:
            details = await self._worker.database.run(auth.authorise_movement, self._principal, slug)
        except Problem:
            self._release(slug, "revoked")
            raise
        held = self._held.get(slug) or await self._open(slug)
        held.details = details
        return held

    async def _open(self, slug: str) -> _Held:
        """Raises: Problem."""
        while len(self._held) >= MAX_CAMERAS:
            self._drop(next(iter(self._held)))
        connection = DeviceConnection(
            lambda error: self._failed(slug, error_of(error)), lambda: self._drop(slug)
        )
        try:
            await connection.open(self._worker.settings.run_dir, slug)
        except NinjacamError as error:
            raise problem_of(error) from error
        self._held[slug] = _Held(connection)
        return self._held[slug]

    def _release(self, slug: str, reason: str) -> None:
        held = self._held.get(slug)
        if held is not None and held.is_moving:
            held.connection.move(Vector(0, 0, 0))
            self._record_end(slug, held, reason)

    def _drop(self, slug: str) -> None:
        """Close the connection, which stops the movement."""
        held = self._held.pop(slug, None)
        if held is not None:
            held.connection.close()
            if held.is_moving:
                self._record_end(slug, held, "disconnected")

    def _failed(self, slug: str, error: NinjacamError) -> None:
        held = self._held.get(slug)
        if held is None:
            return
        held.failed_s = time.monotonic()
        if held.is_moving:
            self._record_end(slug, held, "failed")
        self._refuse(slug, problem_of(error if held.details else without_details(error)))

    def _record_end(self, slug: str, held: _Held, reason: str) -> None:
        held.is_moving = False
        self._record(slug, reason)

    def _record(self, slug: str, reason: str) -> None:
        """Record the start ("") or the end of a movement, without delaying it."""
        self._records.write(auth.record_movement, self._principal, slug, reason)

    def _refuse(self, slug: str, problem: Problem) -> None:
        self._put(text_message(op="ptz", camera=slug[:50], code=problem.code, message=problem.detail))

    def close(self) -> None:
        """The socket has ended: stop everything that it moves. Idempotent."""
        self._is_closed = True
        for slug in list(self._held):
            self._drop(slug)


def _velocity(message: dict[str, Any]) -> Vector:
    """Raises: Problem."""
    values = {name: message.get(name) for name in ("pan", "tilt", "zoom")}
    for value in values.values():
        if value is not None and not (is_number(value) and -1 <= value <= 1):
            raise Problem(400, "bad_request", "'pan', 'tilt' and 'zoom' must be numbers from -1 to 1.")
    return Vector(**values)

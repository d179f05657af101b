"""The web worker's end of the device socket: a blocking request for the API, and a connection for held keys."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ninjacam.core.errors import CommandError, SourceTimeoutError, StreamUnavailableError
from ninjacam.core.json_lines import Json, ask, decode, encode
from ninjacam.core.movement import Vector
from ninjacam.core.unix_sockets import unix_address
from ninjacam.devices.messages import MAX_LINE_BYTES, error_of, socket_path

TIMEOUT_S = 15.0
"""Seconds for a request: a device is opened with several requests of up to 5 s."""


def request(run_dir: Path, slug: str, op: str, *, timeout_s: float = TIMEOUT_S, **values: Any) -> Any:
    """Send one command and return its result. Blocks.

    Raises: StreamUnavailableError: the camera is disabled or has no ONVIF address; SourceError, CommandError: of
    the camera.
    """
    question = {"op": op, "id": 1, **values}
    try:
        answer = ask(socket_path(run_dir, slug), question, timeout_s=timeout_s, max_bytes=MAX_LINE_BYTES)
    except TimeoutError as exc:
        raise SourceTimeoutError("The camera did not answer in time.") from exc
    except OSError as exc:
        raise _unavailable(slug) from exc
    if answer is None:
        raise CommandError("The process that controls this camera has ended; try again in a moment.")
    return _result(answer)


def _unavailable(slug: str) -> StreamUnavailableError:
    return StreamUnavailableError(
        f"The camera “{slug}” cannot be controlled at the moment: it is disabled, has no ONVIF address, or is starting."
    )


def _result(message: Json) -> Any:
    if message.get("error"):
        raise error_of(message["error"])
    return message.get("result")


class DeviceConnection:
    """A connection whose end, by `close` or by the death of this process, stops the movement that it holds.

    `on_error(error)`: a movement failed; `on_lost()`: the other end has closed the connection. Thread: the event
    loop.
    """

    def __init__(self, on_error: Callable[[Json], None], on_lost: Callable[[], None]) -> None:
        self._on_error = on_error
        self._on_lost = on_lost
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, run_dir: Path, slug: str) -> None:
        """Raises: StreamUnavailableError."""
        try:
            with unix_address(socket_path(run_dir, slug)) as address:
                reader, self._writer = await asyncio.open_unix_connection(address, limit=MAX_LINE_BYTES)
        except OSError as exc:
            raise _unavailable(slug) from exc
        self._reading = asyncio.create_task(self._read(reader), name="device-connection")

    def move(self, velocity: Vector) -> None:
        """Start, change or refresh a movement; a zero velocity ends it."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(
                encode({"op": "move", "pan": velocity.pan, "tilt": velocity.tilt, "zoom": velocity.zoom})
            )

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                message = decode(line)
                if message.get("error"):
                    self._on_error(message["error"])
        self._on_lost()

    def close(self) -> None:
        """Idempotent."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

"""The capture process's end of the device socket: receives commands for one camera and sends them to it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import CommandRejectedError, NinjacamError
from ninjacam.core.json_lines import Json, decode, encode
from ninjacam.core.movement import Vector
from ninjacam.core.texts import sentence
from ninjacam.core.unix_sockets import UnixServer
from ninjacam.devices.device import Device
from ninjacam.devices.messages import MAX_LINE_BYTES, MOVING, socket_path
from ninjacam.devices.movement import Movement
from ninjacam.devices.patrol import Patrol, PatrolPlan
from ninjacam.devices.preset_position import PresetPosition
from ninjacam.onvif.imaging import ImagingChanges
from ninjacam.onvif.media import EncoderChanges

logger = logging.getLogger("ninjacam.devices")

MAX_CONNECTIONS = 64
MAX_DURATION_S = 10.0
"""Maximum seconds of a movement that is not held."""
MAX_FOCUS_S = 3.0
MAX_WAITING = 8
"""Maximum number of unanswered requests of one connection."""


class DeviceServer:
    """The commands to one camera, and its patrol. Thread: the event loop.

    `on_change()`: `report_patrol` or `preset` has changed.
    """

    def __init__(
        self,
        run_dir: Path,
        slug: str,
        device: Device,
        on_change: Callable[[], None] = lambda: None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._slug = slug
        self._device = device
        self._clock = clock
        self._movement = Movement(device, run_dir / f"{slug}.moving", self._on_error, clock=clock)
        self._position = PresetPosition(device.get_position, on_change, clock=clock)
        self._on_change = on_change
        self._patrol: Patrol | None = None
        self._patrolling: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._server = UnixServer(
            socket_path(run_dir, slug),
            self._serve,
            max_connections=MAX_CONNECTIONS,
            max_line_bytes=MAX_LINE_BYTES,
        )
        self._commands: dict[str, Callable[[Json], Awaitable[Any]]] = {
            "describe": self._describe,
            "position": self._get_position,
            "stop": self._stop,
            "move_for": self._move_for,
            "move_by": lambda message: self._then(self._device.move_by(_vector(message))),
            "move_to": lambda message: self._then(self._device.move_to(_vector(message))),
            "goto_preset": lambda message: self._go_to(_text(message, "preset")),
            "go_home": lambda _: self._then(self._device.go_home()),
            "set_home": lambda _: self._device.set_home(),
            "set_preset": self._set_preset,
            "remove_preset": self._remove_preset,
            "device": lambda _: _as_json(self._device.describe()),
            "get_encoder": lambda message: _as_json(self._device.get_encoder(_text(message, "profile"))),
            "set_encoder": self._set_encoder,
            "set_clock": lambda _: self._device.set_clock(),
            "get_imaging": lambda _: _as_json(self._device.get_imaging()),
            "set_imaging": self._set_imaging,
            "move_focus": self._move_focus,
            "list_outputs": self._list_outputs,
            "set_output": self._set_output,
        }

    async def start(self) -> None:
        """Raises: OSError: the socket cannot be created."""
        await self._server.start()
        self._movement.recover()

    async def close(self) -> None:
        """Stop the camera if it moves, and end all connections. Idempotent."""
        await self._server.close()
        self.set_patrol(None)
        await self._cancel_answers()
        await self._position.close()
        await self._movement.close()
        self._device.close()

    # --- patrol ---

    def set_patrol(self, plan: PatrolPlan | None) -> None:
        """Begin a patrol, or end it. Setting the same plan again changes nothing, even if a user has ended it."""
        if plan == (self._patrol.plan if self._patrol is not None else None):
            return
        self._cancel_patrol()
        self._patrol = None
        if plan is not None:
            self._patrol = Patrol(self._slug, plan, self._go_to, self._on_change, clock=self._clock)
            self._patrolling = asyncio.create_task(self._patrol.run(), name=f"patrol-{self._slug}")

    def report_patrol(self) -> Json | None:
        return self._patrol.report() if self._patrol is not None else None

    @property
    def preset(self) -> str:
        """The token of the preset at which the camera is; "": unknown, or it moves."""
        return self._position.preset

    async def _go_to(self, preset: str) -> None:
        movement = await self._then(self._device.goto_preset(preset))
        self._position.approach(preset, movement)

    def _take_control(self) -> None:
        """End the patrol, because a user moves the camera."""
        if self._patrol is not None and self._patrolling is not None:
            self._cancel_patrol()
            self._patrol.end()

    def _cancel_patrol(self) -> None:
        if self._patrolling is not None:
            self._patrolling.cancel()
            self._patrolling = None

    # --- connections ---

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                message = decode(line)
                if message.get("op") == "move":
                    self._move(writer, message)
                elif len(requests) >= MAX_WAITING:
                    error = CommandRejectedError("Too many commands are waiting for the camera.")
                    self._send(writer, {"id": message.get("id"), "error": error.as_dict()})
                else:
                    request = asyncio.create_task(self._answer(writer, message), name="device-command")
                    for tasks in (requests, self._answering):
                        tasks.add(request)
                        request.add_done_callback(tasks.discard)
        except (OSError, ValueError, NinjacamError):
            logger.debug("%s: a connection to the device socket broke off", self._slug)
        finally:
            self._movement.release(writer)

    async def _cancel_answers(self) -> None:
        """Cancel the commands that wait. Otherwise each would open a new connection to the camera after `close`."""
        answering = list(self._answering)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    def _move(self, writer: asyncio.StreamWriter, message: Json) -> None:
        try:
            velocity = _vector(message)
            if not velocity.is_zero:
                self._take_control()
                self._position.leave()
            self._movement.hold(writer, velocity)
        except NinjacamError as error:
            self._on_error(writer, error)

    async def _answer(self, writer: asyncio.StreamWriter, message: Json) -> None:
        number = message.get("id")
        try:
            op = str(message.get("op"))
            command = self._commands.get(op)
            if command is None:
                raise CommandRejectedError("Unknown command.")  # noqa: TRY301
            if op in MOVING:
                self._take_control()
            self._send(writer, {"id": number, "result": await command(message)})
        except NinjacamError as error:
            self._send(writer, {"id": number, "error": error.as_dict()})
        except Exception:  # The boundary: a bug in one command must not end the connection without an answer.
            logger.exception("%s: a command failed", self._slug)
            self._send(
                writer, {"id": number, "error": NinjacamError("An internal error occurred.").as_dict()}
            )

    def _on_error(self, holder: object, error: NinjacamError) -> None:
        logger.warning("%s: %s", self._slug, error)
        if isinstance(holder, asyncio.StreamWriter):
            self._send(holder, {"id": None, "error": error.as_dict()})

    @staticmethod
    def _send(writer: asyncio.StreamWriter, message: Json) -> None:
        if not writer.is_closing() and writer.transport.get_write_buffer_size() < 4 * MAX_LINE_BYTES:
            writer.write(encode(message))

    # --- commands ---

    async def _then(self, command: Awaitable[None]) -> int:
        """End a held movement, then send the command. Return the number of the movement (`PresetPosition`)."""
        movement = self._position.leave()
        try:
            await self._movement.finish()
        except BaseException:
            if asyncio.iscoroutine(command):
                command.close()
            raise
        await command
        return movement

    async def _stop(self, _: Json) -> None:
        """Stop, repeated until it is acknowledged. The sender gets the error of the first attempt."""
        self._position.stop()
        self._movement.stop()
        await self._device.stop()

    async def _move_for(self, message: Json) -> None:
        """Move for a fixed time, independent of the connection."""
        duration_s = _number(message, "duration_s", 0, MAX_DURATION_S)
        await self._device.get_abilities()  # Errors of opening the device belong to this request.
        self._position.leave()
        self._movement.hold(object(), _vector(message), duration_s)

    async def _describe(self, _: Json) -> Json:
        abilities = await self._device.get_abilities()
        presets = await self._device.list_presets()
        return {
            "abilities": asdict(abilities),
            "presets": [asdict(preset) for preset in presets],
            "preset": self.preset,
        }

    async def _get_position(self, _: Json) -> Json:
        return asdict(await self._device.get_position())

    async def _set_preset(self, message: Json) -> Json:
        token = str(message.get("preset") or "")[:64]
        return {"preset": await self._device.set_preset(_text(message, "name"), token)}

    async def _remove_preset(self, message: Json) -> None:
        preset = _text(message, "preset")
        await self._device.remove_preset(preset)
        self._position.forget(preset)

    async def _set_encoder(self, message: Json) -> None:
        await self._device.set_encoder(_text(message, "profile"), _changes(EncoderChanges, message))

    async def _set_imaging(self, message: Json) -> None:
        await self._device.set_imaging(_changes(ImagingChanges, message))

    async def _move_focus(self, message: Json) -> None:
        """Move the focus for a fixed time. It is stopped even if the process ends meanwhile."""
        speed, duration_s = _number(message, "speed", -1, 1), _number(message, "duration_s", 0, MAX_FOCUS_S)
        if not speed:
            raise CommandRejectedError("The speed of the focus must not be 0.")
        try:
            await self._device.move_focus(speed)
            await self._clock.sleep(duration_s)
        finally:
            await self._device.stop_focus()

    async def _list_outputs(self, _: Json) -> list[Json]:
        return [asdict(output) for output in await self._device.list_outputs()]

    async def _set_output(self, message: Json) -> None:
        await self._device.set_output(_text(message, "output"), is_active=message.get("is_active") is True)


async def _as_json(answer: Awaitable[Any]) -> Json:
    return asdict(await answer)


C = TypeVar("C", EncoderChanges, ImagingChanges)


def _changes(kind: type[C], message: Json) -> C:
    """Raises: CommandRejectedError."""
    try:
        return kind(**message["changes"])
    except (KeyError, TypeError) as exc:
        raise CommandRejectedError("The command does not say what to change.") from exc


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(message: Json, name: str, low: float, high: float) -> float:
    """Raises: CommandRejectedError."""
    value: Any = message.get(name)
    if not (_is_number(value) and low <= value <= high):
        raise CommandRejectedError(
            sentence(
                "The command needs a %(name)s from %(low)s to %(high)s.",
                name=name,
                low=f"{low:g}",
                high=f"{high:g}",
            )
        )
    return float(value)


def _vector(message: Json) -> Vector:
    """Raises: CommandRejectedError."""
    values = [message.get(name) for name in ("pan", "tilt", "zoom")]
    for value in values:
        if value is not None and not (_is_number(value) and -1 <= value <= 1):
            raise CommandRejectedError("Pan, tilt and zoom must be from -1 to 1.")
    return Vector(*values)


def _text(message: Json, name: str) -> str:
    """Raises: CommandRejectedError."""
    value = message.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise CommandRejectedError(sentence("The command needs a %(name)s.", name=name))
    return value

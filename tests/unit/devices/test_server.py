"""The device socket between a web worker and a camera over real HTTP."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import (
    AuthenticationError,
    CommandRejectedError,
    ConnectionRefusedSourceError,
    NinjacamError,
    StreamUnavailableError,
)
from ninjacam.core.json_lines import decode, encode
from ninjacam.core.movement import Vector
from ninjacam.devices import messages
from ninjacam.devices.client import DeviceConnection, request
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.server import MAX_WAITING, DeviceServer
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.onvif_camera import FakeOnvifCamera


def serve(
    run_dir: Path,
    camera: FakeOnvifCamera,
    scenario: Callable[[], Awaitable[None]],
    clock: Clock = SYSTEM_CLOCK,
    **config: Any,
) -> None:
    async def go() -> None:
        given = {"username": "admin", "password": "secret", **config}
        server = DeviceServer(run_dir, "door", OnvifDevice(SourceConfig(camera.url, **given)), clock=clock)
        await server.start()
        try:
            await scenario()
        finally:
            await server.close()

    asyncio.run(go())


async def ask(run_dir: Path, op: str, **values: Any) -> Any:
    return await asyncio.to_thread(request, run_dir, "door", op, **values)


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 (another thread or process changes it)
            await asyncio.sleep(0.005)


def test_the_camera_is_at_a_preset_after_the_command_until_it_moves(tmp_path: Path) -> None:
    clock = FakeClock()
    with FakeOnvifCamera() as camera:

        async def preset() -> str:
            return str((await ask(tmp_path, "describe"))["preset"])

        async def arrive() -> None:
            await ask(tmp_path, "goto_preset", preset="1")
            async with asyncio.timeout(20):
                while not await preset():
                    await clock.run(0.5)
            assert await preset() == "1"

        async def scenario() -> None:
            assert await preset() == ""
            for op, values in (
                ("move_to", {"pan": 0.1}),
                ("move_by", {"pan": 0.1}),
                ("move_for", {"pan": 0.1, "duration_s": 0.5}),
                ("go_home", {}),
                ("remove_preset", {"preset": "1"}),
            ):
                await arrive()
                await ask(tmp_path, op, **values)
                assert await preset() == "", op

        serve(tmp_path, camera, scenario, clock)


def test_commands_reach_the_camera_and_its_errors_come_back(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:

        async def scenario() -> None:
            found = await ask(tmp_path, "describe")
            assert found["abilities"]["continuous_move"] and found["presets"] == [
                {"token": "1", "name": "Door"}
            ]
            await ask(tmp_path, "goto_preset", preset="1")
            assert await ask(tmp_path, "position") == {"pan": 0.5, "tilt": 0.1, "zoom": 0.0}
            preset = (await ask(tmp_path, "set_preset", name="Gate"))["preset"]
            await ask(tmp_path, "remove_preset", preset=preset)
            await ask(tmp_path, "move_to", pan=0.1, tilt=0.2)
            await ask(tmp_path, "move_by", pan=0.1)
            await ask(tmp_path, "set_home")
            await ask(tmp_path, "go_home")
            await ask(tmp_path, "stop")
            for op, values in (
                ("goto_preset", {"preset": "9"}),
                ("goto_preset", {"preset": ""}),
                ("move_to", {"pan": 2}),
                ("move_to", {"pan": "left"}),
                ("nonsense", {}),
            ):
                with pytest.raises(CommandRejectedError):
                    await ask(tmp_path, op, **values)

        serve(tmp_path, camera, scenario)
    assert not (tmp_path / "door.device").exists()


def test_a_camera_without_a_socket_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StreamUnavailableError, match="cannot be controlled"):
        request(tmp_path, "door", "describe")


def test_a_rejected_login_is_not_repeated_for_a_while(tmp_path: Path) -> None:
    """Cameras lock accounts, and a held key sends a command twelve times a second."""
    with FakeOnvifCamera() as camera:

        async def scenario() -> None:
            for _ in range(4):
                with pytest.raises(AuthenticationError):
                    await ask(tmp_path, "describe")
            assert camera.rejected == 1

        serve(tmp_path, camera, scenario, password="wrong")


def test_settings_that_the_user_may_not_change_keep_nobody_from_moving_the_camera(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.fail = {"SetSystemDateAndTime": "NotAuthorized"}

        async def scenario() -> None:
            with pytest.raises(AuthenticationError):
                await ask(tmp_path, "set_clock")
            await ask(tmp_path, "move_for", pan=1, duration_s=0.1)

        serve(tmp_path, camera, scenario)


def test_a_moving_camera_is_stopped_although_it_has_just_rejected_a_login(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:

        async def scenario() -> None:
            connection = DeviceConnection(lambda _: None, lambda: None)
            await connection.open(tmp_path, "door")
            connection.move(Vector(pan=1))
            await until(lambda: camera.is_moving)
            camera.faults.fail = {"GetPresets": "NotAuthorized"}
            with pytest.raises(AuthenticationError):
                await ask(tmp_path, "describe")
            connection.close()
            await until(lambda: "Stop" in [command.name for command in camera.commands])

        serve(tmp_path, camera, scenario, clock=FakeClock())


def test_a_camera_that_is_off_is_a_typed_error(tmp_path: Path) -> None:
    camera = FakeOnvifCamera()
    camera.start()
    camera.stop()

    async def scenario() -> None:
        with pytest.raises(ConnectionRefusedSourceError):
            await ask(tmp_path, "describe")

    serve(tmp_path, camera, scenario)


def test_the_end_of_a_connection_stops_its_movement(tmp_path: Path) -> None:
    """Stops immediately: with this clock, the hold never expires."""
    with FakeOnvifCamera() as camera:
        camera.faults.ignores_timeout = True

        async def scenario() -> None:
            connection = DeviceConnection(lambda _: None, lambda: None)
            await connection.open(tmp_path, "door")
            connection.move(Vector(pan=1))
            await until(lambda: camera.is_moving)
            assert (tmp_path / "door.moving").exists()
            connection.close()
            await until(lambda: not camera.is_moving)
            await until(lambda: not (tmp_path / "door.moving").exists())

        serve(tmp_path, camera, scenario, FakeClock())
    assert [command.name for command in camera.named("ContinuousMove", "Stop")] == ["ContinuousMove", "Stop"]


def test_an_error_of_a_held_movement_is_reported_to_its_holder(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.fail = {"ContinuousMove": "OperationProhibited"}

        async def scenario() -> None:
            errors: list[dict[str, Any]] = []
            connection = DeviceConnection(errors.append, lambda: None)
            await connection.open(tmp_path, "door")
            connection.move(Vector(pan=1))
            await until(lambda: bool(errors))
            assert errors[0]["code"] == "command_rejected"
            connection.close()

        serve(tmp_path, camera, scenario)


def test_a_preset_ends_a_held_movement_first(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:

        async def scenario() -> None:
            connection = DeviceConnection(lambda _: None, lambda: None)
            await connection.open(tmp_path, "door")
            connection.move(Vector(pan=1))
            await until(lambda: bool(camera.named("ContinuousMove")))
            await ask(tmp_path, "goto_preset", preset="1")
            connection.close()

        serve(tmp_path, camera, scenario)
    names = [command.name for command in camera.named("ContinuousMove", "Stop", "GotoPreset")]
    assert names[-2:] == ["Stop", "GotoPreset"]


def test_garbage_on_the_socket_ends_only_its_connection(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:

        async def scenario() -> None:
            for line in (b"not json\n", b"[1]\n", b"x" * (messages.MAX_LINE_BYTES + 10) + b"\n"):
                reader, writer = await asyncio.open_unix_connection(str(tmp_path / "door.device"))
                writer.write(line)
                assert await reader.read() == b""
                writer.close()
            assert await ask(tmp_path, "describe")

        serve(tmp_path, camera, scenario)


CHILD = """
import asyncio, sys
from pathlib import Path
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.server import DeviceServer
from ninjacam.sources.base import SourceConfig

async def main():
    device = OnvifDevice(SourceConfig(sys.argv[2], username="admin", password="secret"))
    await DeviceServer(Path(sys.argv[1]), "door", device).start()
    await asyncio.sleep(600)

asyncio.run(main())
"""
HOLDER = """
import asyncio, sys
from pathlib import Path
from ninjacam.core.movement import Vector
from ninjacam.devices.client import DeviceConnection

async def main():
    connection = DeviceConnection(lambda _: None, lambda: None)
    await connection.open(Path(sys.argv[1]), "door")
    while True:
        connection.move(Vector(pan=1))
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


def start(code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", code, *arguments])


def wait(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_a_killed_web_worker_stops_the_camera_and_a_killed_controller_too(tmp_path: Path) -> None:
    """SIGKILL, with a camera that ignores timeouts: the next controller sends the stop."""
    with FakeOnvifCamera() as camera:
        camera.faults.ignores_timeout = True
        controller = start(CHILD, str(tmp_path), camera.url)
        processes = [controller]
        try:
            wait(lambda: (tmp_path / "door.device").exists())
            holder = start(HOLDER, str(tmp_path))
            processes.append(holder)
            wait(lambda: camera.is_moving)
            os.kill(holder.pid, signal.SIGKILL)
            wait(lambda: not camera.is_moving)

            processes.append(start(HOLDER, str(tmp_path)))
            wait(lambda: camera.is_moving)
            os.kill(controller.pid, signal.SIGKILL)
            controller.wait()
            assert camera.is_moving and (tmp_path / "door.moving").exists()
            processes.append(start(CHILD, str(tmp_path), camera.url))
            wait(lambda: not camera.is_moving)
            wait(lambda: not (tmp_path / "door.moving").exists())
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_the_end_of_the_server_stops_the_camera(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.ignores_timeout = True

        async def scenario() -> None:
            await ask(tmp_path, "move_for", pan=0.5, duration_s=10)
            await until(lambda: camera.is_moving)

        serve(tmp_path, camera, scenario)
        assert not camera.is_moving and not (tmp_path / "door.moving").exists()


def test_a_movement_of_unlimited_duration_is_refused(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:

        async def scenario() -> None:
            with pytest.raises(CommandRejectedError, match="from 0 to 10"):
                await ask(tmp_path, "move_for", pan=0.5, duration_s=11)

        serve(tmp_path, camera, scenario)


def test_a_connection_has_few_unanswered_requests(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.delays_s = {"GetStatus": 60}

        async def scenario() -> None:
            path = str(messages.socket_path(tmp_path, "door"))
            reader, writer = await asyncio.open_unix_connection(path)
            for number in range(MAX_WAITING + 1):
                writer.write(encode({"id": number, "op": "position"}))
            async with asyncio.timeout(20):
                answer = decode(await reader.readline())
            assert answer["id"] == MAX_WAITING and "Too many commands" in str(answer["error"])
            writer.close()

        serve(tmp_path, camera, scenario)


def test_commands_that_wait_are_not_sent_after_the_end_of_the_server(tmp_path: Path) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.delays_s = {"GetStatus": 60}

        async def scenario() -> None:
            device = OnvifDevice(SourceConfig(camera.url, username="admin", password="secret"))
            server = DeviceServer(tmp_path, "door", device)
            await server.start()
            path = str(messages.socket_path(tmp_path, "door"))
            _, writer = await asyncio.open_unix_connection(path)
            for number in range(3):
                writer.write(encode({"id": number, "op": "position"}))
            await until(lambda: bool(camera.named("GetStatus")))
            await server.close()
            writer.close()
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "device-command"]

        asyncio.run(scenario())
    assert len(camera.named("GetStatus")) == 1


def test_every_error_of_a_camera_survives_the_socket() -> None:
    for kind in messages._KINDS.values():
        error = messages.error_of(kind("What to do.").as_dict())
        assert type(error) is kind and str(error) == "What to do."
    assert isinstance(messages.error_of({"code": "unheard of"}), NinjacamError)

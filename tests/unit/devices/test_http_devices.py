"""Cameras without ONVIF: the same commands, errors and dead man's switch, over real HTTP."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    CommandRejectedError,
    ConfigError,
    ConnectionRefusedSourceError,
    NotACameraError,
    ProtocolError,
    SourceError,
    SourceTimeoutError,
    UnsupportedCommandError,
)
from ninjacam.core.movement import Vector
from ninjacam.devices import dahua
from ninjacam.devices.client import DeviceConnection
from ninjacam.devices.registry import ADAPTERS, open_device
from ninjacam.devices.server import DeviceServer
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.authentication import Login
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.http_ptz_camera import FakeHttpPtzCamera
from tests.unit.devices.test_server import ask, until

Protocol = Literal["dahua", "axis"]
BOTH = pytest.mark.parametrize("protocol", ["dahua", "axis"])
Scenario = Callable[[], Awaitable[None]]


def serve(run_dir: Path, camera: FakeHttpPtzCamera, scenario: Scenario, **options: Any) -> None:
    """Run `scenario` with the socket for commands to `camera`."""
    password, path = options.pop("password", "secret"), options.pop("path", "")
    timeout_s = options.pop("timeout_s", None)

    async def go() -> None:
        config = SourceConfig(camera.url + path, username="admin", password=password)
        device: Any = open_device(config)
        device._session._timeout_s = timeout_s or device._session._timeout_s
        server = DeviceServer(run_dir, "door", device, **options)
        await server.start()
        try:
            await scenario()
        finally:
            await server.close()

    asyncio.run(go())


@pytest.fixture
def camera(protocol: Protocol) -> Iterator[FakeHttpPtzCamera]:
    with FakeHttpPtzCamera(protocol) as started:
        yield started


@BOTH
def test_a_camera_is_moved_and_its_presets_are_used(camera: FakeHttpPtzCamera, tmp_path: Path) -> None:
    door = next(iter(camera.presets))

    async def scenario() -> None:
        found = await ask(tmp_path, "describe")
        assert found["abilities"]["continuous_move"] and found["presets"] == [{"token": door, "name": "Door"}]
        await ask(tmp_path, "goto_preset", preset=door)
        token = (await ask(tmp_path, "set_preset", name="Gate & yard"))["preset"]
        assert camera.presets[token] == "Gate & yard"
        await ask(tmp_path, "remove_preset", preset=token)
        assert list(camera.presets) == [door]
        await ask(tmp_path, "move_to", pan=0.5, tilt=-0.25)
        await ask(tmp_path, "move_by", pan=0.25)
        with pytest.raises(CommandError):
            await ask(tmp_path, "goto_preset", preset="99")

    serve(tmp_path, camera, scenario)
    pan, tilt, _ = camera.position
    assert (pan, tilt) == ((135, -45) if camera.protocol == "axis" else (0.75, -0.25))


@BOTH
def test_a_held_movement_has_the_right_direction_and_ends(camera: FakeHttpPtzCamera, tmp_path: Path) -> None:
    """Ends immediately: with this clock, the hold never expires."""

    async def scenario() -> None:
        connection = DeviceConnection(lambda _: None, lambda: None)
        await connection.open(tmp_path, "door")
        connection.move(Vector(pan=-0.5, tilt=1.0, zoom=0.1))
        await until(lambda: camera.is_moving)
        pan, tilt, zoom = camera.velocity
        assert pan < 0 < zoom < tilt == 100 and abs(pan) >= dahua.MIN_STEP
        connection.close()
        await until(lambda: not any(camera.velocity))
        await until(lambda: not (tmp_path / "door.moving").exists())

    serve(tmp_path, camera, scenario, clock=FakeClock())


@BOTH
def test_a_client_that_falls_silent_stops_the_camera(camera: FakeHttpPtzCamera, tmp_path: Path) -> None:
    async def scenario() -> None:
        connection = DeviceConnection(lambda _: None, lambda: None)
        await connection.open(tmp_path, "door")
        connection.move(Vector(pan=1))
        await until(lambda: camera.is_moving)
        await until(lambda: not any(camera.velocity))
        connection.close()

    serve(tmp_path, camera, scenario)


@BOTH
def test_a_stop_does_not_wait_for_a_slow_movement(camera: FakeHttpPtzCamera, tmp_path: Path) -> None:
    def is_stop(values: dict[str, str]) -> bool:
        return values.get("action") == "stop" or values.get("continuouspantiltmove") == "0,0"

    async def scenario() -> None:
        camera.delay_s = 3600
        connection = DeviceConnection(lambda _: None, lambda: None)
        await connection.open(tmp_path, "door")
        connection.move(Vector(pan=1))
        await until(lambda: bool(camera.commands))
        connection.close()
        await until(lambda: any(map(is_stop, camera.commands)))

    serve(tmp_path, camera, scenario, timeout_s=3600)


@BOTH
def test_a_process_that_was_killed_while_the_camera_moved_is_succeeded_by_a_stop(
    camera: FakeHttpPtzCamera, tmp_path: Path
) -> None:
    camera.velocity, camera.until_s = [50.0, 0.0, 0.0], float("inf")
    (tmp_path / "door.moving").touch()

    async def scenario() -> None:
        await until(lambda: not any(camera.velocity))

    serve(tmp_path, camera, scenario)


def test_a_movement_of_dahuas_protocol_ends_by_itself(tmp_path: Path) -> None:
    with FakeHttpPtzCamera("dahua") as camera:

        async def scenario() -> None:
            await ask(tmp_path, "move_for", pan=1, duration_s=0.1)
            await until(lambda: any(values.get("action") == "stop" for values in camera.commands))

        serve(tmp_path, camera, scenario)
    assert [values["arg4"] for values in camera.commands if values.get("action") == "start"] == ["1"]


@BOTH
def test_a_channel_is_addressed(camera: FakeHttpPtzCamera, tmp_path: Path) -> None:
    async def scenario() -> None:
        await ask(tmp_path, "move_by", pan=0.1)

    serve(tmp_path, camera, scenario, path="?channel=3")
    assert {values.get("channel") or values.get("camera") for values in camera.commands} == {"3"}


# --- logins ---


@BOTH
def test_a_rejected_login_is_not_repeated_for_a_while(camera: FakeHttpPtzCamera, tmp_path: Path) -> None:
    async def scenario() -> None:
        for _ in range(4):
            with pytest.raises(AuthenticationError):
                await ask(tmp_path, "describe")

    serve(tmp_path, camera, scenario, password="wrong")
    assert len(camera.authorizations) == 2 and not camera.commands


@BOTH
def test_a_moving_camera_is_stopped_although_it_has_just_rejected_a_login(
    camera: FakeHttpPtzCamera, tmp_path: Path
) -> None:
    async def scenario() -> None:
        connection = DeviceConnection(lambda _: None, lambda: None)
        await connection.open(tmp_path, "door")
        connection.move(Vector(pan=-0.5))
        await until(lambda: camera.is_moving)
        accepted, camera.login = camera.login, Login("digest", "admin", "another", qop=True)
        with pytest.raises(AuthenticationError):
            await ask(tmp_path, "describe")
        camera.login = accepted
        connection.close()
        await until(lambda: not any(camera.velocity))

    serve(tmp_path, camera, scenario, clock=FakeClock())


@BOTH
def test_a_command_that_the_user_may_not_send_blocks_no_other(
    camera: FakeHttpPtzCamera, tmp_path: Path
) -> None:
    async def scenario() -> None:
        camera.raw = response(b"no", "403 Forbidden")
        with pytest.raises(CommandRejectedError, match="more rights"):
            await ask(tmp_path, "set_preset", name="Gate")
        camera.raw = None
        await ask(tmp_path, "describe")

    serve(tmp_path, camera, scenario)


@BOTH
def test_a_camera_that_asks_for_basic_gets_no_password(protocol: Protocol, tmp_path: Path) -> None:
    with FakeHttpPtzCamera(protocol, scheme="basic") as camera:

        async def scenario() -> None:
            with pytest.raises(ProtocolError, match="clear text"):
                await ask(tmp_path, "describe")

        serve(tmp_path, camera, scenario)
    assert camera.authorizations == [""]


# --- wrong responses ---


def response(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


LIES: dict[str, tuple[bytes, type[Exception]]] = {
    "HTML": (response(b"<html>Login</html>"), NotACameraError),
    "not found": (response(b"no", "404 Not Found"), NotACameraError),
    "an error": (response(b"Error\r\nBad Request!"), CommandError),
    "an error status": (response(b"", "500 Error"), CommandError),
    "nonsense": (response(bytes(range(256))), ProtocolError),
    "a redirect to another host": (
        b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n", ProtocolError,
    ),
    "100 MB": (b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + b"x" * 400_000, ProtocolError),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", NotACameraError),
    "nothing": (b"", SourceError),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("lie", LIES)
def test_a_lying_camera_ends_in_a_typed_error(camera: FakeHttpPtzCamera, lie: str) -> None:
    camera.raw, error = LIES[lie]

    async def go() -> None:
        device = open_device(SourceConfig(camera.url, username="admin", password="secret"))
        for command in (
            device.stop(), device.move(Vector(pan=1), 1), device.move_by(Vector(pan=1)), device.goto_preset("1"),
        ):  # fmt: skip
            with pytest.raises((error, CommandRejectedError)):
                await command
        device.close()

    asyncio.run(go())


@BOTH
def test_a_camera_that_answers_too_late_ends_in_a_timeout(camera: FakeHttpPtzCamera) -> None:
    camera.delay_s = 60

    async def go() -> None:
        device: Any = open_device(SourceConfig(camera.url, username="admin", password="secret"))
        device._session._timeout_s = 0.3
        with pytest.raises(SourceTimeoutError):
            await device.move(Vector(pan=1), 1)
        device.close()

    asyncio.run(go())


def test_hostile_lists_of_presets_are_bounded() -> None:
    async def go(protocol: Protocol, body: bytes) -> list[str]:
        with FakeHttpPtzCamera(protocol) as camera:
            camera.raw = response(body)
            device = open_device(SourceConfig(camera.url, username="admin", password="secret"))
            found = await device.list_presets()
            device.close()
            return [preset.token for preset in found]

    many = "".join(f"presets[{n}].Index={n}\r\npresets[{n}].Name=\u202ex\x1b\r\n" for n in range(3000))
    assert len(asyncio.run(go("dahua", many.encode()))) == 300
    assert asyncio.run(go("dahua", b"presets[0].Index=../etc\r\npresets[1].Index=\xd9\xa1\r\n")) == []
    many = "".join(f"presetposno{n}=p{n}\r\n" for n in range(3000))
    assert len(asyncio.run(go("axis", many.encode()))) == 300
    assert asyncio.run(go("axis", b"presetposno1=" + b"x" * 65 + b"\r\n")) == []


# --- addresses ---


@pytest.mark.parametrize(
    "url", ["vivotek+http://10.0.0.5/", "axis+ftp://10.0.0.5/", "axis+http://10.0.0.5/?channel=0"]
)
def test_addresses_that_cannot_work_are_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_device(SourceConfig(url))


@pytest.mark.parametrize("name", ADAPTERS)
def test_what_an_interface_lacks_is_a_typed_error(name: str) -> None:
    device = open_device(SourceConfig(f"{name}+http://127.0.0.1:9/"))

    async def go() -> None:
        for command in (
            device.describe(), device.get_encoder("x"), device.set_clock(), device.get_imaging(),
            device.list_outputs(), device.set_home(), device.get_position(), device.move_by(Vector()),
        ):  # fmt: skip
            with pytest.raises(UnsupportedCommandError):
                await command
        with pytest.raises(ConnectionRefusedSourceError):
            await device.get_abilities()

    asyncio.run(go())

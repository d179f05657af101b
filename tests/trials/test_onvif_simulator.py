"""The ONVIF client against a third-party simulator: `pip install --no-deps ipycam` (MIT; uses the installed OpenCV).

Only its ONVIF service and its movement run, without video.
"""

import asyncio
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import TypeAdapter

from ninjacam.core.errors import AuthenticationError, CommandError
from ninjacam.core.movement import Vector
from ninjacam.devices.client import request
from ninjacam.devices.description import DeviceDescription, name_streams
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.patrol import PatrolPlan, PatrolStep
from ninjacam.devices.server import DeviceServer
from ninjacam.onvif import device, media
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.ptz import open_ptz
from ninjacam.sources.base import SourceConfig
from tests.harness.processes import wait_until

ipycam: Any = pytest.importorskip("ipycam", reason="pip install --no-deps ipycam", exc_type=ImportError)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`ptz`: its movement; `url`: its device service."""
    from ipycam.http import IPCameraHTTPHandler
    from ipycam.onvif import ONVIFService
    from ipycam.ptz import PTZController

    os.chdir(tmp_path_factory.mktemp("simulator"))  # the simulator saves its presets in the current directory
    ptz = PTZController()
    config = ipycam.CameraConfig(local_ip="127.0.0.1", username="admin", password="secret")
    camera = SimpleNamespace(config=config, ptz=ptz, onvif=ONVIFService(config, ptz))
    handler = type("Handler", (IPCameraHTTPHandler,), {"camera": camera})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    config.onvif_port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield SimpleNamespace(ptz=ptz, url=config.onvif_url)
    server.shutdown()
    server.server_close()
    ptz.stop()


def config_of(simulator: Any, password: str = "secret") -> SourceConfig:
    return SourceConfig(simulator.url, username="admin", password=password)


def test_it_is_described_and_moved(simulator: Any) -> None:
    async def go() -> None:
        client = OnvifClient(config_of(simulator))
        assert (await device.get_information(client)).manufacturer == "PythonCam"
        assert abs(await client.get_clock_offset()) < 5
        profiles = await media.list_profiles(client)
        main = max(profiles, key=lambda profile: profile.pixels)
        assert await media.get_stream_url(client, main) == "rtsp://127.0.0.1:8554/video_main"
        assert (await media.get_snapshot_url(client, main)).endswith("/snapshot.jpg")

        ptz = await open_ptz(client)
        assert ptz.abilities.continuous_move and ptz.abilities.absolute_move
        await ptz.move(Vector(pan=0.5, zoom=0.5), 1)
        assert simulator.ptz.velocity.pan_speed == 0.5
        await ptz.stop()
        assert simulator.ptz.velocity.pan_speed == 0
        await ptz.move_to(Vector(pan=0.25, tilt=-0.25, zoom=0))
        found = await ptz.get_position()
        assert found.pan == pytest.approx(0.25, abs=0.05) and found.tilt == pytest.approx(-0.25, abs=0.05)
        token = await ptz.set_preset("Gate")
        await ptz.go_home()
        await ptz.goto_preset(token)
        assert (await ptz.get_position()).pan == pytest.approx(0.25, abs=0.05)
        with pytest.raises(CommandError, match="not supported"):
            await client.call("device", "GetRelayOutputs")
        client.close()

    asyncio.run(go())


def test_it_is_described_by_the_socket_and_patrolled(simulator: Any, tmp_path: Path) -> None:
    """It has no encoder options, imaging or outputs, and returns a fault for each."""

    async def ask(op: str, **values: Any) -> Any:
        return await asyncio.to_thread(request, tmp_path, "door", op, **values)

    async def go() -> None:
        server = DeviceServer(tmp_path, "door", OnvifDevice(config_of(simulator)))
        await server.start()
        found = TypeAdapter(DeviceDescription).validate_python(await ask("device"))
        assert found.information.manufacturer == "PythonCam" and "ptz" in found.functions
        assert abs(found.clock_offset_s) < 5
        urls = {name: profile.url for profile in found.profiles
                if (name := name_streams(found.profiles, {}).get(profile.token))}  # fmt: skip
        assert urls == {"main": "rtsp://127.0.0.1:8554/video_main", "sub": "rtsp://127.0.0.1:8554/video_sub"}
        main = max(found.profiles, key=lambda profile: profile.pixels)
        assert (main.encoder.codec, main.encoder.width_px, main.encoder.height_px) == ("H264", 1920, 1080)
        for op, values in (
            ("set_encoder", {"profile": main.token, "changes": {"gop_frames": 50}}),
            ("set_clock", {}),
            ("get_imaging", {}),
            ("set_output", {"output": "1", "is_active": True}),
        ):
            with pytest.raises(CommandError):
                await ask(op, **values)

        await ask("move_by", pan=0.25)
        here = (await ask("position"))["pan"]
        token = (await ask("set_preset", name="Gate"))["preset"]
        await ask("move_to", pan=-0.5)
        server.set_patrol(PatrolPlan((PatrolStep(token, 3600),), "now"))
        await asyncio.to_thread(
            wait_until, lambda: abs(simulator.ptz.state.pan - here) < 0.05, 20, "the first step"
        )
        await ask("stop")
        assert (server.report_patrol() or {})["state"] == "ended"
        await server.close()

    asyncio.run(go())


def test_a_wrong_password_is_a_typed_error(simulator: Any) -> None:
    async def go() -> None:
        client = OnvifClient(config_of(simulator, "wrong"))
        with pytest.raises(AuthenticationError):
            await device.get_information(client)
        client.close()

    asyncio.run(go())


def test_the_end_of_a_connection_stops_it(simulator: Any, tmp_path: Path) -> None:
    async def go() -> None:
        server = DeviceServer(tmp_path, "door", OnvifDevice(config_of(simulator)))
        await server.start()
        _, writer = await asyncio.open_unix_connection(str(tmp_path / "door.device"))
        writer.write(b'{"op":"move","pan":1}\n')
        speed = simulator.ptz.velocity
        await asyncio.to_thread(wait_until, lambda: speed.pan_speed, 20, "the movement")
        writer.close()
        await asyncio.to_thread(wait_until, lambda: not speed.pan_speed, 20, "the stop")
        await asyncio.to_thread(request, tmp_path, "door", "go_home")
        await server.close()

    asyncio.run(go())

"""The life of one camera's capture, over real sockets."""

import asyncio
from pathlib import Path

from ninjacam.capture.camera import CameraCapture
from ninjacam.sources.base import SourceConfig


def test_a_stop_does_not_wait_for_a_camera_that_does_not_answer(tmp_path: Path) -> None:
    async def go() -> None:
        connected = asyncio.Event()

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()
            await reader.read()
            writer.close()

        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        camera = CameraCapture(
            slug="door",
            camera_id=1,
            source=SourceConfig(f"rtsp://127.0.0.1:{port}/"),
            revision="1",
            run_dir=tmp_path,
            on_change=lambda: None,
        )
        run = asyncio.create_task(camera.run())
        async with asyncio.timeout(3):
            await connected.wait()
            await camera.stop()
            await run
        server.close()

    asyncio.run(go())
    assert not list(tmp_path.glob("*.packets")), "and the name is free for the one that follows"

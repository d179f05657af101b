"""Cameras that start slowly, and cameras with long intervals between frames, in real time."""

import asyncio
from typing import Any, ClassVar

import pytest

from tests.harness.odd_camera import OddCamera, OddClient, watch_camera


class WakesUp(OddCamera):
    """The camera responds at once and sends its first packet 5 to 20 s later (ha-wyzeapi#904)."""

    late_s = 18.0
    watch_s = 60.0

    async def media(self, client: OddClient) -> None:
        await asyncio.sleep(self.late_s)
        await super().media(client)


class EveryTwentySeconds(OddCamera):
    """Sends a frame every 20 s, each a key frame."""

    fps = 1 / 20  # type: ignore[assignment]
    scene: ClassVar[dict[str, Any]] = {"gop": 1}
    enough = 4
    watch_s = 120.0

    def timestamp(self, number: int) -> int:
        return 3_000_000 + number * 20 * 90_000


@pytest.mark.parametrize("camera", [WakesUp(), EveryTwentySeconds()], ids=repr)
def test_a_camera_that_is_given_more_time_on_each_connection_shows_video(camera: OddCamera) -> None:
    seen = asyncio.run(watch_camera(camera))
    assert len(seen.pictures) >= camera.enough, str(seen)
    assert camera.connections == 2, "the first connection was given up, the second one lasts"

"""A camera with 12 s between its key frames, in real time."""

import pytest

from tests.harness.odd_camera import Observation, OddCamera, watch
from tests.harness.steady_loop import run_steadily


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_twelve_seconds_between_key_frames_cause_no_reconnect(codec: str) -> None:
    camera = OddCamera(codec=codec, fps=25, scene={"seconds": 12.0, "gop": 300})

    def has_two_keys(seen: Observation) -> bool:
        return sum(packet.is_key for packet in seen.pictures) >= 3

    async def go() -> Observation:
        async with camera:
            return await watch(camera.url(), has_two_keys, seconds=60, loop=camera.clip.frames)

    seen = run_steadily(go())
    seen.assert_whole(600)
    assert camera.connections == 1
    assert seen.status["key_interval_s"] == pytest.approx(12, abs=0.5)
    assert not seen.status["notices"], "the cache holds them"

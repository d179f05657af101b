"""The MJPEG load client of the benchmarks, against a camera that sends each picture on time."""

import asyncio

import pytest

from benchmarks.loadclient import Load, percentile, run_mjpeg
from ninjacam.testing.clips import Clip
from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=320, height=184, seconds=1, codec="mjpeg"))


@pytest.mark.parametrize("chunked", [False, True])
def test_every_frame_is_counted_once_with_its_age(clip: Clip, chunked: bool) -> None:
    with FakeHttpCamera(clip) as phone:
        phone.faults.chunked = chunked
        load = Load([phone.url()], viewers=2, seconds=1, warm_up_s=0.3, loop=25, decode_every=1)
        result = asyncio.run(run_mjpeg(load))
    for viewer in result.viewers:
        assert 22 <= viewer.frames <= 27
        assert (viewer.unreadable, viewer.duplicates, viewer.error) == (0, 0, "")
        assert viewer.first_frame_s is not None
    assert (percentile(result.latencies_ms, 0.5) or 1000) < 40


def test_refusal_is_reported(clip: Clip) -> None:
    with FakeHttpCamera(clip) as phone:
        result = asyncio.run(run_mjpeg(Load([phone.url("/nothing")], seconds=0.2, warm_up_s=0)))
    assert "404" in result.viewers[0].error
    assert result.summary()["statuses"] == ["http/1.1 404 not found"]


def test_a_reconnecting_viewer_continues_after_a_cut(clip: Clip) -> None:
    async def scenario(phone: FakeHttpCamera) -> int:
        load = Load([phone.url()], seconds=1.5, warm_up_s=0, reconnect=True)
        watching = asyncio.create_task(run_mjpeg(load))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(phone.drop)
        result = await watching
        assert result.viewers[0].frames > 10
        return result.viewers[0].connects

    with FakeHttpCamera(clip) as phone:
        assert asyncio.run(scenario(phone)) == 2

"""Fixtures for your own tests: `pytest_plugins = ["ninjacam.testing.pytest_plugin"]` in the top conftest.py."""

from collections.abc import Iterator

import pytest

from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.scenes import SceneOptions, make_clip


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test moves."""
    return FakeClock()


@pytest.fixture(scope="session")
def small_clip() -> Clip:
    """640 x 360, 25 fps, 2 s, a key frame every 0.4 s, stamped: quick to make and quick to start."""
    return make_clip(SceneOptions(width=640, height=360, seconds=2, gop=10, bitrate_bps=800_000))


@pytest.fixture
def rtsp_camera(small_clip: Clip) -> Iterator[FakeRtspCamera]:
    """A running camera of `small_clip`, without login."""
    with FakeRtspCamera(small_clip) as camera:
        yield camera

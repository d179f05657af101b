"""Browsers, and the fake media server that they connect to."""

from collections.abc import Iterator

import pytest

from tests.e2e.fake_media import FakeMedia, Video, make_video
from tests.harness.chrome import Browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.fixture(scope="module")
def video() -> Video:
    return make_video()


@pytest.fixture
def media(video: Video) -> Iterator[FakeMedia]:
    with FakeMedia(video).running() as running:
        yield running

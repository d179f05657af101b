"""Run capture on all odd cameras of a test module concurrently, because each needs a second or two of waiting."""

import asyncio
from collections.abc import Callable

import pytest

from tests.harness.odd_camera import Observation, OddCamera, OddHttpCamera, watch_camera
from tests.harness.steady_loop import run_steadily

MAX_AT_ONCE = 12

Watched = Callable[[OddCamera | OddHttpCamera], Observation]


@pytest.fixture(scope="module")
def watched(request: pytest.FixtureRequest) -> Watched:
    """Return the observation for each "camera" parameter of the selected tests in this module."""
    cameras: dict[int, OddCamera | OddHttpCamera] = {}
    for item in request.session.items:
        parameters = getattr(getattr(item, "callspec", None), "params", {})
        if item.path == request.path and "camera" in parameters:
            cameras[id(parameters["camera"])] = parameters["camera"]
    seen = run_steadily(_watch_all(list(cameras.values())))
    return lambda camera: seen[id(camera)]


async def _watch_all(cameras: list[OddCamera | OddHttpCamera]) -> dict[int, Observation]:
    at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def watch_one(camera: OddCamera | OddHttpCamera) -> tuple[int, Observation]:
        async with at_once:
            return id(camera), await watch_camera(camera)

    return dict(await asyncio.gather(*map(watch_one, cameras)))

"""Values of processors over time, in the running product, on both databases."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.postgres import Postgres, postgres_missing
from tests.harness.processes import wait_until
from tests.harness.server import Product

SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")
CODE = """
from ninjacam import Frame, Result, processor

@processor(when="always", fps=10)
def level(frame: Frame) -> Result:
    return Result(values={"half": 0.5, "number": frame.number % 2})
"""
ON_POSTGRESQL = pytest.param(
    "postgresql", marks=pytest.mark.skipif(bool(postgres_missing()), reason=postgres_missing())
)


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def product(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Product]:
    data = tmp_path / "data"
    data.mkdir()
    (data / "cameras.py").write_text(CODE)
    with ExitStack() as stack:
        environment = {}
        if request.param == "postgresql":
            environment["DATABASE_URL"] = stack.enter_context(Postgres()).url
        camera = stack.enter_context(FakeCamera(*SMALL))
        made = stack.enter_context(Product(data, workers=1, environment=environment))
        made.add_camera("door", camera.url())
        made.wait_for_state("door")
        yield made


def test_values_are_stored_while_frames_arrive_and_outlive_a_killed_vision_worker(product: Product) -> None:
    def points(camera: str, name: str = "number") -> Any:
        answer = product.client.get(
            f"/api/v1/cameras/{camera}/values?processor=level&name={name}&points=2000"
        )
        return answer.json()["points"] if answer.status == 200 else []

    def count(camera: str) -> int:
        return sum(point["count"] for point in points(camera))

    wait_until(lambda: count("door"), 40, "values", processes=[product])
    assert {(point["min"], point["mean"], point["max"]) for point in points("door", "half")} == {
        (0.5, 0.5, 0.5)
    }
    assert {(point["min"], point["max"]) for point in points("door") if point["count"] > 1} == {(0, 1)}
    before = count("door")
    os.kill(product.pids("vision")[0], signal.SIGKILL)
    wait_until(lambda: count("door") > before, 40, "values of the next worker", processes=[product])
    names = product.client.get("/api/v1/cameras/door/value-names").json()["items"]
    assert names == [{"processor": "level", "name": "half"}, {"processor": "level", "name": "number"}]
    product.cli("set", "door", "--slug", "gate")
    assert count("gate") >= before
    assert product.terminate(10) < 5
    assert "Traceback" not in product.output, product.output

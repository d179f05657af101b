"""Zones of a camera that moves, in the running product: they apply at their preset only."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.e2e.test_views import SMALL, ZONED, Scene, wait_colour
from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product

LOWER = [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]


@pytest.fixture
def device() -> Iterator[FakeOnvifCamera]:
    with FakeOnvifCamera(scheme="none") as started:
        yield started


@pytest.fixture
def scene(tmp_path: Path, device: FakeOnvifCamera) -> Iterator[Scene]:
    tmp_path.joinpath("cameras.py").write_text(ZONED)
    with FakeCamera(*SMALL) as camera, Product(tmp_path, workers=1) as product:
        product.add_camera("door", camera.url(), "--onvif", device.url)
        product.wait_for_state("door")
        wait_until((tmp_path / "run/door.device").exists, 30, "the socket for commands", processes=[product])
        yield Scene(product)


def test_a_zone_of_a_preset_applies_only_while_the_camera_is_there(
    scene: Scene, device: FakeOnvifCamera
) -> None:
    def send(path: str, **body: Any) -> Any:
        answer = scene.product.client.request("POST", f"/api/v1/cameras/door/{path}", json_body=body)
        assert answer.status < 300, answer.text
        return answer

    device.presets["2"] = ("Gate", [-0.5, 0.0, 0.0])
    send("zones", name="lawn", points=LOWER, preset="1")
    with scene.mjpeg() as viewer:
        wait_colour(viewer, "green", 15)
        send("ptz", command="goto_preset", preset="1")
        wait_colour(viewer, "red", 10)
        assert scene.product.client.get("/api/v1/cameras/door/ptz").json()["preset"] == "1"
        send("ptz", command="move_by", pan=0.1)
        wait_colour(viewer, "green", 5)
        patrol = {"steps": [{"preset": each, "dwell_s": 5} for each in ("1", "2")], "running": True}
        answer = scene.product.client.request("PUT", "/api/v1/cameras/door/patrol", json_body=patrol)
        assert answer.status == 200, answer.text
        wait_colour(viewer, "red", 10)
        wait_colour(viewer, "green", 10)
        wait_colour(viewer, "red", 10)
        send("ptz", command="go_home")
        wait_colour(viewer, "green", 5)
        assert not viewer.ended

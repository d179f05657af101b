"""Profiles in the running product: options, processors and recording change while viewers stay connected."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_views import ALWAYS, SMALL, TUNED, Scene, wait_colour
from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import fair_s
from tests.harness.processes import wait_until
from tests.harness.server import Product

AWAY = {
    "name": "away",
    "overrides": [
        {"record": "always", "processors": {"count": False}},
        {"camera": "door", "options": {"paint": {"colour": "red"}}},
    ],
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    tmp_path.joinpath("cameras.py").write_text(TUNED.replace("FIELD", "") + ALWAYS)
    with FakeCamera(*SMALL) as camera, Product(tmp_path, workers=1) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        yield Scene(product)


def test_a_profile_takes_effect_within_two_seconds_and_leaving_it_restores_everything(scene: Scene) -> None:
    product = scene.product

    def activate(name: str | None) -> float:
        answer = product.client.request("PUT", "/api/v1/profiles/active", json_body={"profile": name})
        assert answer.status == 200, answer.text
        return fair_s()

    def engine_state() -> Any:
        return json.loads((product.data / "run" / "status.json").read_text())["cameras"]["door"]

    def count_runs() -> bool:
        return bool(scene.view("count").get("state") == "running")

    assert product.client.post("/api/v1/profiles", json_body=AWAY).status == 201
    wait_until(count_runs, 10, "the processor that always runs")
    with scene.mjpeg() as viewer, scene.ws("") as player, scene.mjpeg("count") as counting:
        wait_colour(viewer, "blue", 15)
        counting.wait_live()
        player.wait_units(5)
        stored = product.client.get("/api/v1/cameras/door").json()
        pids = product.pids("vision") + product.pids("capture")
        away_s = activate("away")
        assert wait_colour(viewer, "red", 10).at_s - away_s < 2.0
        wait_until(lambda: engine_state()["recording"]["state"] == "recording", 5, "it records")
        wait_until(lambda: not count_runs(), 5, "the processor is off")
        counting.wait_ended(10)
        refused = product.client.get("/live/door/snapshot.jpg?view=count")
        assert refused.status == 404 and "active profile" in refused.text
        now = product.client.get("/api/v1/cameras/door").json()
        assert (now["record"], now["updated_at"]) == (stored["record"], stored["updated_at"])
        back_s = activate(None)
        assert wait_colour(viewer, "blue", 10).at_s - back_s < 2.0
        wait_until(lambda: engine_state()["recording"]["state"] == "off", 5, "it records no longer")
        wait_until(count_runs, 5, "the processor runs again")
        player.wait_units(25)
        assert product.pids("vision") + product.pids("capture") == pids, "nothing was restarted"
        assert not viewer.ended and not player.ended

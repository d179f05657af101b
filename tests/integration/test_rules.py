"""Snapshots and rules in the product as users start it: a real camera, recorder and jobs process."""

from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product


def test_an_event_gets_its_snapshot_and_is_protected(tmp_path_factory: pytest.TempPathFactory) -> None:
    with FakeCamera() as camera, Product(tmp_path_factory.mktemp("data")) as product:
        product.add_camera("door", camera.url(), "--record", "events")

        def call(method: str, path: str, **body: Any) -> Any:
            answer = product.client.request(method, f"/api/v1/{path}", json_body=body or None)
            assert answer.status in (200, 201), answer.text
            return answer.json()

        call("POST", "rules", name="Keep", protect=True, kinds=["visit"])
        wait_until(lambda: call("GET", "cameras/door")["state"] == "live", 30, "video", processes=[product])
        event = call("POST", "events", camera="door", kind="visit")["id"]

        def is_complete() -> bool:
            shown = call("GET", f"events/{event}")
            return bool(shown["snapshot_at"] and shown["protected"])

        wait_until(is_complete, 60, "the snapshot and the protection", processes=[product])
        image = product.client.request("GET", f"/api/v1/events/{event}/snapshot.jpg")
        assert image.status == 200 and image.body.startswith(b"\xff\xd8")

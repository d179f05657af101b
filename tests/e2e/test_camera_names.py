"""A camera is renamed and replaced during recording, on the running product."""

from pathlib import Path
from typing import Any

from tests.e2e.test_playback import CAMERA
from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product


def test_recordings_follow_a_renamed_camera_and_a_new_camera_with_the_old_name_gets_none(
    tmp_path: Path,
) -> None:
    with FakeCamera(*CAMERA) as camera, Product(tmp_path / "data", workers=1) as product:
        root = tmp_path / "data/recordings"

        def ask(method: str, path: str, **body: str) -> int:
            return product.client.request(method, f"/api/v1/{path}", json_body=body or None).status

        def items(slug: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = product.client.get(f"/api/v1/recordings?camera={slug}").json()[
                "items"
            ]
            return found

        def recorded(slug: str, count: int = 1) -> None:
            wait_until(lambda: len(items(slug)) >= count, 30, f"{slug} is recorded", processes=[product])

        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        recorded("door")
        assert ask("PATCH", "cameras/door", slug="front") == 200
        product.wait_for_state("front")
        recorded("front", 2)
        assert product.client.get("/live/front/snapshot.jpg").status == 200
        assert ask("GET", "cameras/door") == 404

        assert ask("DELETE", "cameras/front") == 204
        product.add_camera("front", camera.url(), "--record", "always")
        recorded("front")
        assert len(items("front")) == 1 and len(items("front-old")) == 2
        assert items("front")[0]["start"] > max(item["end"] for item in items("front-old"))
        clip = product.client.get(items("front-old")[0]["url"])
        assert clip.status == 200 and clip.body[4:8] == b"ftyp"

        assert ask("DELETE", "cameras/front?recordings=delete") == 204
        assert ask("DELETE", "recordings?camera=front-old") == 204
        wait_until(
            lambda: "front" not in product.status()["cameras"], 10, "it is stopped", processes=[product]
        )
        assert not list(root.rglob("*.mp4"))

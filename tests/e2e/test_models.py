"""A model from the command to the viewer: added, loaded by name in a vision worker, removed."""

from pathlib import Path
from typing import Any

from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer
from tests.unit.inference.networks import ONE_OBJECT, constant_network

CODE = """
from ninjacam import Processor, load_model, processor


@processor
class Objects(Processor):
    def setup(self, camera, options):
        self.detector = load_model("pets")

    def process(self, frame):
        assert [box.label for box in self.detector(frame.image)] == ["dog"]
        return self.detector(frame.image)
"""


def test_an_added_model_is_used_by_its_name_at_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "cameras.py").write_text(CODE)
    (tmp_path / "pets.onnx").write_bytes(constant_network({"output": ONE_OBJECT}))
    (tmp_path / "pets.txt").write_text("cat\ndog\n")
    with (
        FakeCamera("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once") as camera,
        Product(data, workers=1) as product,
    ):
        product.add_camera("door", camera.url())
        product.wait_for_state("door")

        def view() -> dict[str, Any]:
            items = product.client.get("/api/v1/cameras/door/views").json()["items"]
            return next((item for item in items if item["view"] == "objects"), {})

        def wait_for(state: str) -> dict[str, Any]:
            return wait_until(
                lambda: found if (found := view()).get("state") == state else None,
                15,
                f"the view is {state}",
                processes=[product],
            )

        with MjpegViewer(product.url("/live/door/mjpeg?view=objects"), product.token):
            error = wait_for("failed")["last_error"]["message"]
            assert error.startswith("objects: No model “pets”. `ninjacam models list` shows the models")
            added = product.cli(
                "models", "add", str(tmp_path / "pets.onnx"), "--decoder", "yolox",
                "--labels", str(tmp_path / "pets.txt"),
            )  # fmt: skip
            assert added.startswith("Added pets: 2 labels")
            wait_for("running")
        assert "networks run on" in product.cli("doctor", check=False)
        assert product.cli("models", "remove", "pets") == "Removed pets.\n"

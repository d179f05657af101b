"""Processors that load models, in a real vision worker."""

import asyncio
from pathlib import Path

import onnx
import pytest

from ninjacam.core.packets import Codec
from ninjacam.hub.request import StreamRequest
from ninjacam.supervision.control import Json
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.integration.test_vision_worker import MJPEG, Viewer, house
from tests.unit.inference.networks import ONE_OBJECT, constant_network

CODE = """
    from ninjacam import Processor, load_model, processor

    def make(name):
        class Objects(Processor):
            def setup(self, camera, options):
                self.detector = load_model(f"{directory}/{{name}}.onnx", decoder="yolox", labels=["cat", "dog"])

            def process(self, frame):
                return self.detector(frame.image)

        return processor(name)(Objects)

    for name in ("good", "truncated", "crashing"):
        make(name)
"""


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=800_000))


def write_models(directory: Path) -> None:
    good = constant_network({"output": ONE_OBJECT})
    (directory / "good.onnx").write_bytes(good)
    (directory / "truncated.onnx").write_bytes(good[:-200])
    model = onnx.load_from_string(good)
    model.graph.node[2].input[1] = "nowhere"  # OpenCV 5.0 crashes on this
    (directory / "crashing.onnx").write_bytes(model.SerializeToString())


@pytest.mark.parametrize("engine", ["onnxruntime", "OpenCV"])
def test_a_model_that_cannot_be_used_is_one_sentence_and_other_views_continue(
    clip: Clip, tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_models(tmp_path)
    if engine == "OpenCV":
        (tmp_path / "path").mkdir()
        (tmp_path / "path/onnxruntime.py").write_text("raise ImportError")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))

    def has_failed(report: Json, view: str) -> bool:
        return bool(report["views"]["door"].get(view, {}).get("failures"))

    async def go() -> None:
        async with house(clip, tmp_path, CODE.format(directory=tmp_path)) as it:
            raw = Viewer(tmp_path, MJPEG)
            await raw.more(5)
            views = [
                Viewer(tmp_path, StreamRequest(name, Codec.MJPEG))
                for name in ("good", "truncated", "crashing")
            ]
            report = await it.worker.until(
                lambda report: has_failed(report, "truncated") and has_failed(report, "crashing"), 20
            )
            messages = {
                name: report["views"]["door"][name]["last_error"]["message"]
                for name in ("truncated", "crashing")
            }
            assert messages["truncated"] == (
                "truncated: truncated.onnx is truncated. Copy or download it again."
            )
            assert messages["crashing"].startswith("crashing: The model “crashing” ")
            await views[0].more(10)
            await raw.more(10)
            assert not it.worker.reports[-1]["views"]["door"]["good"]["failures"]
            assert it.worker.process is not None and it.worker.process.poll() is None
            for viewer in (raw, *views):
                await viewer.close()

    asyncio.run(go())

"""Loading and calling models, with each engine."""

import logging
import re
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnx import TensorProto, helper

import ninjacam
from ninjacam import Box, load_model
from ninjacam.core.errors import ConfigError, ModelError, ProcessorError
from ninjacam.inference import engines, loading, onnx_runtime, opening
from ninjacam.inference.model import Model
from ninjacam.inference.spec import make_spec
from ninjacam.inference.stored import install
from tests.unit.inference.networks import MODELS, ONE_OBJECT, constant_network, yolox_rows

LABELS = ("cat", "dog")
IMAGE = np.zeros((128, 128, 3), np.uint8)


def write(directory: Path, content: bytes, name: str = "tiny.onnx") -> Path:
    path = directory / name
    path.write_bytes(content)
    return path


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A YOLOX that finds one dog."""
    return write(tmp_path, constant_network({"output": ONE_OBJECT}))


def test_a_call_returns_boxes_in_pixels_of_the_image(tiny: Path, engine: str) -> None:
    model = load_model(tiny, decoder="yolox", labels=LABELS)
    assert model.engine.startswith(engine) and model.device == "cpu" and model.labels == LABELS
    (box,) = model(IMAGE)  # The input has half of its size.
    assert isinstance(box, Box) and box.label == "dog" and box.score == pytest.approx(0.9, abs=1e-4)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((8, 0, 40, 48), abs=1e-3)
    assert all(type(value) is float for value in (box.left, box.top, box.right, box.bottom, box.score))


def test_options_limit_what_a_call_returns(tiny: Path, engine: str) -> None:
    model = load_model(tiny, decoder="yolox", labels=LABELS)
    assert model(IMAGE, score=0.95) == []
    assert model(IMAGE, labels=["cat"]) == []
    assert len(model(IMAGE, labels={"dog"})) == len(model(IMAGE, labels="dog")) == 1


def test_boxes_are_sorted_and_limited(tmp_path: Path) -> None:
    rows = yolox_rows(
        (0, (0.5, 0.5, 0, 0, 0.6, 1, 0)), (9, (0.5, 0.5, 0, 0, 0.9, 1, 0)), (27, (0.5, 0.5, 0, 0, 0.8, 0, 1))
    )
    model = load_model(write(tmp_path, constant_network({"o": rows})), decoder="yolox", labels=LABELS)
    assert [box.score for box in model(IMAGE)] == pytest.approx([0.9, 0.8, 0.6], abs=1e-4)
    assert [box.label for box in model(IMAGE, max_boxes=2)] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": 1.5}, "`score` must be a number from 0 to 1, not 1.5."),
        ({"iou": -1}, "`iou` must be"),
        ({"max_boxes": 0}, "`max_boxes` must be from 1 to 256, not 0."),
        ({"labels": ["person"]}, "The model “tiny” has no label “person”. Its labels are cat, dog."),
    ],
)
def test_an_option_that_is_invalid_is_named(tiny: Path, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_model(tiny, decoder="yolox", labels=LABELS)(IMAGE, **options)


@pytest.mark.parametrize(("images_per_run", "shape"), [(1, (1, 3, 64, 64)), (16, ("n", 3, 64, 64))])
def test_a_batch_is_one_run_where_the_network_allows_it(
    tmp_path: Path, engine: str, images_per_run: int, shape: Any
) -> None:
    path = write(tmp_path, constant_network({"output": ONE_OBJECT}, shape=shape))
    model = load_model(path, decoder="yolox", labels=LABELS)
    assert model._network.max_images == images_per_run
    images = [IMAGE, np.zeros((64, 32, 3), np.uint8), IMAGE]
    found = model.batch(images)
    assert [len(boxes) for boxes in found] == [1, 1, 1] and found[0] == found[2] != found[1]
    assert model.batch([]) == []


def test_images_may_come_in_other_layouts_and_types(tmp_path: Path, engine: str) -> None:
    outputs = {
        "detection_boxes": [[(0.5, 0.25, 1, 0.5)]],
        "detection_classes": [[2]],
        "detection_scores": [[0.9]],
    }
    content = constant_network(outputs, shape=(1, 32, 64, 3), dtype=TensorProto.UINT8)
    path = write(tmp_path, content)
    (box,) = load_model(path, decoder="ssd", labels=LABELS)(IMAGE)
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx(
        (32, 64, 64, 128)
    ) and box.label == "dog"


def test_half_precision_is_converted(tmp_path: Path, engine: str) -> None:
    content = constant_network({"output": ONE_OBJECT}, dtype=TensorProto.FLOAT16)
    assert len(load_model(write(tmp_path, content), decoder="yolox", labels=LABELS)(IMAGE)) == 1


def test_networks_that_scale_boxes_receive_their_input_size(tmp_path: Path, engine: str) -> None:
    if engine == "OpenCV" and cv2.__version__.startswith("4"):
        pytest.skip("OpenCV 4 does not run networks with inputs that no node uses.")
    sizes = helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2])
    outputs = {"labels": [[1]], "boxes": [[(16, 16, 32, 32)]], "scores": [[0.9]]}
    path = write(tmp_path, constant_network(outputs, extra_inputs=[sizes]))
    (box,) = load_model(path, decoder="rtdetr", labels=LABELS)(IMAGE)
    assert (box.left, box.right) == pytest.approx((32, 64))


def test_a_model_is_loaded_once_and_shared(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    original = opening.open_network

    def open_slowly(*args: Any) -> Any:
        opened.append(args)
        time.sleep(0.05)
        return original(*args)

    monkeypatch.setattr(loading, "open_network", open_slowly)
    models: list[Model] = []
    threads = [
        threading.Thread(target=lambda: models.append(load_model(tiny, decoder="yolox", labels=LABELS)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1 and len({id(model._network) for model in models}) == 1


def test_a_file_that_was_replaced_is_loaded_again(tiny: Path) -> None:
    assert len(load_model(tiny, decoder="yolox", labels=LABELS)(IMAGE)) == 1
    tiny.write_bytes(constant_network({"other": np.zeros_like(ONE_OBJECT)}))
    assert load_model(tiny, decoder="yolox", labels=LABELS)(IMAGE) == []
    assert len(loading._loaded) == 1


def test_few_networks_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MAX_LOADED", 2)
    for number in range(4):
        path = write(tmp_path, constant_network({"output": ONE_OBJECT}), f"{number}.onnx")
        load_model(path, decoder="yolox", labels=LABELS)
    assert [key[0].stem for key in loading._loaded] == ["2", "3"]


def test_threads_call_a_model_at_the_same_time(tiny: Path, engine: str) -> None:
    model = load_model(tiny, decoder="yolox", labels=LABELS)
    wrong: list[Any] = []

    def work(size: int) -> None:
        image = np.zeros((size, size, 3), np.uint8)
        for _ in range(30):
            (box,) = model(image)
            if box.right != pytest.approx(20 * size / 64, abs=0.1):
                wrong.append((size, box))

    threads = [threading.Thread(target=work, args=(size,)) for size in (64, 128, 192, 256)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_turn_that_does_not_come_is_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_runtime, "find_devices", lambda: ())
    monkeypatch.setattr("ninjacam.inference.opencv_dnn.WAIT_S", 0.01)
    model = load_model(tiny, decoder="yolox", labels=LABELS)
    turns = model._network._engine._turns  # type: ignore[attr-defined]
    with turns.turn(1), pytest.raises(ProcessorError, match=r"used by other cameras for too long"):
        model(IMAGE)
    assert len(model(IMAGE)) == 1


def test_an_installed_model_is_found_by_name(models_dir: Path, tiny: Path) -> None:
    spec = make_spec({"decoder": "yolox", "input_size": (64, 64), "score": 0.95})
    install(models_dir, tiny, "my-model", spec, LABELS, lambda made: "")
    model = load_model("my-model")
    assert model.name == "my-model" and model(IMAGE) == [] and len(model(IMAGE, score=0.5)) == 1
    assert load_model(models_dir / "my-model")._network is model._network


def test_a_model_that_is_not_installed_names_the_command(models_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"not installed. Run: ninjacam models pull yolox-nano"):
        load_model("yolox-nano")
    with pytest.raises(ModelError, match=r"No model “yolo”"):
        load_model("yolo")
    with pytest.raises(ModelError, match=r"cannot be named “..”"):
        load_model("..")


def test_names_need_the_directory_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninjacam.inference.location._find_models_dir", None)
    with pytest.raises(ConfigError, match=r"only after django.setup\(\)"):
        load_model("yolox-nano")


def test_django_sets_the_directory_of_models(settings: Any, tmp_path: Path) -> None:
    from ninjacam.inference.location import get_models_dir

    settings.NINJACAM = {"DATA_DIR": tmp_path}
    assert get_models_dir() == tmp_path / "models"


@pytest.mark.parametrize("device", ["cuda", "openvino"])
def test_a_missing_device_is_replaced_by_the_cpu_with_one_line(
    tiny: Path, engine: str, device: Any, caplog: pytest.LogCaptureFixture
) -> None:
    if device in onnx_runtime.find_devices():
        pytest.skip(f"{device} is available here.")
    for _ in range(2):
        model = load_model(tiny, decoder="yolox", labels=LABELS, device=device)
    assert model.device == "cpu" and len(model(IMAGE)) == 1
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert (
        line == f"The model “tiny” runs on the CPU, because there is no {device}. {engines.ADVICE[device]}."
    )


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_a_device_that_does_not_work_is_replaced_by_the_cpu(
    tiny: Path, device: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnx_runtime, "find_devices", lambda: ("cuda", "cpu"))
    created = onnx_runtime.OnnxRuntimeEngine

    def create(content: bytes, wanted: str) -> Any:
        if wanted == "cuda":
            raise RuntimeError("its libraries are missing or do not fit")
        return created(content, wanted)

    monkeypatch.setattr(onnx_runtime, "OnnxRuntimeEngine", create)
    assert load_model(tiny, decoder="yolox", labels=LABELS, device=device).device == "cpu"
    (record,) = caplog.records
    assert "because cuda does not work: its libraries are missing" in record.getMessage()


def test_an_unknown_device_is_an_error(tiny: Path) -> None:
    with pytest.raises(ConfigError, match=r"Unknown device “tpu”. Use auto, cpu, cuda, openvino."):
        load_model(tiny, decoder="yolox", labels=LABELS, device="tpu")  # type: ignore[arg-type]


def test_importing_the_package_imports_nothing_of_it() -> None:
    import subprocess
    import sys

    code = "import sys, ninjacam; print([n for n in ('numpy', 'cv2', 'onnxruntime', 'pydantic') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
    assert ninjacam.load_model is load_model and "load_model" in dir(ninjacam)


def test_a_file_of_the_catalogue_needs_no_description(engine: str) -> None:
    path = MODELS / "yolox_nano.onnx"
    if not path.exists():
        pytest.skip("../shared/models has no YOLOX.")
    model = load_model(path)
    assert len(model.labels) == 80 and model.name == "yolox_nano"

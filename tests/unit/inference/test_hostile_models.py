"""Files that are not the model they should be: one sentence each, with each engine, and no crash."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ninjacam import load_model
from ninjacam.core.errors import ModelError
from ninjacam.inference import loading, onnx_runtime, trial
from ninjacam.inference.spec import make_spec
from ninjacam.inference.stored import StoredModel, describe_file, install
from ninjacam.inference.trial import try_model
from tests.unit.inference.networks import ONE_OBJECT, constant_network

GOOD = constant_network({"output": ONE_OBJECT})
LABELS = ("cat", "dog")
IMAGE = np.zeros((64, 64, 3), np.uint8)


def fails(path: Path, *, decoder: str = "yolox", labels: tuple[str, ...] = LABELS) -> str:
    """Return the message of the error. It has at most two sentences, and no path of this machine."""
    with pytest.raises(ModelError) as failure:
        load_model(path, decoder=decoder, labels=labels)(IMAGE)
    message = failure.value.message
    assert "\n" not in message and len(message) < 600
    assert failure.value.code == "model" and not failure.value.retryable
    return message


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        return path

    return write


File = Callable[[bytes], Path]
Stored = Callable[[bytes], StoredModel]


def test_truncated(file: File, engine: str) -> None:
    assert fails(file(GOOD[:-100])) == "bad.onnx is truncated. Copy or download it again."


@pytest.mark.parametrize("content", [b"garbage" * 1000, bytes(5000), b"<!DOCTYPE html>\n<html>" * 20])
def test_garbage(file: File, engine: str, content: bytes) -> None:
    assert fails(file(content)) in (
        "bad.onnx is not an ONNX model. Copy or download it again.",
        "bad.onnx is truncated. Copy or download it again.",
    )


def test_empty(file: File) -> None:
    assert fails(file(b"")) == "bad.onnx is empty. Copy it again."


def test_missing(tmp_path: Path) -> None:
    assert fails(tmp_path / "no.onnx") == "no.onnx cannot be read: No such file or directory."


def test_two_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as made:
        made.write(GOOD)
        made.truncate(2 << 30)  # Sparse: it takes no room.
    assert fails(path) == "huge.onnx has 2048 MB; a model has at most 512 MB. Use a smaller one."


def test_an_operator_of_another_opset(file: File, engine: str) -> None:
    model = onnx.load_from_string(GOOD)
    model.opset_import[0].version = 99
    model.graph.node[0].op_type = "OperatorOfTheFuture"
    message = fails(file(model.SerializeToString()))
    assert message.startswith("The model “bad” (ONNX opset 99) cannot be loaded: ")
    assert message.endswith(" Export it again with another opset, or use another model.")


def test_weights_in_other_files(file: File) -> None:
    model = onnx.load_from_string(GOOD)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    assert "has its weights in other files" in fails(file(model.SerializeToString()))


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, 10), "its input has the shape (1, 10), not (images, 3, height, width)"),
        ((1, 4, 64, 64), "its input has the shape (1, 4, 64, 64)"),
        ((1, 3, 64), "its input has the shape (1, 3, 64)"),
    ],
)
def test_the_wrong_input(file: File, shape: Any, expected: str) -> None:
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [image], [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    assert expected in fails(file(model.SerializeToString()))


def test_a_second_input(file: File) -> None:
    other = helper.make_tensor_value_info("question", TensorProto.FLOAT, [1, 4])
    content = constant_network({"output": ONE_OBJECT}, extra_inputs=[other])
    assert "takes more than one image (images, question)" in fails(file(content))


def test_the_wrong_output(file: File, engine: str) -> None:
    message = fails(file(constant_network({"output": np.zeros((1, 10))})))
    assert message == (
        "The model “bad” does not fit its decoder or labels: it expects one output (images, 84 or 85, 7), and the "
        "outputs are (1, 10). Add it again with the right ones."
    )


def test_the_wrong_decoder(file: File, engine: str) -> None:
    assert "it expects one output (images, 6, boxes)" in fails(file(GOOD), decoder="yolov8")
    assert fails(file(GOOD), decoder="yunet")


def test_the_wrong_number_of_labels(file: File, engine: str) -> None:
    assert "(images, 84 or 85, 8), and the outputs are (1, 84, 7)" in fails(
        file(GOOD), labels=("cat", "dog", "cow")
    )


def test_a_class_without_a_label(file: File, engine: str) -> None:
    content = constant_network({"output": [[(0, 0, 30, 30, 0.9, 7)]]})
    message = fails(file(content), decoder="yolov8")
    assert "it returns class 7, and there are 2 labels" in message


def test_an_unknown_decoder_or_labels(file: File) -> None:
    assert fails(file(GOOD), decoder="yolo99").startswith(
        "Unknown decoder “yolo99”. Specify one of nanodet, "
    )
    assert fails(file(GOOD), decoder="").startswith("The decoder of bad.onnx is not known.")
    assert fails(file(GOOD), labels=()).startswith("The labels of bad.onnx are not known.")


def test_a_shape_that_contradicts_the_graph(file: File, engine: str) -> None:
    """The reshape in the middle cannot work, which only the engine notices."""
    model = onnx.load_from_string(GOOD)
    for tensor in model.graph.initializer:
        if tensor.name == "output_shape":
            tensor.CopyFrom(numpy_helper.from_array(np.array([7, 11, 13]), "output_shape"))
    assert fails(file(model.SerializeToString())).startswith("The model “bad” ")


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    def make(content: bytes) -> StoredModel:
        source = tmp_path / "source.onnx"
        source.write_bytes(content)
        spec = make_spec({"decoder": "yolox", "input_size": (64, 64)})
        return install(tmp_path / "models", source, "tiny", spec, LABELS, lambda made: "")

    return make


def test_a_trial_reports_the_engine_and_the_duration(stored: Stored) -> None:
    result = try_model(stored(GOOD))
    assert (
        result.engine.startswith("onnxruntime") and result.device == "cpu" and 0 < result.duration_ms < 1000
    )


def test_a_trial_reports_the_error(stored: Stored) -> None:
    with pytest.raises(ModelError, match=r"^model.onnx is truncated. Copy or download it again.$"):
        try_model(stored(GOOD[:-50]))


def test_a_trial_survives_an_engine_that_crashes(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "python_command", lambda module: ["sh", "-c", "kill -SEGV $$"])
    with pytest.raises(ModelError, match=r"^The model “tiny” crashes the engine, so it is not used."):
        try_model(stored(GOOD))


def test_a_trial_ends_an_engine_that_never_returns(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "python_command", lambda module: ["sleep", "60"])
    with pytest.raises(ModelError, match=r"did not return within 0 s"):
        try_model(stored(GOOD), timeout_s=0.2)


def test_a_network_that_needs_endless_memory_is_refused(stored: Stored) -> None:
    """It asks for 4 TB when it runs."""
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20]), "shape")
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        helper.make_node("ReduceMax", ["huge"], ["one"], keepdims=0),
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Add", ["one", "mean"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [image], [output], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(ModelError, match=r"“tiny”"):
        try_model(stored(model.SerializeToString()))


def crashing_network() -> bytes:
    """Return a file with a node whose input does not exist, on which OpenCV 5.0 crashes."""
    model = onnx.load_from_string(GOOD)
    model.graph.node[2].input[1] = "nowhere"
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this process nor its children have ONNX Runtime."""
    monkeypatch.setattr(onnx_runtime, "find_devices", lambda: ())
    (tmp_path / "path").mkdir()
    (tmp_path / "path/onnxruntime.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))


@pytest.mark.usefixtures("without_onnxruntime")
def test_a_file_that_crashes_opencv_is_one_sentence(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "try_model", try_model)
    assert load_model(file(GOOD), decoder="yolox", labels=LABELS).engine.startswith("OpenCV")
    assert fails(file(crashing_network())).startswith("The model “bad” ")


def test_files_are_tried_once_by_each_engine(
    file: File, tmp_path: Path, trials: list[StoredModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(GOOD)
    for _ in range(2):
        load_model(path, decoder="yolox", labels=LABELS)
    assert len(trials) == 1
    spec, labels = describe_file(path, "yolox", LABELS)
    stored = install(tmp_path / "models", path, "tiny", spec, labels, lambda made: try_model(made).engine)
    assert stored.spec.tried_with.startswith("onnxruntime ")
    load_model(stored.file.parent)
    assert len(trials) == 1
    monkeypatch.setattr(onnx_runtime, "find_devices", lambda: ())
    loading._loaded.clear()
    load_model(stored.file.parent)
    assert [each.name for each in trials] == ["bad", "tiny"]


def test_a_file_that_has_failed_is_opened_again_when_it_changes_or_after_a_while(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that fails is made again twice a second, and a trial takes half a second."""
    trials: list[str] = []

    def fail(stored: StoredModel, device: str) -> None:
        trials.append(stored.name)
        raise ModelError("It crashes.")

    monkeypatch.setattr(loading, "try_model", fail)
    for _ in range(3):
        assert fails(file(GOOD)) == "It crashes."
    assert len(trials) == 3, "each write is a new version of the file"
    path = file(GOOD)
    for _ in range(3):
        assert fails(path) == "It crashes."
    assert len(trials) == 4
    monkeypatch.setattr(loading, "RETRY_S", 0)
    assert fails(path) == "It crashes."
    assert len(trials) == 5

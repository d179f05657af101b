"""Networks that were exported for square images take others, so that padding is not computed."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam import load_model
from ninjacam.inference import opening
from ninjacam.inference.free_size import with_free_size
from ninjacam.inference.network import DecodedNetwork
from ninjacam.inference.onnx_header import NotOnnxError, read_header
from ninjacam.inference.preparation import smallest_size
from tests.unit.inference.networks import ONE_OBJECT, constant_network, convolutional_network

CONTENT = convolutional_network()
LABELS = ("cat", "dog")


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Width and height of each input that a network is run with."""
    seen = []
    run = DecodedNetwork._run

    def noted(network: DecodedNetwork, placed: Any, size: Any) -> Any:
        seen.append(size)
        return run(network, placed, size)

    monkeypatch.setattr(DecodedNetwork, "_run", noted)
    return seen


def load(directory: Path, content: bytes) -> Any:
    path = directory / "network.onnx"
    path.write_bytes(content)
    return load_model(path, decoder="yolox", labels=LABELS)


def test_only_the_declared_size_is_removed() -> None:
    free = with_free_size(CONTENT)
    assert free is not None and len(free) == len(CONTENT)
    changed = sum(one != other for one, other in zip(free, CONTENT, strict=True))
    assert changed == 4  # Height and width; cells and values of the output.
    before, after = read_header(CONTENT), read_header(free)
    assert before.inputs[0].shape == (1, 3, 64, 64) and after.inputs[0].shape == (1, 3, None, None)
    assert after.outputs[0].shape == (1, None, None) and after.opset == before.opset


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(128, 64, (64, 32)), (64, 128, (32, 64)), (64, 64, (64, 64)), (640, 90, (64, 32))],
)
def test_padding_is_not_computed_and_boxes_are_where_they_were(
    tmp_path: Path, engine: str, sizes: list[Any], width: int, height: int, expected: Any
) -> None:
    model = load(tmp_path, CONTENT)
    sizes.clear()
    scale = max(width, height) / 64
    image = np.zeros((height, width, 3), np.uint8)
    image[round(8 * scale) : round(16 * scale), round(16 * scale) : round(24 * scale)] = 255
    found = model(image, score=0.9)
    assert sizes == [expected]
    if height / scale > 16:
        (box,) = found
        # The cell in column 2, row 1: its corner is the center of a box of one stride.
        assert (box.left / scale, box.top / scale) == pytest.approx((12, 4), abs=0.01)
        assert (box.right / scale, box.bottom / scale) == pytest.approx((20, 12), abs=0.01)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(constant_network({"output": ONE_OBJECT}), id="outputs that do not depend on the size"),
        pytest.param(convolutional_network(declares_inner_shapes=True), id="inner shapes"),
    ],
)
def test_other_networks_get_the_size_that_they_declare(
    tmp_path: Path, engine: str, sizes: list[Any], content: bytes
) -> None:
    model = load(tmp_path, content)
    sizes.clear()
    model(np.zeros((64, 128, 3), np.uint8))
    assert sizes == [(64, 64)]


def test_a_network_for_a_gpu_gets_the_size_that_it_declares(
    tmp_path: Path, sizes: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "is_for_cpu", lambda device: False)
    model = load(tmp_path, CONTENT)
    sizes.clear()
    model(np.zeros((64, 128, 3), np.uint8))
    assert sizes == [(64, 64)]


def test_images_of_one_run_have_one_size() -> None:
    wide, tall = np.zeros((36, 64, 3), np.uint8), np.zeros((64, 36, 3), np.uint8)
    assert smallest_size([wide], (416, 416)) == (416, 256)
    assert smallest_size([tall], (416, 416)) == (256, 416)
    assert smallest_size([wide, tall], (416, 416)) == (416, 416)
    assert smallest_size([wide], (300, 300)) == (300, 192)


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 40))
def test_every_file_with_a_header_can_be_changed(noise: bytes, at: int, width: int) -> None:
    at = len(CONTENT) - at if at < 300 else at - 300  # The ends: between them are the weights.
    content = CONTENT[:at] + noise + CONTENT[at + width :]
    with contextlib.suppress(NotOnnxError):
        header = read_header(content)
        free = with_free_size(content)
        if free is not None:
            assert read_header(free).inputs[0].name == header.inputs[0].name

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam.inference.onnx_header import FLOAT, MAX_FIELDS, NotOnnxError, TruncatedError, read_header
from tests.unit.inference.networks import MODELS, ONE_OBJECT, constant_network

CONTENT = constant_network({"output": ONE_OBJECT}, shape=("n", 3, 64, 64), opset=12)


def test_inputs_outputs_and_opset_are_read() -> None:
    header = read_header(CONTENT)
    assert header.opset == 12
    assert [(each.name, each.dtype, each.shape) for each in header.inputs] == [
        ("images", FLOAT, (None, 3, 64, 64))
    ]
    assert [(each.name, each.shape) for each in header.outputs] == [("output", (None, 84, 7))]


def test_initializers_are_not_inputs() -> None:
    path = MODELS / "object_detection_nanodet_2022nov.onnx"
    if not path.exists():
        pytest.skip("../shared/models has no NanoDet.")
    header = read_header(path.read_bytes())
    assert [each.name for each in header.inputs] == ["input.1"] and len(header.outputs) == 6


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_recognized(share: float) -> None:
    with pytest.raises(TruncatedError):
        read_header(CONTENT[: int(len(CONTENT) * share)])


@pytest.mark.parametrize(
    "content",
    [b"\0" * 100, b"\x89PNG\r\n\x1a\n" + b"x" * 100, b"<html>" * 50, b"\xff" * 40, b"\x08\x07", b""],
)
def test_other_files_are_recognized(content: bytes) -> None:
    with pytest.raises(NotOnnxError):
        read_header(content)


def test_a_file_of_endless_fields_is_given_up() -> None:
    with pytest.raises(NotOnnxError, match="fields"):
        read_header(b"\x08\x01" * (MAX_FIELDS + 1))


@given(st.binary(max_size=200), st.integers(0, len(CONTENT)), st.integers(0, 60))
def test_changed_files_raise_nothing_else(noise: bytes, at: int, width: int) -> None:
    with contextlib.suppress(NotOnnxError):
        read_header(CONTENT[:at] + noise + CONTENT[at + width :])

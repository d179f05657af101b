"""The ready-made processor `codes`, with codes that are drawn here."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Polygon, Zone
from ninjacam.processors import codes
from ninjacam.processors.codes import DICTIONARIES, Codes
from ninjacam.processors.plain_text import clean
from ninjacam.testing import frame
from tests.unit.processors.conftest import Recorded

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
EAN = "5901234123457"


def wall() -> Any:
    noise = np.random.default_rng(1).integers(-4, 4, (360, 640))
    return np.clip(170 + noise, 0, 255).astype(np.uint8)


def with_qr(text: str, image: Any = None, left: int = 60) -> Any:
    image = wall() if image is None else image
    drawn = cv2.resize(cv2.QRCodeEncoder.create().encode(text), (150, 150), interpolation=cv2.INTER_NEAREST)
    image[80:230, left : left + 150] = drawn
    return image


def with_barcode() -> Any:
    """EAN-13: guards, six digits of L and G codes by the first digit, six of R codes."""
    codes_of_digits = "0001101 0011001 0010011 0111101 0100011 0110001 0101111 0111011 0110111 0001011"
    left = codes_of_digits.split()
    right = [each.translate(str.maketrans("01", "10")) for each in left]
    mirrored = [each[::-1] for each in right]
    digits = [int(each) for each in EAN]
    halves = [
        "".join(mirrored[d] if p == "G" else left[d] for d, p in zip(digits[1:7], "LGGLLG", strict=True))
    ]
    halves.append("".join(right[d] for d in digits[7:]))
    bars = f"101{halves[0]}01010{halves[1]}101"
    row = np.repeat(np.array([255 - 255 * int(each) for each in bars], np.uint8), 2)
    image = wall()
    image[40:140, 300:540] = 255
    image[50:130, 320 : 320 + len(row)] = row
    return image


def with_marker(kind: str, number: int) -> Any:
    image = wall()
    image[90:250, 90:250] = 255
    dictionary = cv2.aruco.getPredefinedDictionary(DICTIONARIES[kind])
    image[110:230, 110:230] = cv2.aruco.generateImageMarker(dictionary, number, 120)
    return image


def show(processor: Any, image: Any, second: float = 0.0, zones: Any = ()) -> list[Polygon]:
    at = BEGIN + timedelta(seconds=second)
    returned: list[Polygon] = processor.process(frame(image, camera="gate", captured_at=at, zones=zones))
    return returned


@pytest.mark.parametrize(
    ("image", "options", "format_", "text"),
    [
        (with_qr("https://example.org/?door=7"), {}, "QR", "https://example.org/?door=7"),
        (with_barcode(), {}, "barcode", EAN),
        (with_marker("4x4", 7), {"markers": "4x4"}, "ArUco", "7"),
        (with_marker("5x5", 8), {"markers": "5x5"}, "ArUco", "8"),
        (with_marker("6x6", 9), {"markers": "6x6"}, "ArUco", "9"),
        (with_marker("original", 10), {"markers": "original"}, "ArUco", "10"),
        (with_marker("apriltag", 11), {"markers": "apriltag"}, "ArUco", "11"),
    ],
)
def test_a_code_is_an_event_with_its_text(
    start: Callable[..., Any], recorded: Recorded, image: Any, options: Any, format_: str, text: str
) -> None:
    (seen,) = show(start(Codes, **options), image)
    assert seen.label == text and np.shape(seen.points) == (4, 2)
    (created,) = recorded.begun
    assert (created.kind, created.label) == ("code", text)
    assert created.data == {"format": format_, "text": text}


def test_one_appearance_is_one_event(start: Callable[..., Any], recorded: Recorded) -> None:
    processor = start(Codes, again_after_s=5)
    for second in range(30):
        show(processor, with_qr("one") if second < 10 or second in (14, 25) else wall(), second)
    assert [round(item.start_ns / 1e9 - BEGIN.timestamp()) for item in recorded.begun] == [0, 25]


def test_several_codes_of_one_image_are_several_events(start: Callable[..., Any], recorded: Recorded) -> None:
    image = with_qr("right", with_qr("left"), left=400)
    assert {each.label for each in show(start(Codes), image)} == {"left", "right"}
    assert {item.label for item in recorded.begun} == {"left", "right"}


def test_kinds_that_are_switched_off_are_not_read(start: Callable[..., Any], recorded: Recorded) -> None:
    assert show(start(Codes, qr=False), with_qr("one")) == []
    assert show(start(Codes, barcodes=False), with_barcode()) == []
    assert show(start(Codes), with_marker("4x4", 7)) == []
    assert show(start(Codes, markers="4x4"), wall()) == []
    assert not recorded.items


def test_codes_count_in_zones_and_not_in_masks(start: Callable[..., Any], recorded: Recorded) -> None:
    left = [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]
    right = [(0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0)]
    for zones, count in (
        ([Zone("door", "zone", left)], 1),
        ([Zone("door", "zone", right)], 0),
        ([Zone("poster", "mask", left)], 0),
        ([Zone("poster", "mask", right), Zone("line", "line", [(0, 0), (1, 1)])], 1),
    ):
        assert len(show(start(Codes), with_qr("one"), zones=zones)) == count


def test_large_frames_are_read_at_a_smaller_size(start: Callable[..., Any], recorded: Recorded) -> None:
    large = cv2.resize(with_qr("one"), (2560, 1440), interpolation=cv2.INTER_CUBIC)
    (seen,) = show(start(Codes), large)
    x, y = np.mean(seen.points, axis=0)
    assert abs(x - 4 * 135) < 20 and abs(y - 4 * 155) < 20


def test_text_is_bounded_and_has_no_control_characters() -> None:
    assert clean("a\x00b\nc\u202ed\u2028e\x7f ") == "a b c d e"
    assert len(clean("x" * 5000)) == 300
    assert clean("\x1b\x00") == ""


@pytest.mark.parametrize("text", ["\x01\x02\n", "x" * 400, "\U0001f600" * 600, "a\x00\x1b[31m"])
def test_any_text_can_be_an_event(start: Callable[..., Any], recorded: Recorded, text: str) -> None:
    processor = start(Codes)
    code = codes.Code("QR", clean(text) or "-", np.zeros((4, 2)))
    processor._see(code, frame(wall(), camera="gate"))
    assert len(json.dumps(recorded.begun[0].data)) <= 4096


def test_texts_that_are_not_utf_8_are_read(start: Callable[..., Any], recorded: Recorded) -> None:
    class Detector:
        def detectAndDecodeMulti(self, image: Any) -> Any:  # noqa: N802
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid")

    processor = start(Codes, barcodes=False)
    processor.qr = Detector()
    assert show(processor, wall()) == []
    Detector.detectAndDecodeBytesMulti = lambda self, image: (True, [b"\xff1", b""], np.zeros((2, 4, 2)))  # type: ignore[attr-defined]
    assert [each.label for each in show(processor, wall())] == ["\ufffd1"]


def test_the_codes_that_are_remembered_are_bounded(start: Callable[..., Any], recorded: Recorded) -> None:
    processor = start(Codes)
    for number in range(2 * codes.MAX_SEEN):
        processor._see(codes.Code("QR", str(number), np.zeros((4, 2))), frame(wall(), camera="gate"))
    assert len(processor.seen) == codes.MAX_SEEN


def test_after_the_clock_was_set_back_a_code_that_returns_is_a_new_event(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    processor = start(Codes, again_after_s=5, barcodes=False)
    for second in (7200, 10, 11, 12):
        at = BEGIN + timedelta(seconds=second)
        processor.process(frame(with_qr("A") if second == 7200 else wall(), camera="gate", captured_at=at))
    for second in (18, 19):
        at = BEGIN + timedelta(seconds=second)
        processor.process(frame(with_qr("A"), camera="gate", captured_at=at))
    assert [item.label for item in recorded.begun] == ["A", "A"]

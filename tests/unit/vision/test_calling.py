"""What a processor may return, and what becomes of it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
import pytest

from ninjacam import Box, Frame, Result, Text
from ninjacam.core.errors import ProcessorError
from ninjacam.core.frames import Area
from ninjacam.core.processors import FunctionProcessor, Registration, When
from ninjacam.vision.calling import RecordedView, Returned, call_processor

RED = (0, 0, 255)


def make_frame() -> Frame:
    image = np.zeros((120, 160, 3), np.uint8)
    return Frame(
        camera="door", number=0, pts_s=0, captured_ns=0, received_ns=0, width=160, height=120,
        load_bgr=image.copy, load_gray=lambda: image[:, :, 0],
    )  # fmt: skip


def call(
    function: Callable[[Frame], Any], frame: Frame | None = None, *, with_image: bool = True
) -> Returned:
    return call_processor(FunctionProcessor(function), "it", frame or make_frame(), with_image=with_image)


def test_annotations_are_drawn_into_the_frame_only_if_an_image_is_requested() -> None:
    def see(_: Frame) -> list[Any]:
        return [Box(40, 30, 120, 90, color="#ff0000")]

    frame = make_frame()
    returned = call(see, frame, with_image=False)
    assert returned.image is None and not frame.drawn  # nobody converted it
    assert returned.annotation_set == [
        {"type": "box", "points": [[0.25, 0.25], [0.75, 0.75]], "color": "#ff0000"}
    ]
    image = call(see, frame).image
    assert np.abs(image[60, 40].astype(int) - RED).max() < 40
    assert tuple(image[60, 80]) == (0, 0, 0)


def test_manual_drawings_stay_below_the_annotations() -> None:
    def draw(frame: Frame) -> list[Any]:
        frame.image[:20] = 200
        return []

    returned = call(draw)
    assert returned.annotation_set == []
    assert returned.image[0, 0, 0] == 200


def test_a_returned_image_is_shown_unchanged() -> None:
    own = np.full((30, 40), 77, np.uint8)
    returned = call(lambda _: (own, [Box(0, 0, 160, 120)]))
    assert returned.annotation_set is not None
    assert (returned.image == own).all()
    assert call(lambda _: own).annotation_set is None
    assert call(lambda _: None).annotation_set is None
    assert call(lambda _: (None, [Text(1, 2, "x")])).image is not None


def test_each_label_has_a_color_that_matches_the_player() -> None:
    """As overlay-drawing.js has it: "faces" is hsl(214 90% 60%)."""
    image = call(lambda _: [Box(40, 30, 120, 90, "faces")]).image
    assert np.abs(image[60, 40].astype(int) - (245, 141, 61)).max() < 60
    other = call(lambda _: [Box(40, 30, 120, 90, "plates")]).image
    assert np.abs(image[60, 40].astype(int) - other[60, 40].astype(int)).max() > 60


def test_a_name_that_is_not_unicode_is_drawn_and_returned() -> None:
    returned = call(lambda _: [Box(0, 0, 50, 50, label="caf\udce9.jpg")])
    assert returned.annotation_set is not None and returned.annotation_set[0]["label"] == "caf?.jpg"
    assert returned.image.any()


def test_an_undrawable_frame_is_an_error_of_the_processor() -> None:
    def lock(frame: Frame) -> list[Any]:
        frame.image.flags.writeable = False
        return [Box(0, 0, 50, 50)]

    with pytest.raises(ProcessorError):
        call(lock)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([Box(0, 0, float("nan"), 1)], "it: The processor returned a Box with the number nan"),
        ([1, 2], "it: The processor returned list; return an image (NumPy array), annotations"),
        ((None, [1]), "it: The processor returned tuple"),
        ({"boxes": []}, "it: The processor returned dict"),
    ],
)
def test_an_unsupported_result_is_rejected_with_a_readable_error(returned: Any, words: str) -> None:
    with pytest.raises(ProcessorError) as raised:
        call(lambda _: returned)
    assert str(raised.value).startswith(words)


def test_an_object_that_fails_while_it_is_read_is_an_error_of_the_processor() -> None:
    class Broken:
        def __bool__(self) -> bool:
            raise RuntimeError("broken label")

    with pytest.raises(ProcessorError, match="RuntimeError: broken label"):
        call(lambda _: [Box(0, 0, 1, 1, label=Broken())])  # type: ignore[arg-type]


def test_a_result_contains_everything_at_once() -> None:
    image = np.zeros((30, 40, 3), np.uint8)
    returned = call(lambda _: Result(image, [Box(0, 0, 160, 120)], {"in": np.float32(2)}, data={"any": 1}))
    assert returned.image is image
    assert returned.annotation_set and returned.annotation_set[0]["type"] == "box"
    assert returned.values == {"in": 2.0} and type(returned.values["in"]) is float
    assert returned.result is not None and returned.result.data == {"any": 1}
    assert returned.result.boxes == [Box(0, 0, 160, 120)]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Result(values={"In": 1}), "Invalid name of a value: 'In'"),
        (Result(values={"x" * 33: 1}), "Invalid name of a value"),
        (Result(values={"a": float("nan")}), "The value 'a' is nan"),
        (Result(values={"a": "many"}), "The value 'a' must be a number, not str"),  # type: ignore[dict-item]
        (Result(values={f"a{n}": n for n in range(17)}), "17 values; the maximum is 16"),
        (Result(values=[1]), "must be a dictionary of numbers, not list"),  # type: ignore[arg-type]
        (Result(annotations=[1]), "annotations of a Result must be a list"),  # type: ignore[list-item]
        (Result(image="no"), "image"),
    ],
)
def test_an_invalid_result_is_an_error_of_the_processor(result: Result, message: str) -> None:
    with pytest.raises(ProcessorError, match=message):
        call(lambda _: result)


@pytest.mark.parametrize(("when", "moves"), [("motion", True), ("watched", False)])
def test_a_recorded_view_has_the_motion_of_each_frame_if_it_waits_for_that(when: When, moves: bool) -> None:
    seen: list[tuple[Area, ...]] = []

    def note(frame: Frame) -> None:
        seen.append(frame.motion)

    entry = Registration("moves", lambda: FunctionProcessor(note), ("*",), "cameras", when=when)
    code = cast(Any, SimpleNamespace(current={"moves": entry}))
    view = RecordedView("door", "moves", code)
    for number in range(40):
        image = np.random.default_rng(1).integers(60, 90, (180, 320, 3), np.uint8)
        if number >= 20:
            left = 10 * (number - 20)
            image[60:120, left : left + 60] = 220
        frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(format="yuv420p")
        view.draw(frame, 1_000_000_000_000 + number * 100_000_000, number, number / 10)
    view.close()
    assert len(seen) == 40, "a video has all frames"
    assert not any(seen[:20])
    assert any(seen[20:]) == moves

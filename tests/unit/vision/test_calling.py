"""What a processor may return, and what becomes of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ninjacam import Box, Frame, Text
from ninjacam.core.errors import ProcessorError
from ninjacam.core.processors import Processor
from ninjacam.vision.calling import Returned, call_processor

RED = (0, 0, 255)


def make_frame() -> Frame:
    image = np.zeros((120, 160, 3), np.uint8)
    return Frame(
        camera="door", number=0, pts_s=0, captured_ns=0, received_ns=0, width=160, height=120,
        load_bgr=image.copy, load_gray=lambda: image[:, :, 0],
    )  # fmt: skip


def call(function: Callable[[Frame], Any], frame: Frame | None = None) -> Returned:
    return call_processor(Processor("it", function, ("*",), "cameras", ""), frame or make_frame())


def test_annotations_are_drawn_into_the_frame_only_when_its_picture_is_asked_for() -> None:
    frame = make_frame()
    returned = call(lambda _: [Box(40, 30, 120, 90, color="#ff0000")], frame)
    assert returned.image is None
    assert returned.seen == [{"type": "box", "points": [[0.25, 0.25], [0.75, 0.75]], "color": "#ff0000"}]
    assert not frame.drawn  # nobody converted it
    picture = returned.picture(frame)
    assert np.abs(picture[60, 40].astype(int) - RED).max() < 40
    assert tuple(picture[60, 80]) == (0, 0, 0)


def test_what_was_drawn_by_hand_stays_below_the_annotations() -> None:
    def draw(frame: Frame) -> list[Any]:
        frame.image[:20] = 200
        return []

    frame = make_frame()
    returned = call(draw, frame)
    assert returned.seen == []
    assert returned.picture(frame)[0, 0, 0] == 200


def test_a_picture_of_its_own_is_shown_as_it_is() -> None:
    own = np.full((30, 40), 77, np.uint8)
    frame = make_frame()
    returned = call(lambda _: (own, [Box(0, 0, 160, 120)]), frame)
    assert returned.seen is not None
    assert (returned.picture(frame) == own).all()
    assert call(lambda _: own).seen is None
    assert call(lambda _: None).seen is None
    assert call(lambda _: (None, [Text(1, 2, "x")])).image is None


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ([Box(0, 0, float("nan"), 1)], "it: The processor returned a Box with nan"),
        ([1, 2], "it: The processor returned list; return a picture (numpy array), annotations"),
        ((None, [1]), "it: The processor returned tuple"),
        ({"boxes": []}, "it: The processor returned dict"),
    ],
)
def test_what_is_neither_is_refused_with_a_sentence(returned: Any, words: str) -> None:
    with pytest.raises(ProcessorError) as raised:
        call(lambda _: returned)
    assert str(raised.value).startswith(words)


def test_an_object_that_fails_while_it_is_read_is_the_processors_own_error() -> None:
    class Broken:
        def __bool__(self) -> bool:
            raise RuntimeError("broken label")

    with pytest.raises(ProcessorError, match="RuntimeError: broken label"):
        call(lambda _: [Box(0, 0, 1, 1, label=Broken())])  # type: ignore[arg-type]

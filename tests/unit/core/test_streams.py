import pytest

from ninjacam.core.streams import (
    MAIN,
    StreamFacts,
    choose,
    choose_by_width,
    split_key,
    stream_key,
)

MAIN_1080 = StreamFacts(MAIN, 1920)
SUB = StreamFacts("sub", 640)
TINY = StreamFacts("tiny", 320)


@pytest.mark.parametrize(
    ("width_px", "name"), [(0, MAIN), (200, "tiny"), (320, "tiny"), (321, "sub"), (641, MAIN), (4000, MAIN)]
)
def test_the_smallest_stream_that_is_wide_enough_is_chosen(width_px: int, name: str) -> None:
    assert choose_by_width([MAIN_1080, TINY, SUB], width_px) == name


def test_an_unseen_stream_counts_as_640_pixels_and_an_unseen_main_as_wide_enough() -> None:
    unseen = [StreamFacts(MAIN), StreamFacts("sub")]
    assert choose_by_width(unseen, 640) == "sub"
    assert choose_by_width(unseen, 641) == MAIN


def test_main_is_preferred_among_streams_of_one_width() -> None:
    assert choose_by_width([StreamFacts("a", 640), StreamFacts(MAIN, 640)], 320) == MAIN


def test_an_override_is_used_while_the_camera_has_that_stream() -> None:
    assert choose([MAIN_1080, SUB], override="sub", width_px=1920) == "sub"
    assert choose([MAIN_1080, SUB], override=MAIN, width_px=320) == MAIN
    assert choose([MAIN_1080, SUB], override="gone", width_px=320) == "sub"


def test_a_key_names_camera_and_stream() -> None:
    assert [stream_key("door", MAIN), stream_key("door", "sub")] == ["door", "door.sub"]
    assert [split_key("door"), split_key("door.sub")] == [("door", MAIN), ("door", "sub")]

"""When something moved in a region of recordings."""

from pathlib import Path

import pytest

from ninjacam.backtest.motion_search import search_motion
from ninjacam.backtest.movements import WHOLE, MotionSearch, MotionSpan, Region
from ninjacam.backtest.parts import RecordedFile
from ninjacam.core.errors import InvalidError
from ninjacam.core.packets import Packet
from tests.harness.backtests import ONE_BY_ONE, packets_of, record_video
from tests.harness.recordings import NOON_NS, Made, write_files
from tests.unit.backtest.clips import write_video

NS = 10**9
UPPER, LOWER = Region(0.0, 0.0, 1.0, 0.3), Region(0.0, 0.35, 1.0, 0.7)


def files_of(made: list[Made]) -> list[RecordedFile]:
    return [RecordedFile(str(each.path), each.segment.start_ns, each.segment.end_ns) for each in made]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[RecordedFile]:
    """A minute in three files, with motion in the lower half from second 30 to second 38."""
    directory = tmp_path_factory.mktemp("search")
    packets: list[Packet] = packets_of(write_video(directory / "v.mp4", 60, (30, 38)))
    return files_of(write_files(directory, packets, 20))


def spans(found: MotionSearch) -> list[tuple[float, float]]:
    return [((each.start_ns - NOON_NS) / NS, (each.end_ns - NOON_NS) / NS) for each in found.movements]


def test_motion_is_found_where_it_is_and_when(files: list[RecordedFile]) -> None:
    found = search_motion(files, NOON_NS, NOON_NS + 60 * NS, LOWER)
    ((start_s, end_s),) = spans(found)
    assert 30 <= start_s <= 33 and 36 <= end_s <= 42
    assert found.searched_until_ns == NOON_NS + 60 * NS and found.key_frames == 30
    assert spans(search_motion(files, NOON_NS, NOON_NS + 60 * NS, UPPER)) == []
    assert spans(search_motion(files, NOON_NS, NOON_NS + 60 * NS, WHOLE)) == spans(found)


def test_only_the_span_is_searched_with_a_background_from_before(files: list[RecordedFile]) -> None:
    assert spans(search_motion(files, NOON_NS, NOON_NS + 29 * NS)) == []
    ((start_s, _),) = spans(search_motion(files, NOON_NS + 32 * NS, NOON_NS + 60 * NS))
    assert 32 <= start_s <= 34, "it moves from the first key frame on"


def test_a_search_that_takes_too_long_says_how_far_it_got(files: list[RecordedFile]) -> None:
    found = search_motion(files, NOON_NS, NOON_NS + 60 * NS, budget_s=0)
    assert found.searched_until_ns == files[0].end_ns and found.key_frames == 10
    rest = search_motion(files, found.searched_until_ns, NOON_NS + 60 * NS)
    assert len(rest.movements) == 1 and found.key_frames + rest.key_frames == pytest.approx(30, abs=1)


def test_missing_and_damaged_files_are_gaps(files: list[RecordedFile], tmp_path: Path) -> None:
    (tmp_path / "damaged.mp4").write_bytes(b"\0\0\0\x08ftyp" * 100)
    others = [
        RecordedFile(str(tmp_path / name), files[0].start_ns - 60 * NS, files[0].start_ns)
        for name in ("missing.mp4", "damaged.mp4")
    ]
    assert len(search_motion([*others, *files], NOON_NS - 60 * NS, NOON_NS + 60 * NS).movements) == 1


def test_the_result_survives_json() -> None:
    found = MotionSearch([MotionSpan(1, 2)], 3, 4)
    assert MotionSearch.from_dict(found.as_dict()) == found


def test_people_are_found_in_a_real_video(tmp_path: Path) -> None:
    if not ONE_BY_ONE.exists():
        pytest.skip("../shared has no media.")
    files = files_of(record_video(tmp_path, ONE_BY_ONE))
    found = search_motion(files, NOON_NS, files[-1].end_ns)
    for second in (7, 20, 45, 51, 66, 76, 94, 120, 135):  # Somebody walks, read from the frames.
        assert any(start - 2.1 <= second <= end + 2.1 for start, end in spans(found)), second
    assert not any(start < 4 or 34 < start < 41 or 104 < start < 115 for start, _ in spans(found))


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "0,0,2,1", "0.5,0,0.4,1", "0,0,0.001,1", "a,b,c,d", "nan,0,1,1", "0,0,1,inf"]
)
def test_regions_that_are_not_in_the_image_are_one_sentence(text: str) -> None:
    with pytest.raises(InvalidError, match="Specify the region as x1,y1,x2,y2"):
        Region.parse(text)


def test_a_region_is_parsed() -> None:
    assert Region.parse("0.1, 0.5,0.4,1") == Region(0.1, 0.5, 0.4, 1.0)

"""Objects keep their track through crossings, occlusion, weak detections and gaps."""

import math
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam import Box, Point
from ninjacam.core.annotation_values import MAX_TRACK
from ninjacam.core.annotations import to_annotation_set
from ninjacam.core.errors import InvalidError
from ninjacam.tracking import Tracker
from ninjacam.tracking.geometry import corners_of
from ninjacam.tracking.tracker import MAX_TRACKED
from tests.unit.tracking.scenes import Walker, at, film, seconds, track_film, tracks_in, with_score


def tracks_by_direction(followed: list[tuple[float, list[Box]]], walkers: list[Walker]) -> list[set[int]]:
    """Return the tracks that each walker had, by the position of the boxes."""
    had: list[set[int]] = [set() for _ in walkers]
    for second, boxes in followed:
        for walker, tracks in zip(walkers, had, strict=True):
            wanted = walker.at(second)
            tracks.update(
                int(box.track)
                for box in boxes
                if box.track is not None
                and (box.left, box.top, box.label) == (wanted.left, wanted.top, wanted.label)
            )
    return had


def test_an_object_has_a_track_from_its_second_detection() -> None:
    followed = track_film(film([Walker(100, 200, vx=60)], seconds(3)))
    assert [len(boxes) for _, boxes in followed] == [0] + [1] * 30
    assert tracks_in(followed) == {1}


def test_returned_boxes_are_those_of_the_detector() -> None:
    tracker = Tracker(min_detections=1)
    boxes = [Box(0, 0, 10, 20, "cat", 0.75, "#ff0000"), Box(50, 50, 90, 99, "dog")]
    assert tracker.update(boxes, at(0)) == [replace(boxes[0], track=1), replace(boxes[1], track=2)]
    assert tracker.update(boxes[::-1], at(0.1)) == [replace(boxes[1], track=2), replace(boxes[0], track=1)]


@pytest.mark.parametrize("fps", [2, 5, 10, 25])
def test_crossing_paths_keep_their_tracks(fps: float) -> None:
    walkers = [Walker(0, 200, vx=90), Walker(600, 215, vx=-90)]
    followed = track_film(film(walkers, seconds(6, fps)))
    assert [len(tracks) for tracks in tracks_by_direction(followed, walkers)] == [1, 1]
    assert len(tracks_in(followed)) == 2


def test_an_object_hidden_while_another_passes_keeps_its_track() -> None:
    front, back = Walker(0, 200, vx=90), Walker(600, 205, vx=-90)
    hidden = back.at

    def detect(second: float, box: Box) -> Box | None:
        is_back = box.left == hidden(second).left and box.top == hidden(second).top
        return None if is_back and 2.9 < second < 3.8 else box

    followed = track_film(film([front, back], seconds(6)), change=detect)
    assert [len(tracks) for tracks in tracks_by_direction(followed, [front, back])] == [1, 1]


@pytest.mark.parametrize(("hidden_s", "tracks"), [(1.8, 1), (2.5, 2)])
def test_occlusion_is_tolerated_for_the_configured_time(hidden_s: float, tracks: int) -> None:
    followed = track_film(
        film([Walker(100, 200, vx=40)], seconds(8)),
        change=lambda second, box: None if 2 < second < 2 + hidden_s else box,
    )
    assert len(tracks_in(followed)) == tracks


def test_an_object_that_stops_while_it_is_hidden_keeps_its_track() -> None:
    def boxes(second: float) -> list[Box]:
        walker = Walker(100 + 80 * min(second, 2.1), 200)
        return [] if 2 < second < 2.9 else [walker.at(second)]

    assert tracks_in(track_film([(second, boxes(second)) for second in seconds(5)])) == {1}


def test_low_scores_continue_a_track_but_start_none() -> None:
    walker = [Walker(100, 200, vx=60)]
    weak = track_film(film(walker, seconds(4)), change=lambda second, box: with_score(box, 0.3))
    assert tracks_in(weak) == set()
    stretch = track_film(
        film(walker, seconds(8)), change=lambda second, box: with_score(box, 0.2 if 1 < second < 6 else 0.9)
    )
    assert tracks_in(stretch) == {1}
    assert all(len(boxes) == 1 for _, boxes in stretch[1:])
    below = track_film(
        film(walker, seconds(8)), change=lambda second, box: with_score(box, 0.05 if 1 < second < 6 else 0.9)
    )
    assert len(tracks_in(below)) == 2


def test_a_new_object_may_be_weak_in_its_second_frame() -> None:
    followed = track_film(
        film([Walker(100, 200, vx=60)], seconds(2)),
        change=lambda second, box: with_score(box, 0.6 if round(second * 10) % 2 == 0 else 0.3),
    )
    assert tracks_in(followed) == {1}


def test_a_single_detection_is_not_a_track() -> None:
    followed = track_film((second, [Box(0, 0, 9, 9)] if second == 1 else []) for second in seconds(2))
    assert tracks_in(followed) == set()


@pytest.mark.parametrize("seed", range(5))
def test_irregular_frame_times_and_missed_detections_change_no_track(seed: int) -> None:
    chance = random.Random(seed)
    times_s, second = [], 0.0
    while second < 20:
        times_s.append(second)
        second += chance.choice([0.02, 0.04, 0.1, 0.25, 0.5])
    walkers = [Walker(0, 150, vx=50), Walker(900, 400, vx=-45), Walker(300, 700)]

    def detect(second: float, box: Box) -> Box | None:
        if chance.random() < 0.15:
            return None
        dx, dy = chance.gauss(0, 2), chance.gauss(0, 2)
        left, top, right, bottom = corners_of(box)
        return Box(left + dx, top + dy, right + dx, bottom + dy, box.label, 0.9)

    assert tracks_in(track_film(film(walkers, times_s), change=detect)) == {1, 2, 3}


def test_a_gap_of_seconds_keeps_still_objects_and_ends_others() -> None:
    times_s = [*seconds(3), *seconds(12, since_s=8)]
    followed = track_film(film([Walker(100, 200), Walker(100, 500, vx=120)], times_s))
    assert [{int(box.track or 0) for box in boxes} for _, boxes in followed[-1:]] == [{1, 3}]


def test_after_a_long_gap_no_object_is_recognized() -> None:
    followed = track_film(film([Walker(100, 200)], [*seconds(3), *seconds(24, since_s=19)]))
    assert tracks_in(followed) == {1, 2}


def test_a_still_object_keeps_its_track_with_a_frame_every_ten_seconds() -> None:
    """A still scene has no more, and their interval is not exactly 10 s."""
    times_s = [*seconds(3), *(3 + 10.04 * number for number in range(1, 10))]
    followed = track_film(film([Walker(100, 200)], times_s))
    assert tracks_in(followed) == {1} and all(boxes for _, boxes in followed[1:])


def test_labels_never_share_a_track() -> None:
    followed = track_film(
        film([Walker(100, 200)], seconds(4)),
        change=lambda second, box: replace(box, label="person" if second < 2 else "dog"),
    )
    labels = {box.label: box.track for _, boxes in followed for box in boxes}
    assert labels == {"person": 1, "dog": 2}


def test_capture_times_that_jump_back_change_nothing() -> None:
    tracker = Tracker()
    walker = Walker(100, 200, vx=30)
    found = []
    for number, second in enumerate(seconds(6)):
        shifted = second if number < 30 else second - 3600
        found.append((second, tracker.update([walker.at(second)], at(shifted))))
    assert tracks_in(found) == {1}


def test_datetimes_and_nanoseconds_are_the_same_time() -> None:
    by_ns, by_datetime = Tracker(), Tracker()
    start = datetime(2026, 11, 30, tzinfo=UTC)
    for second, boxes in film([Walker(100, 200, vx=70)], seconds(3)):
        captured_at = start + timedelta(seconds=second)
        captured_ns = round(start.timestamp()) * 10**9 + round(second * 10) * 10**8
        assert by_ns.update(boxes, captured_ns) == by_datetime.update(boxes, captured_at)


def test_a_trail_has_the_earlier_positions_and_is_bounded() -> None:
    followed = track_film(film([Walker(100, 200, vx=10)], seconds(3)), Tracker(max_trail=4))
    trails = [boxes[0].trail for _, boxes in followed[1:]]
    assert trails[0] == ((100, 200),)
    assert trails[-1] == tuple(pytest.approx((100 + n, 200)) for n in (26, 27, 28, 29))
    assert to_annotation_set(followed[-1][1], 640, 480)[0]["track"] == 1
    assert all(box.trail == () for _, boxes in track_film(film([Walker(1, 2)], seconds(1))) for box in boxes)


def test_numbers_end_at_the_largest_that_players_can_read() -> None:
    tracker = Tracker(first_track=MAX_TRACK, min_detections=1)
    boxes = [Box(0, 0, 10, 10), Box(100, 0, 110, 10)]
    assert [box.track for box in tracker.update(boxes, at(0))] == [MAX_TRACK]
    assert [box.track for box in tracker.update(boxes, at(1))] == [MAX_TRACK]


def test_three_hundred_boxes_per_frame_are_tracked() -> None:
    walkers = [Walker(60 * (n % 30), 120 * (n // 30), vx=20) for n in range(300)]
    followed = track_film(film(walkers, seconds(1)))
    assert tracks_in(followed) == set(range(1, 301))
    assert all(len(tracks) == 1 for tracks in tracks_by_direction(followed, walkers))


def test_memory_is_bounded_however_many_objects_appear() -> None:
    tracker = Tracker(min_detections=1)
    for number in range(12):
        boxes = [Box(x, 1000 * number, x + 1, 1000 * number + 1, score=0.9) for x in range(0, 6000, 10)]
        assert len(tracker.update(boxes, at(number / 100))) == 512
    assert len(tracker._tracks) == len(tracker._seen) == len(tracker._motion.position) == MAX_TRACKED


def test_of_too_many_boxes_those_with_the_highest_scores_are_used() -> None:
    tracker = Tracker(min_detections=1)
    boxes = [Box(x * 10, 0, x * 10 + 5, 5, score=0.5 + x / 2000) for x in range(600)]
    assert tracker.update(boxes, at(0))[0].left == 880


@pytest.mark.parametrize(
    "box",
    [Box(5, 5, 5, 9), Box(5, 5, 9, 5), Box(9, 5, 5, 9), Box(5, 9, 9, 5), Box(0, 0, 0, 0)],
)
def test_boxes_without_an_area_are_ignored(box: Box) -> None:
    tracker = Tracker(min_detections=1)
    assert [each.track for each in tracker.update([box, Box(0, 0, 10, 10), box], at(0))] == [1]


@pytest.mark.parametrize(
    "box",
    [
        Box(math.nan, 0, 1, 1),
        Box(0, 0, math.inf, 1),
        Box(0, -math.inf, 1, 1),
        Box(0, 0, 1e300, 1),
        Box(0, 0, "x", 1),  # type: ignore[arg-type]
        Box(0, 0, 1, 1, score=math.nan),
        Box(0, 0, 1, 1, score=1.5),
        Box(0, 0, 1, 1, score=-0.1),
        Point(1, 2),
        None,
        (0, 0, 1, 1),
    ],
)
def test_an_unusable_box_is_a_typed_error_that_changes_nothing(box: Any) -> None:
    tracker, other = Tracker(), Tracker()
    for second, boxes in film([Walker(100, 200, vx=20)], seconds(1)):
        expected = other.update(boxes, at(second))
        with pytest.raises(InvalidError) as caught:
            tracker.update([*boxes, box], at(second + 100))
        assert "boxes" in caught.value.fields
        assert tracker.update(boxes, at(second)) == expected


@pytest.mark.parametrize("captured", [datetime(2026, 1, 1), 1.5, None, True, -1, 2**63, "now"])
def test_an_unusable_time_is_a_typed_error(captured: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        Tracker().update([], captured)
    assert "captured_at" in caught.value.fields


@pytest.mark.parametrize(
    "options",
    [
        {"start_score": 0.1, "continue_score": 0.5},
        {"start_score": 2},
        {"continue_score": math.nan},
        {"max_unseen_s": -1},
        {"max_unseen_s": math.inf},
        {"min_detections": 0},
        {"min_detections": 2.5},
        {"max_trail": True},
        {"start_score": "0.5"},
        {"max_unseen_s": "2"},
        {"max_trail": 65},
        {"first_track": MAX_TRACK + 1},
    ],
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Tracker(**options)


BOXES = st.builds(
    lambda x, y, width, height, label, score: Box(x, y, x + width, y + height, label, score),
    *[st.integers(0, 300)] * 2,
    *[st.integers(0, 80)] * 2,
    st.sampled_from(["person", "car"]),
    st.sampled_from([0.05, 0.3, 0.9]),
)
FRAMES = st.lists(
    st.tuples(st.lists(BOXES, max_size=8), st.sampled_from([0, 0.04, 0.2, 1, 5, 30])), max_size=15
)


@given(FRAMES)
def test_a_track_is_never_used_again_and_has_one_label(frames: list[tuple[list[Box], float]]) -> None:
    tracker, again = Tracker(), Tracker()
    second, last_seen, labels, highest = 0.0, dict[int, float](), dict[int, str](), 0
    for boxes, step_s in frames:
        second += step_s
        found = tracker.update(boxes, at(second))
        assert found == again.update(boxes, at(second)), "equal inputs give equal results"
        tracks = [int(box.track or 0) for box in found]
        assert len(set(tracks)) == len(tracks)
        for box, track in zip(found, tracks, strict=True):
            assert replace(box, track=None, trail=()) in boxes
            assert labels.setdefault(track, box.label) == box.label
            if track in last_seen:
                assert second - last_seen[track] <= 10 * len(frames)
            else:
                assert track > highest, "a number lower than the highest was used before"
                highest = track
            last_seen[track] = second

"""How long a camera may be silent."""

from ninjacam.capture.liveness import (
    FIRST_MEDIA_S,
    LOST_AFTER_S,
    MAX_PATIENCE_S,
    UNKNOWN_PACE_S,
    Pace,
)


def test_a_camera_that_wakes_up_slowly_is_given_more_time_on_each_connection() -> None:
    pace, given = Pace(), []
    for _ in range(5):
        pace.connected()
        given.append(pace.lost_after_s(has_media=False))
    assert given == [FIRST_MEDIA_S, 2 * FIRST_MEDIA_S, MAX_PATIENCE_S, MAX_PATIENCE_S, MAX_PATIENCE_S]


def test_a_camera_that_rarely_sends_frames_is_given_more_time_on_each_connection() -> None:
    pace = Pace()
    for expected_s in (UNKNOWN_PACE_S, MAX_PATIENCE_S, MAX_PATIENCE_S):
        pace.connected()
        pace.add(10**9, is_key=True)
        assert pace.lost_after_s(has_media=True) == expected_s


def test_a_camera_with_a_known_pace_is_given_no_more_time() -> None:
    pace = Pace()
    pace.connected()
    pace.connected()
    for number in range(3):
        pace.add(10**9 + number * 40_000_000, is_key=number == 0)
    assert pace.lost_after_s(has_media=True) == LOST_AFTER_S
    pace.connected()
    assert pace.lost_after_s(has_media=False) == FIRST_MEDIA_S

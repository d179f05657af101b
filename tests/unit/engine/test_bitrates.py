"""Comparison of the bitrate of recordings with that of earlier days."""

import pytest

from ninjacam.engine.bitrates import BitrateChange, RecordedHour, compare_bitrates

HOUR_NS = 3600 * 10**9
FULL_HD = ("h264", 1920, 1080)


def hour(
    days_ago: int,
    bitrate_bps: int,
    *,
    slug: str = "door",
    file_format: tuple[str, int, int] = FULL_HD,
    length_ns: int = HOUR_NS,
) -> RecordedHour:
    return RecordedHour(slug, days_ago, file_format, bitrate_bps * length_ns // (8 * 10**9), length_ns)


WEEK = [hour(day, 3_000_000) for day in range(1, 8)]


def test_the_last_hour_is_compared_with_the_usual_one() -> None:
    change = compare_bitrates([*WEEK, hour(0, 1_500_000)])["door"]
    assert change == BitrateChange(1_500_000, 3_000_000)
    assert change.share == 0.5


def test_one_unusual_day_does_not_count() -> None:
    found = compare_bitrates([*WEEK[:-1], hour(7, 90_000_000), hour(0, 3_000_000)])
    assert found["door"].usual_bps == 3_000_000


def test_cameras_are_compared_with_themselves() -> None:
    others = [hour(day, 100_000, slug="yard") for day in range(8)]
    found = compare_bitrates([*WEEK, hour(0, 3_000_000), *others])
    assert {slug: change.share for slug, change in found.items()} == {"door": 1.0, "yard": 1.0}


@pytest.mark.parametrize(
    "hours",
    [
        [],
        WEEK,
        [hour(0, 3_000_000)],
        [hour(0, 3_000_000), *WEEK[:2]],
        [hour(0, 3_000_000, length_ns=60 * 10**9), *WEEK],
        [hour(0, 3_000_000), *[hour(day, 1, length_ns=60 * 10**9) for day in range(1, 8)]],
        [hour(0, 900_000, file_format=("h264", 640, 360)), *WEEK],
        [hour(0, 1_500_000, file_format=("hevc", 1920, 1080)), *WEEK],
        [hour(0, 3_000_000), *[hour(day, 0) for day in range(1, 8)]],
    ],
)
def test_too_little_or_another_format_is_no_comparison(hours: list[RecordedHour]) -> None:
    assert compare_bitrates(hours) == {}

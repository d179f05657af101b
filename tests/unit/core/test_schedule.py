from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ninjacam.core.errors import ConfigError
from ninjacam.core.schedule import find_first_on, find_next_change, parse_schedule

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 11, 23, tzinfo=BERLIN)


def at(day: int, clock: str) -> datetime:
    """`day`: 0 is that Monday."""
    hour, minute = map(int, clock.split(":"))
    return (MONDAY + timedelta(days=day)).replace(hour=hour, minute=minute)


@pytest.mark.parametrize(
    ("text", "on", "off"),
    [
        ("mon-fri 07:00-19:00", [(0, "07:00"), (4, "18:59")], [(0, "06:59"), (0, "19:00"), (5, "12:00")]),
        ("mon-fri 07:00-19:00; sat,sun 10:00-14:00", [(5, "10:00"), (6, "13:59"), (2, "12:00")], [(5, "09:59")]),
        ("07:00-08:00", [(day, "07:30") for day in range(7)], [(0, "08:00")]),
        ("fri 22:00-06:00", [(4, "22:00"), (4, "23:59"), (5, "00:00"), (5, "05:59")],
         [(4, "05:00"), (5, "06:00"), (5, "22:00")]),
        ("sun 23:00-01:00", [(6, "23:30"), (7, "00:30")], [(6, "00:30"), (7, "01:00")]),
        ("sat-mon 08:00-09:00", [(5, "08:00"), (6, "08:00"), (0, "08:00")], [(1, "08:00"), (4, "08:00")]),
        ("mon 08:00-09:00, 10:00-11:00", [(0, "08:30"), (0, "10:30")], [(0, "09:30")]),
        ("MON , wed 8:00 - 9:00 ;", [(0, "08:30"), (2, "08:30")], [(1, "08:30")]),
        ("tue 00:00-24:00", [(1, "00:00"), (1, "23:59")], [(2, "00:00"), (0, "23:59")]),
        ("mon 09:00-17:00\nmon 16:00-18:00", [(0, "17:30")], [(0, "18:00")]),
    ],
)  # fmt: skip
def test_windows_follow_days_and_times(
    text: str, on: list[tuple[int, str]], off: list[tuple[int, str]]
) -> None:
    schedule = parse_schedule(text)
    assert [when for when in on if not schedule.is_on(at(*when))] == []
    assert [when for when in off if schedule.is_on(at(*when))] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"), (" ; ", "empty"), ("mon", "no times"), ("mon-fry 07:00-08:00", "Unknown day “mon-fry”"),
        ("mon-tue-wed 07:00-08:00", "Unknown day"), ("07:00", "Invalid times"), ("07:00-25:00", "range from 00:00"),
        ("24:00-06:00", "range from 00:00"), ("07:60-08:00", "range from 00:00"), ("08:00-08:00", "For the whole day"),
        ("mon 07:00-08:00 tue 09:00-10:00", "Invalid times"), ("mon 7-8", "Invalid times"),
        ("mon 07:00-08:00,", "Invalid times"),
        ("mon \u0660\u0667:00-08:00", "Invalid times"),
        ("x" * 10_000, "no times"), ("07:00-08:00;" * 101, "maximum is 100"),
    ],
)  # fmt: skip
def test_an_unreadable_schedule_raises_a_readable_error(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_schedule(text)
    assert len(caught.value.message) < 200


def test_changes_of_daylight_saving_time_follow_the_local_clock() -> None:
    def on_minutes(text: str, day: datetime) -> int:
        """Return the number of scheduled minutes in the 36 hours from that day on."""
        schedule, begun = parse_schedule(text), day.astimezone(UTC)
        return sum(schedule.is_on((begun + timedelta(minutes=n)).astimezone(BERLIN)) for n in range(36 * 60))

    forward, back = datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)
    assert on_minutes("sun 01:00-04:00", forward) == 120  # 02:00 to 03:00 is skipped
    assert on_minutes("sun 01:00-04:00", back) == 240  # 02:00 to 03:00 occurs twice
    assert on_minutes("sun 02:15-02:45", forward) == 0
    assert on_minutes("sun 02:15-02:45", back) == 60


@pytest.mark.parametrize(
    ("texts", "now", "change"),
    [
        (["mon-fri 07:00-19:00"], (0, "06:00"), (0, "07:00")),
        (["mon-fri 07:00-19:00"], (0, "07:00"), (0, "19:00")),
        (["mon-fri 07:00-19:00"], (4, "19:00"), (7, "07:00")),
        (["sun 23:00-01:00"], (6, "23:30"), (7, "01:00")),
        (["mon 07:00-09:00", "mon 08:00-10:00"], (0, "07:30"), (0, "09:00")),
        (["mon 08:00-10:00", "mon 07:00-12:00"], (0, "10:30"), (0, "12:00")),
        (["07:00-08:00", "00:00-24:00"], (2, "12:00"), (3, "07:00")),
    ],
)
def test_the_next_change_is_when_another_schedule_is_the_first_that_is_on(
    texts: list[str], now: tuple[int, str], change: tuple[int, str]
) -> None:
    schedules = [parse_schedule(text) for text in texts]
    assert find_next_change(schedules, at(*now) + timedelta(seconds=1)) == at(*change)
    before, after = at(*change) - timedelta(minutes=1), at(*change)
    assert find_first_on(schedules, before) != find_first_on(schedules, after)


@pytest.mark.parametrize("texts", [[], ["00:00-24:00"], ["00:00-12:00; 12:00-24:00"]])
def test_schedules_that_never_change_have_no_next_change(texts: list[str]) -> None:
    assert find_next_change([parse_schedule(text) for text in texts], at(3, "12:00")) is None

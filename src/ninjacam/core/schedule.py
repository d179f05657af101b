"""Weekly schedules: `mon-fri 07:00-19:00; sat,sun 10:00-12:00,13:00-14:00`.

Windows are separated by `;`. Each has days (by default, all) and local times, the end excluded. `22:00-06:00`
continues into the next day; `00:00-24:00` is the whole day. When clocks change, local time decides: a skipped time
is left out, a repeated time counts twice.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from ninjacam.core.errors import ConfigError
from ninjacam.core.texts import sentence

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_WINDOWS = 100
_TIMES = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_SEPARATOR = re.compile(r"\s*,\s*")
_DASH = re.compile(r"\s*-\s*")
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES


@dataclass(frozen=True, slots=True)
class Window:
    """A time window. `days`: 0 is Monday. `start`, `end`: minutes of the day; an `end` that is not after
    `start` is on the next day."""

    days: frozenset[int]
    start_minute: int
    end_minute: int

    def has(self, day: int, minute: int) -> bool:
        if self.start_minute < self.end_minute:
            return day in self.days and self.start_minute <= minute < self.end_minute
        return (day in self.days and minute >= self.start_minute) or (
            (day - 1) % 7 in self.days and minute < self.end_minute
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    windows: tuple[Window, ...]

    def is_on(self, local: datetime) -> bool:
        """Return whether this local time is in a window."""
        minute = local.hour * 60 + local.minute
        return any(window.has(local.weekday(), minute) for window in self.windows)

    def edges(self) -> set[int]:
        """Return the minutes of the week, from Monday 00:00, at which a window starts or ends."""
        return {
            (day * DAY_MINUTES + minute) % WEEK_MINUTES
            for window in self.windows
            for day in window.days
            for minute in (window.start_minute, _end_of(window))
        }


def _end_of(window: Window) -> int:
    """Return the end in minutes from the start of the first day."""
    return window.end_minute + (DAY_MINUTES if window.end_minute <= window.start_minute else 0)


def find_first_on(schedules: Sequence[Schedule], local: datetime) -> int | None:
    """Return the index of the first schedule that is on at this local time."""
    return next((at for at, schedule in enumerate(schedules) if schedule.is_on(local)), None)


def find_next_change(schedules: Sequence[Schedule], local: datetime) -> datetime | None:
    """Return the local time within a week at which another schedule becomes the first that is on, or none is.

    None: this never changes. Time: naive arithmetic, in the zone of `local`.
    """
    start = local.replace(second=0, microsecond=0)
    minute = start.weekday() * DAY_MINUTES + start.hour * 60 + start.minute
    present = find_first_on(schedules, start)
    edges = {edge for schedule in schedules for edge in schedule.edges()}
    for wait in sorted((edge - minute) % WEEK_MINUTES for edge in edges):
        at = start + timedelta(minutes=wait)
        if find_first_on(schedules, at) != present:
            return at
    return None


@lru_cache(maxsize=1024)
def parse_schedule(written: str) -> Schedule:
    """Parse a schedule. Raises: ConfigError: names the part that is invalid, and the correct syntax."""
    parts = [part.strip() for part in written.lower().replace("\n", ";").split(";")]
    windows = [window for part in parts if part for window in _parse_part(part)]
    if not windows:
        raise ConfigError(
            sentence("The schedule is empty. Write for example: mon-fri 07:00-19:00; sat,sun 10:00-14:00")
        )
    if len(windows) > MAX_WINDOWS:
        raise ConfigError(
            sentence(
                "The schedule has %(count)s windows; the maximum is %(limit)s.",
                count=len(windows),
                limit=MAX_WINDOWS,
            )
        )
    return Schedule(tuple(windows))


def _parse_part(part: str) -> list[Window]:
    first_digit = next((at for at, character in enumerate(part) if character.isdigit()), len(part))
    named, times = part[:first_digit].strip(), part[first_digit:]
    if not times:
        raise ConfigError(sentence("“%(part)s” has no times. Write them as 07:00-19:00.", part=part[:40]))
    days = _parse_days(named) if named else frozenset(range(7))
    return [Window(days, *_parse_times(each)) for each in _SEPARATOR.split(times)]


def _parse_days(names: str) -> frozenset[int]:
    days: set[int] = set()
    for item in _SEPARATOR.split(names):
        first, *others = _DASH.split(item)
        last = others[0] if others else first
        if len(others) > 1 or first not in DAYS or last not in DAYS:
            raise ConfigError(
                sentence(
                    "Unknown day “%(day)s”. Use one of %(days)s or a range such as mon-fri.",
                    day=item[:40],
                    days=", ".join(DAYS),
                )
            )
        at, until = DAYS.index(first), DAYS.index(last)
        days.update((at + step) % 7 for step in range((until - at) % 7 + 1))
    return frozenset(days)


def _parse_times(times: str) -> tuple[int, int]:
    found = _TIMES.fullmatch(times.strip())
    if found is None:
        raise ConfigError(sentence("Invalid times “%(times)s”. Write them as 07:00-19:00.", times=times[:40]))
    hour, minute, end_hour, end_minute = map(int, found.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or start >= DAY_MINUTES or end > DAY_MINUTES:
        raise ConfigError(
            sentence("Invalid time in “%(times)s”. Times range from 00:00 to 24:00.", times=times[:40])
        )
    if start == end:
        raise ConfigError(
            sentence(
                "“%(times)s” starts and ends at the same time. For the whole day, write 00:00-24:00.",
                times=times[:40],
            )
        )
    return start, end

"""The passage of time between frames, by their capture times instead of their number."""

from datetime import datetime
from typing import Any, TypeAlias

from ninjacam.core import times
from ninjacam.core.errors import InvalidError
from ninjacam.tracking.json_values import to_integer

CaptureTime: TypeAlias = datetime | int
"""`frame.captured_at` (aware) or `frame.captured_ns` (Unix time in nanoseconds)."""

NS_PER_S = 1_000_000_000
MAX_STEP_NS = NS_PER_S
"""The most time without a frame that counts as time in which an object was not seen."""
MAX_CAPTURED_NS = 2**63 - 1
"""Latest capture time: the year 2262."""


class CaptureClock:
    """Measures the time between updates. Neither measure runs backwards when capture times do.

    `captured_ns`: Unix time of the latest update; 0 before the first. `elapsed_ns`: time since the first update.
    `watched_ns`: the same, but an interval without frames counts at most MAX_STEP_NS. What happens in such a gap is
    unknown, so an object is not lost because of it. `step_s`: seconds between the last two updates.
    """

    __slots__ = ("_has_begun", "captured_ns", "elapsed_ns", "step_s", "watched_ns")

    def __init__(self) -> None:
        self.captured_ns = 0
        self._has_begun = False
        self.elapsed_ns = 0
        self.watched_ns = 0
        self.step_s = 0.0

    def advance(self, captured: CaptureTime) -> int:
        """Go to the time of a frame, and return it in nanoseconds. Raises: InvalidError: it is not a time."""
        captured_ns = to_ns(captured)
        step_ns = max(0, captured_ns - self.captured_ns) if self._has_begun else 0
        self.captured_ns, self._has_begun = captured_ns, True
        self.elapsed_ns += step_ns
        self.watched_ns += min(step_ns, MAX_STEP_NS)
        self.step_s = step_ns / NS_PER_S
        return captured_ns

    def state(self) -> dict[str, int]:
        """Return the three times as plain JSON. The first update after `from_state` continues from them."""
        return {
            "captured_ns": self.captured_ns,
            "elapsed_ns": self.elapsed_ns,
            "watched_ns": self.watched_ns,
        }

    @classmethod
    def from_state(cls, state: Any) -> "CaptureClock":
        """Raises: InvalidError, LookupError or TypeError: it is not the result of `state`."""
        made = cls()
        made.captured_ns, made.elapsed_ns, made.watched_ns = (
            to_integer(state[name]) for name in ("captured_ns", "elapsed_ns", "watched_ns")
        )
        made._has_begun = made.captured_ns > 0
        return made


def to_ns(captured: CaptureTime) -> int:
    """Return the Unix time in nanoseconds. Raises: InvalidError: a naive datetime, a number of seconds, or no time."""
    if isinstance(captured, datetime) and captured.tzinfo is not None:
        return times.to_ns(captured)
    if isinstance(captured, int) and not isinstance(captured, bool) and 0 <= captured <= MAX_CAPTURED_NS:
        return captured
    raise InvalidError.of(
        "captured_at", f"{captured!r:.60} is not a capture time. Use frame.captured_at or frame.captured_ns."
    )


def to_interval_ns(seconds: float, name: str) -> int:
    """Return a parameter in nanoseconds. Raises: InvalidError: it is not a number from 0 to 10^6."""
    if not _is_number(seconds) or not 0 <= seconds <= 1e6:
        raise InvalidError.of(
            name, f"`{name}` is {seconds!r:.20}. Use a number of seconds from 0 to 1000000."
        )
    return round(seconds * NS_PER_S)


def check_count(value: Any, name: str, limits: tuple[int, int], unit: str = "") -> None:
    """Raises: InvalidError: the parameter is not a whole number from the first to the second limit."""
    if isinstance(value, bool) or not isinstance(value, int) or not limits[0] <= value <= limits[1]:
        raise InvalidError.of(name, f"Use a `{name}` from {limits[0]} to {limits[1]}{unit}.")


def check_scores(start_score: Any, continue_score: Any) -> None:
    """Raises: InvalidError: they are not scores, or the second one is larger."""
    are_numbers = _is_number(start_score) and _is_number(continue_score)
    if not are_numbers or not 0 <= continue_score <= start_score <= 1:
        raise InvalidError.of("start_score", "Use scores with 0 <= continue_score <= start_score <= 1.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

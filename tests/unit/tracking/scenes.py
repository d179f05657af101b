"""Synthetic scenes: boxes of objects that move on straight lines, frame by frame."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from ninjacam import Box
from ninjacam.tracking import Tracker

START_NS = 1_700_000_000_000_000_000
S = 1_000_000_000


@dataclass(frozen=True)
class Walker:
    """A person of 40 x 100 pixels. `x`, `y`: center at second 0. `vx`, `vy`: pixels per second. Visible from `since_s`
    until `until_s`.
    """

    x: float
    y: float
    vx: float = 0.0
    vy: float = 0.0
    since_s: float = 0.0
    until_s: float = 1e9
    label: str = "person"
    score: float = 0.9

    def at(self, second: float) -> Box:
        x, y = self.x + self.vx * second, self.y + self.vy * second
        return Box(x - 20, y - 50, x + 20, y + 50, self.label, self.score)


def at(second: float) -> int:
    """Return a capture time."""
    return START_NS + round(second * S)


def seconds(until_s: float, fps: float = 10, since_s: float = 0) -> list[float]:
    return [since_s + number / fps for number in range(round((until_s - since_s) * fps) + 1)]


def film(walkers: Iterable[Walker], times_s: Iterable[float]) -> Iterator[tuple[float, list[Box]]]:
    """Yield (second, boxes of the visible walkers)."""
    walkers = list(walkers)
    for second in times_s:
        yield second, [each.at(second) for each in walkers if each.since_s <= second <= each.until_s]


def track_film(
    frames: Iterable[tuple[float, list[Box]]],
    tracker: Tracker | None = None,
    change: Callable[[float, Box], Box | None] = lambda second, box: box,
) -> list[tuple[float, list[Box]]]:
    """Track all frames. `change`: what the detector makes of a box; None: it does not find it."""
    tracker = tracker or Tracker()
    followed = []
    for second, boxes in frames:
        found = [made for box in boxes if (made := change(second, box)) is not None]
        followed.append((second, tracker.update(found, at(second))))
    return followed


def tracks_in(followed: Iterable[tuple[float, list[Box]]]) -> set[int]:
    return {int(box.track) for _, boxes in followed for box in boxes if box.track is not None}


def with_score(box: Box, score: float) -> Box:
    return replace(box, score=score)


def feet(x: float, y: float, track: int = 1, label: str = "person", score: float = 0.9) -> Box:
    """Return a tracked box of 40 x 100 pixels whose lower edge has its middle at (x, y)."""
    return Box(x - 20, y - 100, x + 20, y, label, score, track=track)

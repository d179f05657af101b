"""The ready-made processor `tampering`, on a drawn scene and on real video."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import events
from ninjacam.processors.tampering import Tampering
from ninjacam.testing import frame
from tests.unit.inference.networks import MEDIA
from tests.unit.processors.conftest import Recorded

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
SIZE = (640, 360)
Change = Callable[[Any], Any]


def draw_scene(seed: int, size: tuple[int, int] = (840, 560)) -> Any:
    """Return a colored scene of things with edges, larger than a frame: a camera that turns sees another part of it."""
    random = np.random.default_rng(seed)
    image = np.full((size[1], size[0], 3), (120, 130, 125), np.uint8)
    for _ in range(120):
        x, y = int(random.integers(0, size[0])), int(random.integers(0, size[1]))
        wide, high = random.integers(8, 90, 2).tolist()
        color = tuple(int(each) for each in random.integers(30, 220, 3))
        cv2.rectangle(image, (x, y), (x + wide, y + high), color, -1)
    return image


SCENE, OTHER_SCENE = draw_scene(1), draw_scene(2)
_Y, _X = np.mgrid[: SIZE[1], : SIZE[0]]
SPOT = np.exp(-(((_X - 320) / 300) ** 2) - ((_Y - 180) / 200) ** 2).astype(np.float32)
"""The light of an infrared lamp."""
BRIGHTER = (255 * (np.arange(256) / 255) ** 0.4).astype(np.uint8)


def see(x: int = 100, y: int = 100, scene: Any = SCENE) -> Any:
    return scene[y : y + SIZE[1], x : x + SIZE[0]].copy()


def unchanged(image: Any) -> Any:
    return image


def night(image: Any) -> Any:
    """Infrared light: no colors, bright in the middle, and surfaces reflect it differently."""
    reflected = cv2.transform(image.astype(np.float32), np.array([[0.4, -0.2, 0.8]], np.float32))
    gray = np.clip(reflected * SPOT, 0, 255).astype(np.uint8)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)


def dark(image: Any) -> Any:
    return (image * 0.02).astype(np.uint8)


def dim(image: Any) -> Any:
    return (image * 0.3 + 10).astype(np.uint8)


def bright(image: Any) -> Any:
    return BRIGHTER[image]


def blurred(image: Any) -> Any:
    return cv2.GaussianBlur(image, (0, 0), 6)


def very_blurred(image: Any) -> Any:
    return cv2.GaussianBlur(image, (0, 0), 14)


def covered(image: Any) -> Any:
    return np.full_like(image, 90)


def moved(image: Any) -> Any:
    return see(130, 110)


def elsewhere(image: Any) -> Any:
    return see(100, 100, OTHER_SCENE)


@cache
def make_noises(sigma: int) -> list[Any]:
    random = np.random.default_rng(3)
    return [random.normal(0, sigma, (SIZE[1], SIZE[0], 3)).round().astype(np.int16) for _ in range(7)]


def watch(
    processor: Any,
    parts: Iterable[tuple[Change, int]],
    *,
    noise: int = 3,
    step_s: float = 1,
    begin_s: float = 0,
) -> list[Any]:
    """Show what a camera sees in each part, for so many seconds; someone walks through the image all the time."""
    second, returned, noises = begin_s, list[Any](), make_noises(noise)
    for change, seconds in parts:
        for _ in range(round(seconds / step_s)):
            image = see()
            x = int(second * 40) % 600
            cv2.rectangle(image, (x, 150), (x + 40, 330), (40, 60, 160), -1)
            image = cv2.add(change(image), noises[len(returned) % 7], dtype=cv2.CV_8U)
            at = BEGIN + timedelta(seconds=second)
            returned.append(processor.process(frame(image, camera="gate", captured_at=at)))
            second += step_s
    return returned


def times(recorded: Recorded) -> list[tuple[str, int, int | None]]:
    """Return kind, start and end of each event, in seconds."""
    ends = {item.key: item.end_ns for item in recorded.ended}
    first = BEGIN.timestamp()
    return [
        (
            item.kind,
            round(item.start_ns / 1e9 - first),
            None if ends.get(item.key) is None else round(ends[item.key] / 1e9 - first),
        )
        for item in recorded.begun
    ]


@pytest.mark.parametrize("change", [night, dim, bright, dark, covered])
@pytest.mark.parametrize("noise", [1, 8])
def test_light_night_and_covers_are_neither_moved_nor_defocused(
    start: Callable[..., Any], recorded: Recorded, change: Change, noise: int
) -> None:
    parts = [(unchanged, 30), (change, 30), (unchanged, 30), (change, 30)]
    watch(start(Tampering), parts, noise=noise, step_s=2)
    assert times(recorded) == []


@pytest.mark.parametrize("change", [moved, elsewhere])
@pytest.mark.parametrize("light", [unchanged, night])
def test_a_moved_camera_is_one_event_until_it_is_back(
    start: Callable[..., Any], recorded: Recorded, change: Change, light: Change
) -> None:
    parts = [
        (unchanged, 20),
        (light, 20),
        (lambda image: light(change(image)), 30),
        (light, 20),
    ]
    watch(start(Tampering), parts)
    ((kind, begin, end),) = times(recorded)
    assert kind == "camera_moved" and 40 <= begin <= 42 and end is not None and 70 <= end <= 72


@pytest.mark.parametrize("change", [blurred, very_blurred])
@pytest.mark.parametrize("noise", [1, 5])
def test_a_defocused_camera_is_one_event_until_it_is_sharp(
    start: Callable[..., Any], recorded: Recorded, change: Change, noise: int
) -> None:
    returned = watch(
        start(Tampering), [(unchanged, 30), (change, 40), (unchanged, 20)], noise=noise, step_s=2
    )
    ((kind, begin, end),) = times(recorded)
    assert kind == "camera_defocused" and 30 <= begin <= 33 and end is not None and 70 <= end <= 72
    assert returned[12].values["sharpness"] == pytest.approx(100, abs=20)
    assert min(each.values.get("sharpness", 100) for each in returned) < 50


def test_short_changes_are_not_events(start: Callable[..., Any], recorded: Recorded) -> None:
    parts = [(unchanged, 15), (moved, 10), (unchanged, 15), (blurred, 10), (unchanged, 10)]
    watch(start(Tampering, after_s=15), parts)
    assert times(recorded) == []


def test_a_frame_every_ten_seconds_is_enough(start: Callable[..., Any], recorded: Recorded) -> None:
    """A still scene has no more, because it runs with `when="motion"`."""
    watch(start(Tampering), [(unchanged, 100), (moved, 100), (unchanged, 100)], step_s=10)
    ((kind, begin, end),) = times(recorded)
    assert kind == "camera_moved" and 100 <= begin <= 110 and end is not None and 200 <= end <= 210


def test_a_new_place_is_accepted_in_the_end(start: Callable[..., Any], recorded: Recorded) -> None:
    parts = [(unchanged, 30), (elsewhere, 80), (blurred, 5), (elsewhere, 20)]
    watch(start(Tampering, accept_after_s=60), parts)
    ((kind, begin, end),) = times(recorded)
    assert kind == "camera_moved" and 30 <= begin <= 32 and end is not None and 90 <= end <= 93


def test_the_event_of_a_worker_that_died_is_ended_by_the_next_one(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    watch(start(Tampering), [(unchanged, 30), (moved, 40)])
    state = recorded.states["gate", "tampering"]
    assert state["keys"] == [recorded.begun[0].key]
    start(Tampering)
    assert [item.key for item in recorded.ended] == state["keys"]
    assert recorded.states["gate", "tampering"] is None


def test_the_state_contains_an_event_before_it_begins(start: Callable[..., Any], recorded: Recorded) -> None:
    """A worker that dies between both would leave an event that never ends."""
    known = []
    events.send_to(
        lambda camera, item: known.append(item.key in recorded.states["gate", "tampering"]["keys"])
    )
    watch(start(Tampering), [(unchanged, 20), (moved, 20)])
    assert known == [True]


def test_closing_ends_the_event(start: Callable[..., Any], recorded: Recorded) -> None:
    processor = start(Tampering)
    watch(processor, [(unchanged, 30), (moved, 40)])
    processor.close()
    assert len(recorded.ended) == 1 and recorded.states["gate", "tampering"] is None


@pytest.mark.parametrize("file", ["vtest.avi", "one-by-one-person-detection.mp4"])
def test_a_real_video_has_no_events_unless_it_is_changed(
    start: Callable[..., Any], recorded: Recorded, file: str
) -> None:
    path = MEDIA / file
    if not path.exists():
        pytest.skip(f"../shared/media has no {file}.")
    processor, video, second = start(Tampering), cv2.VideoCapture(str(path)), 0
    while video.grab():
        if second % 10 == 0:
            _, image = video.retrieve()
            if second >= 600:
                image = np.roll(image, 40, axis=1)
            at = BEGIN + timedelta(seconds=second / 10)
            processor.process(frame(image, camera="gate", captured_at=at))
        if second == 590:
            assert times(recorded) == []
        second += 1
    assert [kind for kind, *_ in times(recorded)] == ["camera_moved"]


def test_time_in_the_dark_does_not_count(start: Callable[..., Any], recorded: Recorded) -> None:
    """A camera that is moved for a moment before a dark night is neither moved nor accepted the next morning."""
    night_s = 3 * 3600
    processor = start(Tampering)
    watch(processor, [(unchanged, 30), (moved, 5)])
    watch(processor, [(dark, 5)], begin_s=35)
    watch(processor, [(moved, 7)], begin_s=night_s)
    assert times(recorded) == []
    watch(processor, [(moved, 63)], begin_s=night_s + 7)
    watch(processor, [(unchanged, 20)], begin_s=night_s + 70)
    ((kind, begin, end),) = times(recorded)
    assert kind == "camera_moved" and 30 <= begin <= 32
    assert end is not None and night_s + 70 <= end <= night_s + 72


def test_a_moved_camera_is_not_accepted_because_the_night_falls(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    """By night there is no reference yet, and the first image may not become one."""
    watch(
        start(Tampering),
        [(unchanged, 30), (moved, 30), (lambda image: night(moved(image)), 60), (moved, 30), (unchanged, 20)],
    )
    ((kind, begin, end),) = times(recorded)
    assert kind == "camera_moved" and 30 <= begin <= 32 and end is not None and 150 <= end <= 152


def test_an_event_that_needs_longer_than_the_acceptance_is_reported(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    watch(start(Tampering, after_s=60, accept_after_s=30), [(unchanged, 20), (moved, 100)])
    assert [kind for kind, *_ in times(recorded)] == ["camera_moved"]


def test_when_the_clock_is_set_back_the_event_ends_after_it_began(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    processor = start(Tampering)
    watch(processor, [(unchanged, 30), (moved, 40)], begin_s=7200)
    watch(processor, [(moved, 10), (unchanged, 30)], begin_s=0)
    ((_, begin, end),) = times(recorded)
    assert end is not None and end >= begin

"""The motion detector: what it reports, and what it must not report."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ninjacam.core.frames import Area
from ninjacam.motion import MotionDetector

MEDIA = Path(__file__).parents[4] / "shared" / "media"
FRAME_NS = 100_000_000
WIDTH, HEIGHT = 640, 360
Luma = Any
Disturbance = Callable[[Luma, int, np.random.Generator], Luma]


def street() -> Luma:
    """Return a still scene: sky, houses with windows, a street with texture."""
    rng = np.random.default_rng(7)
    image = np.full((HEIGHT, WIDTH), 120, np.uint8)
    image[:120] = 170
    for left in range(20, WIDTH, 90):
        cv2.rectangle(image, (left, 60), (left + 60, 190), int(rng.integers(60, 200)), -1)
        for x, y in ((10, 20), (35, 20), (10, 70), (35, 70)):
            cv2.rectangle(image, (left + x, 60 + y), (left + x + 15, 80 + y), int(rng.integers(30, 110)), -1)
    image[190:] = cv2.blur(rng.integers(40, 160, (HEIGHT - 190, WIDTH), np.uint8), (5, 5))
    return image


NOISE = np.random.default_rng(5).normal(0, 1, (2 * HEIGHT, 2 * WIDTH)).astype(np.float32)
BEAM = np.exp(-(((np.arange(HEIGHT) - HEIGHT * 0.7) / (HEIGHT * 0.15)) ** 2))[:, None]
"""Brightness of a headlight from top to bottom."""


def noise(image: Luma, sigma: float, rng: np.random.Generator) -> Luma:
    """Add a random part of NOISE, because making new noise takes longer than the detector."""
    y, x = rng.integers(0, (HEIGHT, WIDTH))
    height, width = image.shape
    return np.clip(image + sigma * NOISE[y : y + height, x : x + width], 0, 255).astype(np.uint8)


def strong_noise(image: Luma, _: int, rng: np.random.Generator) -> Luma:
    return noise(image, 12, rng)


def light_switch(image: Luma, number: int, rng: np.random.Generator) -> Luma:
    return noise(image * (0.4 if number // 60 % 2 else 1.0), 2, rng)


def clouds(image: Luma, number: int, rng: np.random.Generator) -> Luma:
    return noise(image * (0.8 + 0.2 * np.sin(number / 15)), 2, rng)


def headlights(image: Luma, number: int, rng: np.random.Generator) -> Luma:
    center = number % 100 / 100 * WIDTH * 1.4 - 0.2 * WIDTH
    light = 90 * BEAM * np.exp(-(((np.arange(WIDTH) - center) / (WIDTH * 0.12)) ** 2))
    return noise(image + light, 2, rng)


def shaking(image: Luma, _: int, rng: np.random.Generator) -> Luma:
    return noise(np.roll(image, tuple(rng.integers(-1, 2, 2)), (0, 1)), 2, rng)


def snow(image: Luma, _: int, rng: np.random.Generator) -> Luma:
    image = noise(image, 3, rng)
    for x, y, radius in zip(
        rng.integers(0, WIDTH, 120), rng.integers(0, HEIGHT, 120), rng.integers(1, 4, 120), strict=True
    ):
        cv2.circle(image, (int(x), int(y)), int(radius), 230, -1)
    return image


def rain(image: Luma, _: int, rng: np.random.Generator) -> Luma:
    image = noise(image, 3, rng)
    for x, y, length in zip(
        rng.integers(0, WIDTH, 150), rng.integers(0, HEIGHT, 150), rng.integers(8, 25, 150), strict=True
    ):
        cv2.line(image, (int(x), int(y)), (int(x + 3), int(y + length)), 200, 1)
    return image


def share_of_frames(
    disturbance: Disturbance, *, frames: int = 100, walker: bool = False, **options: Any
) -> float:
    """Return the share of frames with motion, after three seconds. `walker`: someone crosses the image."""
    rng = np.random.default_rng(0)
    detector, still, moving = MotionDetector(**options), street(), 0
    for number in range(frames):
        image = still.copy()
        if walker:
            left = number * 6 % WIDTH
            cv2.rectangle(image, (left, 180), (left + 24, 250), 150, -1)
        areas = detector.update(disturbance(image, number, rng), number * FRAME_NS)
        moving += bool(areas) and number >= 30
    return moving / (frames - 30)


@pytest.mark.parametrize(
    ("disturbance", "most"),
    [
        (strong_noise, 0),
        (light_switch, 0),
        (clouds, 0),
        (headlights, 0),
        (shaking, 0.05),
        (snow, 0.05),
        (rain, 0.1),
    ],
)
def test_disturbances_without_motion_are_not_reported(disturbance: Disturbance, most: float) -> None:
    assert share_of_frames(disturbance) <= most


@pytest.mark.parametrize("disturbance", [strong_noise, clouds, snow, rain])
def test_a_walker_is_reported_in_spite_of_disturbances(disturbance: Disturbance) -> None:
    assert share_of_frames(disturbance, walker=True) > 0.8


def test_an_area_is_where_the_object_is() -> None:
    detector, still = MotionDetector(), street()
    for number in range(40):
        image = still.copy()
        left = 100 + number * 4
        cv2.rectangle(image, (left, 200), (left + 40, 300), 20, -1)
        areas = detector.update(image, number * FRAME_NS)
        # Where it was at first is reported, too, until it belongs to the background.
        if number > 20:
            assert any(
                abs(area.left - left) <= 20
                and abs(area.right - left - 40) <= 20
                and abs(area.top - 200) <= 20
                and abs(area.bottom - 300) <= 20
                for area in areas
            ), (number, left, areas)


def test_an_object_that_stops_becomes_a_part_of_the_background() -> None:
    detector, still = MotionDetector(), street()
    for number in range(10):
        detector.update(still, number * FRAME_NS)
    parked = still.copy()
    cv2.rectangle(parked, (300, 200), (380, 280), 20, -1)
    seen = [bool(detector.update(parked, number * FRAME_NS)) for number in range(10, 300)]
    assert any(seen[:20]) and not any(seen[200:])


def test_ignored_parts_are_not_reported() -> None:
    ignored = np.zeros((HEIGHT, WIDTH), np.bool_)
    ignored[160:270] = True
    detector, still = MotionDetector(), street()
    for number in range(60):
        image = still.copy()
        cv2.rectangle(image, (number * 6, 180), (number * 6 + 24, 250), 150, -1)
        assert detector.update(image, number * FRAME_NS, ignored) == []


def test_sensitivity_and_the_minimum_area_make_a_difference() -> None:
    def faint(image: Luma, number: int, rng: np.random.Generator) -> Luma:
        image = image.astype(np.float32)
        left = number * 6 % WIDTH
        image[200:260, left : left + 40] += 12
        return noise(image, 2, rng)

    assert share_of_frames(faint, sensitivity=0.1) < 0.1 < 0.5 < share_of_frames(faint, sensitivity=0.9)
    assert share_of_frames(strong_noise, walker=True, min_area=0.2) == 0


def test_another_size_and_a_pause_begin_anew() -> None:
    detector, still = MotionDetector(), street()
    for number in range(20):
        detector.update(still, number * FRAME_NS)
    assert detector.update(cv2.resize(255 - still, (400, 300)), 21 * FRAME_NS) == []
    assert not detector.has_changed
    assert detector.update(still, 10**12) == [] and not detector.has_changed
    assert detector.update(255 - still, 0) == [], "a clock that goes back"


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 4000), (4000, 1), (1080, 1920), (9, 16)])
def test_every_size_works(shape: tuple[int, int]) -> None:
    detector = MotionDetector()
    rng = np.random.default_rng(0)
    for number in range(6):
        for area in detector.update(rng.integers(0, 255, shape, np.uint8), number * FRAME_NS):
            assert isinstance(area, Area)
            assert 0 <= area.left < area.right <= shape[1] and 0 <= area.top < area.bottom <= shape[0]


def frames(name: str, fps: float) -> Iterator[tuple[Luma, float]]:
    path = MEDIA / name
    if not path.exists():
        pytest.skip("needs the videos of ../shared/media")
    due_s = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time >= due_s:
                due_s = frame.time + 0.9 / fps
                yield frame.to_ndarray(format="gray"), frame.time


@pytest.mark.parametrize(
    ("name", "moving", "still"),
    [
        ("car-detection.mp4", [(5, 8), (15, 19), (25.5, 27.5)], [(1, 4), (10, 14), (20, 25), (28.5, 30)]),
        (
            "one-by-one-person-detection.mp4",
            [(6.5, 9), (18.2, 19.5), (23.2, 26), (43.5, 45.5), (118, 120)],
            [(1, 5.8), (21, 22.5), (40, 42.5), (109, 117)],
        ),
    ],
)
def test_real_scenes(name: str, moving: list[tuple[float, float]], still: list[tuple[float, float]]) -> None:
    """The times were taken from the frames by eye: cars and people that enter, leave, and are away."""
    detector = MotionDetector()
    seen = [(at_s, bool(detector.update(luma, int(at_s * 1e9)))) for luma, at_s in frames(name, 10)]

    def share(span: tuple[float, float]) -> float:
        inside = [moves for at_s, moves in seen if span[0] <= at_s <= span[1]]
        return sum(inside) / len(inside)

    assert all(share(span) > 0.9 for span in moving), [share(span) for span in moving]
    assert all(share(span) < 0.05 for span in still), [share(span) for span in still]

"""Zones as processors receive them: their pixels, masks, and rejected values."""

import json
import math
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ninjacam import Frame, Zone
from ninjacam.core.errors import ConfigError, InvalidError, ProcessorError, UnknownZoneError
from ninjacam.core.processors import FunctionProcessor
from ninjacam.core.zones import MAX_MASKS, MAX_POINTS, MAX_SIZES, Zones
from ninjacam.testing import frame
from ninjacam.vision.calling import call_processor

SQUARE = [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]
ALL = [(0, 0), (1, 0), (1, 1), (0, 1)]
ZONES = (
    Zone("door", "line", [(0, 0.5), (1, 0.5)]),
    Zone("ignore", "mask", [(0, 0), (1, 0), (1, 0.1), (0, 0.1)]),
    Zone("middle", "zone", SQUARE, inertia_s=1, loitering_s=30, preset="1"),
)


def test_a_frame_has_its_camera_s_zones_in_its_pixels() -> None:
    made = frame(np.zeros((100, 200, 3), np.uint8), zones=ZONES)
    assert list(made.zones) == ["door", "ignore", "middle"] and len(made.zones) == 3
    zone = made.zones["middle"]
    assert zone.points == ((50, 25), (150, 25), (150, 75), (50, 75)) and zone.points is zone.points
    assert zone.fractions == tuple(SQUARE)
    assert (zone.kind, zone.inertia_s, zone.loitering_s, zone.preset) == ("zone", 1, 30, "1")
    assert zone.contains(100, 50) and not zone.contains(49, 50) and not zone.contains(100, 76)
    assert made.zones["door"].points == ((0, 50), (200, 50)) and not made.zones["door"].contains(100, 50)
    assert "middle" in made.zones and "other" not in made.zones and made.zones.get("other") is None


def test_a_frame_without_zones_has_empty_masks() -> None:
    made = frame(np.zeros((90, 160), np.uint8))
    assert dict(made.zones) == {}
    for mask in (made.zones.mask("ignore"), made.zones.mask(), made.zones.masked):
        assert mask.shape == (90, 160) and mask.dtype == np.bool_ and not mask.any()


def test_a_mask_is_the_union_of_its_names_and_ignores_unknown_ones_and_lines() -> None:
    zones = frame(np.zeros((100, 200), np.uint8), zones=ZONES).zones
    middle, ignored = zones.mask("middle"), zones.mask("ignore")
    assert middle[50, 100] and not middle[5, 100] and ignored[5, 100] and not ignored[50, 100]
    assert (zones.mask("middle", "ignore", "gone", "door") == (middle | ignored)).all()
    assert (zones.masked == ignored).all()
    assert not zones.mask("door").any()
    overlapping = Zones([Zone("a", "zone", ALL), Zone("b", "zone", SQUARE)], 40, 40)
    assert overlapping.mask("a", "b").all(), "not where only one of them is"
    picture = np.full((100, 200), 9, np.uint8)
    picture[zones.masked] = 0  # as an index
    assert picture.mean() == pytest.approx(9 * (1 - ignored.mean()))
    assert middle.view("uint8").max() == 1  # for OpenCV


def test_a_mask_is_drawn_once_per_size_and_read_only() -> None:
    image = np.zeros((100, 200), np.uint8)
    zones = Zones(ZONES)
    first, second = zones.of_size(200, 100), zones.of_size(100, 50)
    assert zones.of_size(200, 100) is first and first.mask("middle") is first.mask("middle")
    assert second.mask("middle").shape == (50, 100)
    with pytest.raises(ValueError, match="read-only"):
        first.mask("middle")[0, 0] = True
    for number in range(10 * MAX_MASKS):
        first.mask(f"name-{number}")
    for number in range(1, 10 * MAX_SIZES):
        zones.of_size(number, number)
    assert first._mask.cache_info().currsize == MAX_MASKS
    assert zones._of_size.cache_info().currsize == MAX_SIZES
    assert frame(image, zones=ZONES).zones.mask("middle").sum() == first.mask("middle").sum()


def test_threads_share_the_masks() -> None:
    zones = Zones(ZONES)
    found: list[Any] = []

    def use() -> None:
        for _ in range(50):
            found.append(zones.of_size(64, 48).mask("middle").sum())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 400 and len(set(found)) == 1


def test_an_unknown_zone_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UnknownZoneError) as error:
        Zones(ZONES)["porch"]
    assert isinstance(error.value, KeyError) and isinstance(error.value, ConfigError)
    assert str(error.value) == (
        "The camera has no zone “porch”. Draw it on the page of the camera's zones, or use one of these: "
        "“door”, “ignore”, “middle”."
    )
    with pytest.raises(UnknownZoneError, match="of these: none"):
        Zones()["porch"]

    def see(frame: Frame) -> Any:
        return frame.zones["porch"].points

    with pytest.raises(ProcessorError, match="see: The camera has no zone “porch”"):
        call_processor(FunctionProcessor(see), "see", frame(np.zeros((9, 9), np.uint8)), with_image=False)


def test_a_zone_survives_json_and_can_be_compared_and_hashed() -> None:
    for zone in ZONES:
        again = Zone(**json.loads(json.dumps(asdict(zone))))
        assert again == zone and hash(again) == hash(zone)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", ["", "A", "a b", "a\n", "-a", "a" * 31, "a\0", "ä", 7, None]),
        ("kind", ["", "polygon", None, 1]),
        (
            "fractions",
            [
                [], SQUARE[:2], [(0, 0)] * (MAX_POINTS + 1), [(0, 0, 0)] * 3, [(0,)] * 3, "abc", None, 7,
                [0.1, 0.2, 0.3],
                [(0, 0), (1, 0), (1.01, 1)], [(0, 0), (1, 0), (-0.01, 1)], [(0, 0), (1, 0), (math.nan, 1)],
                [(0, 0), (1, 0), (math.inf, 1)], [(0, 0), (1, 0), (1e308, 1)], [(0, 0), (1, 0), (10**400, 1)],
                [(0, 0), (1, 0), ("1", 1)], [(0, 0), (1, 0), (True, 1)], [(0, 0), (1, 0), ([1], 1)], [["ab", "cd"]] * 3,
            ],
        ),
        ("inertia_s", [-0.1, 61, math.nan, math.inf, "1", None, True, 10**400]),
        ("loitering_s", [-1, 86_401, math.nan, -math.inf, [], None]),
        ("preset", ["a" * 65, "a\n", "\0", 7, None]),
        ("color", ["", "red", "#12345", "#1234567", "#12345g", "#123456\n", None, 5]),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_field(field: str, values: list[Any]) -> None:
    usual: dict[str, Any] = {"name": "a", "kind": "zone", "fractions": SQUARE}
    for value in values:
        with pytest.raises(InvalidError) as error:
            Zone(**{**usual, field: value})
        assert list(error.value.fields) == ["points" if field == "fractions" else field], value
        assert len(error.value.message) < 200


def test_importing_zones_imports_neither_numpy_nor_opencv() -> None:
    code = "import sys; from ninjacam import Zone; print([n for n in ('cv2', 'numpy', 'django') if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


fractions = st.floats(0, 1, allow_nan=False)
shapes = st.lists(st.tuples(fractions, fractions), min_size=3, max_size=12)


@given(shapes, st.integers(2, 60), st.integers(2, 60))
def test_a_mask_contains_what_its_zone_contains(
    points: list[tuple[float, float]], width: int, height: int
) -> None:
    zones = Zones([Zone("a", "zone", points)], width, height)
    zone, mask = zones["a"], zones.mask("a")
    assert mask.shape == (height, width)
    edges = list(zip(zone.points, [*zone.points[1:], zone.points[0]], strict=True))
    for y in range(0, height, 3):
        for x in range(0, width, 3):
            center = (x + 0.5, y + 0.5)
            if all(distance(center, edge) > 1.1 for edge in edges):
                assert mask[y, x] == zone.contains(*center), (x, y)


def distance(point: tuple[float, float], edge: tuple[tuple[float, float], tuple[float, float]]) -> float:
    (ax, ay), (bx, by) = edge
    length = (bx - ax) ** 2 + (by - ay) ** 2
    along = 0 if not length else ((point[0] - ax) * (bx - ax) + (point[1] - ay) * (by - ay)) / length
    along = max(0.0, min(1.0, along))
    return math.hypot(point[0] - ax - along * (bx - ax), point[1] - ay - along * (by - ay))


@given(shapes, st.floats(), st.floats(), st.sampled_from(["zone", "mask"]))
def test_every_number_is_inside_or_outside(
    points: list[tuple[float, float]], x: float, y: float, kind: Any
) -> None:
    zone = Zone("a", kind, points, width_px=1920, height_px=1080)
    assert zone.contains(x, y) in (True, False)
    if not (0 <= x <= 1920 and 0 <= y <= 1080):
        assert not zone.contains(x, y)
    assume(points[0] != points[-1])
    assert Zone("a", kind, points[::-1], width_px=1920, height_px=1080).contains(x, y) == zone.contains(x, y)


def test_the_whole_image_can_be_masked() -> None:
    for size in ((640, 360), (3, 5), (1, 1), (1921, 1079)):
        assert Zones([Zone("a", "mask", ALL)], *size).masked.all()

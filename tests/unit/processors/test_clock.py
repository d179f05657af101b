"""The ready-made processor `clock`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import DatabaseError
from django.test import override_settings

from ninjacam import draw_text
from ninjacam.models import Camera
from ninjacam.processors import clock
from ninjacam.processors.clock import ClockView
from ninjacam.testing import frame

AT = datetime(2026, 7, 1, 22, 30, 5, tzinfo=UTC)
GRAY = np.full((360, 640, 3), 128, np.uint8)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[float, float]]]:
    """The texts that are drawn, and where. They are drawn nevertheless."""
    found: list[tuple[str, tuple[float, float]]] = []

    def draw(image: Any, text: str, at: tuple[float, float], **options: Any) -> None:
        found.append((text, at))
        original(image, text, at, **options)

    original = draw_text
    monkeypatch.setattr(clock, "draw_text", draw)
    return found


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_name_of", lambda camera: "Front gate")


def show(processor: Any, at: datetime = AT, image: Any = GRAY) -> Any:
    return processor.process(frame(image, camera="gate", captured_at=at))


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("UTC", "2026-07-01 22:30:05"),
        ("Europe/Vienna", "2026-07-02 00:30:05"),
        ("Asia/Tokyo", "2026-07-02 07:30:05"),
    ],
)
def test_the_time_is_that_of_the_time_zone_of_the_site(
    start: Callable[..., Any], drawn: list[Any], zone: str, text: str
) -> None:
    with override_settings(TIME_ZONE=zone):
        show(start(ClockView))
    assert [part for part, _ in drawn] == [*text.split(), "Front gate"]


@pytest.mark.usefixtures("named")
def test_date_and_name_are_optional(start: Callable[..., Any], drawn: list[Any]) -> None:
    show(start(ClockView, date=False, name=False))
    assert len(drawn) == 1 and drawn[0][0].count(":") == 2


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("vertical", ["top", "bottom"])
@pytest.mark.parametrize("horizontal", ["left", "right"])
@pytest.mark.parametrize("size", [3, 10])
def test_the_text_is_in_its_corner_and_nowhere_else(
    start: Callable[..., Any], vertical: str, horizontal: str, size: float
) -> None:
    shown = show(start(ClockView, position=f"{vertical} {horizontal}", size=size, name=False))
    rows, columns = np.nonzero((shown != GRAY).any(axis=2))
    height = size / 100 * 360
    assert 0.6 * height < rows.max() - rows.min() < 1.4 * height
    assert (rows.min() < height) == (vertical == "top") and (rows.max() > 360 - height) == (
        vertical == "bottom"
    )
    near, far = (
        (columns.min(), 639 - columns.max()) if horizontal == "left" else (639 - columns.max(), columns.min())
    )
    assert 1 <= near < height < far


@pytest.mark.usefixtures("named")
def test_a_long_name_begins_in_the_image(start: Callable[..., Any], drawn: list[Any]) -> None:
    processor = start(ClockView, position="top right", size=20)
    processor.title = "x" * 100
    assert show(processor).shape == GRAY.shape
    assert drawn[0][1][0] > 0


@pytest.mark.usefixtures("named")
def test_the_time_changes_with_the_frames(start: Callable[..., Any], drawn: list[Any]) -> None:
    processor = start(ClockView)
    for seconds in (0, 0.5, 1):
        show(processor, AT + timedelta(seconds=seconds))
    assert [text[-2:] for text, _ in drawn if ":" in text] == ["05", "05", "06"]


@pytest.mark.django_db
def test_the_name_is_that_of_the_camera(start: Callable[..., Any]) -> None:
    assert start(ClockView).title == "gate"
    camera = Camera(slug="gate", name="Front gate")
    camera.set_source("rtsp://192.0.2.1/")
    camera.save()
    assert start(ClockView).title == "Front gate"
    assert start(ClockView, name=False).title == ""


@pytest.mark.django_db
def test_without_a_database_it_shows_the_short_name(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**fields: Any) -> Any:
        raise DatabaseError("no such table")

    monkeypatch.setattr(Camera.objects, "filter", fail)
    assert start(ClockView).title == "gate"

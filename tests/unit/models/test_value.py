"""Storage of values: merging, limits, thinning. Written by: tests/unit/test_processor_writer.py."""

import pytest

from ninjacam.actions.cameras import rename_camera
from ninjacam.auth import LocalOperator
from ninjacam.core.processor_values import MAX_NAMES, Summary
from ninjacam.models import Camera, ValueSeries, ValueSlot
from ninjacam.models import value as values

pytestmark = pytest.mark.django_db


@pytest.fixture
def gate() -> Camera:
    return Camera.objects.create(slug="gate", url="rtsp://127.0.0.1/x")


def series_of(camera: Camera, name: str = "inside") -> ValueSeries:
    return ValueSeries.objects.of_names(camera, "people", [name])[name]


def put(series: ValueSeries, slots: dict[int, Summary]) -> None:
    rows = {start_s: {series.name: summary} for start_s, summary in slots.items()}
    ValueSlot.objects.put({series.name: series}, rows)


def stored(series: ValueSeries) -> dict[int, Summary]:
    return {row.start_s: row.summary for row in series.slots.order_by("start_s")}


def test_a_slot_that_is_written_in_two_parts_is_merged(gate: Camera) -> None:
    series = series_of(gate)
    put(series, {10: Summary(1, 3, 4, 2), 20: Summary(1, 1, 1, 1)})
    put(series, {10: Summary(2, 5, 7, 2)})
    assert stored(series) == {10: Summary(1, 5, 11, 4), 20: Summary(1, 1, 1, 1)}


def test_a_processor_keeps_the_names_that_were_written_last(gate: Camera) -> None:
    for number in range(MAX_NAMES):
        put(series_of(gate, f"n{number}"), {number * 10: Summary(1, 1, 1, 1)})
    ValueSeries.objects.of_names(gate, "other", ["n0"])
    ValueSeries.objects.of_names(gate, "people", ["n0", "new"])
    names = set(ValueSeries.objects.filter(processor="people").values_list("name", flat=True))
    assert names == {"new", *(f"n{number}" for number in range(MAX_NAMES))} - {"n1"}
    assert ValueSeries.objects.filter(processor="other").exists()


def test_more_names_than_allowed_are_left_out(gate: Camera) -> None:
    names = [f"n{number:02}" for number in range(MAX_NAMES + 3)]
    series = ValueSeries.objects.of_names(gate, "people", names)
    assert sorted(series) == names[:MAX_NAMES]
    ValueSlot.objects.put(series, {10: {name: Summary(1, 1, 1, 1) for name in names}})
    assert ValueSlot.objects.count() == MAX_NAMES


def test_old_slots_are_merged_in_batches_without_losing_a_number(
    gate: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "THIN_BATCH", 70)
    series = series_of(gate)
    put(series, {at_s: Summary(at_s, at_s + 1, at_s, 1) for at_s in range(0, 1500, 10)})
    assert series.thin(1399)
    assert not series.thin(1399) and not series.thin(1399)
    found = stored(series)
    assert list(found) == [0, 300, 600, 900, *range(1200, 1500, 10)]
    assert found[300] == Summary(300, 591, sum(range(300, 600, 10)), 30)
    again = ValueSeries.objects.get()
    assert again.thinned_s == 1200 and not again.thin(1399)
    assert stored(series) == found


def test_steps_summarize_the_slots_in_them(gate: Camera) -> None:
    series = series_of(gate)
    put(series, {at_s: Summary(at_s, at_s + 5, 3 * at_s, 3) for at_s in (10, 20, 30, 70, 80)})
    assert series.slots.summarize(20, 80, 30) == [
        (0, Summary(20, 25, 60, 3)),
        (30, Summary(30, 35, 90, 3)),
        (60, Summary(70, 75, 210, 3)),
    ]


def test_values_follow_their_camera_when_it_is_renamed_and_go_with_it(gate: Camera) -> None:
    series = series_of(gate)
    put(series, {10: Summary(1, 1, 1, 1)})
    rename_camera(LocalOperator(), gate, "yard")
    assert ValueSeries.objects.get().camera.slug == "yard"
    Camera.objects.get().delete()
    assert not ValueSeries.objects.exists() and not ValueSlot.objects.exists()

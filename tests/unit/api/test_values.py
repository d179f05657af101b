"""The values of processors in the API."""

from typing import Any

import pytest
from django.test import Client

from ninjacam.core.processor_values import Summary
from ninjacam.models import Camera, ValueSeries, ValueSlot
from tests.unit.api.test_device import with_role

pytestmark = pytest.mark.django_db
START_S = 1_790_000_000
"""2026-09-21T14:13:20Z"""
PATH = "/api/v1/cameras/door/values"
QUERY = {
    "processor": "people", "name": "inside",
    "start": "2026-09-21T14:13:20Z", "end": "2026-09-21T15:13:20Z",
}  # fmt: skip


@pytest.fixture
def series(camera: Camera) -> ValueSeries:
    """Create an hour of slots: 2 in each frame, then 4."""
    made = ValueSeries.objects.of_names(camera, "people", ["inside", "outside"])
    slots = {
        START_S + 10 * number: {"inside": Summary(2, 2, 20, 10) if number % 2 == 0 else Summary(4, 4, 40, 10)}
        for number in range(360)
    }
    ValueSlot.objects.put(made, slots)
    return made["inside"]


@pytest.fixture
def guard(camera: Camera) -> Client:
    return with_role("guard", camera, "replay")


def get(client: Client, **changes: Any) -> Any:
    return client.get(PATH, {**QUERY, **changes})


@pytest.mark.usefixtures("series")
def test_points_are_as_fine_as_asked_for_and_lose_no_number(guard: Client) -> None:
    fine = get(guard, points=2000).json()
    assert (fine["camera"], fine["processor"], fine["name"]) == ("door", "people", "inside")
    assert (fine["step_s"], len(fine["points"])) == (10, 360)
    assert fine["points"][:2] == [
        {"time": "2026-09-21T14:13:20Z", "min": 2, "mean": 2, "max": 2, "count": 10},
        {"time": "2026-09-21T14:13:30Z", "min": 4, "mean": 4, "max": 4, "count": 10},
    ]
    for points in (2, 3, 7, 100, 359, 360):
        coarse = get(guard, points=points).json()
        assert len(coarse["points"]) <= points and coarse["step_s"] % 10 == 0
        assert sum(each["count"] for each in coarse["points"]) == 3600
        assert {(each["min"], each["max"]) for each in coarse["points"][1:-1]} <= {(2, 4), (2, 2), (4, 4)}
    assert get(guard, points=2, start="2026-09-21T15:00:00Z").json()["points"][0]["mean"] == pytest.approx(3)


@pytest.mark.usefixtures("series")
def test_the_span_begins_with_the_slot_that_contains_its_start(guard: Client) -> None:
    answer = get(guard, start="2026-09-21T14:13:35Z", end="2026-09-21T14:13:41Z").json()
    assert [each["time"][11:19] for each in answer["points"]] == ["14:13:30", "14:13:40"]


@pytest.mark.usefixtures("series")
@pytest.mark.parametrize(
    "changes", [{"points": 2001}, {"points": 1}, {"end": QUERY["start"]}, {"start": "2026-08-01T00:00:00Z"}]
)
def test_too_many_points_and_impossible_spans_are_refused(guard: Client, changes: dict[str, Any]) -> None:
    assert get(guard, **changes).status_code == 422


@pytest.mark.usefixtures("series")
def test_values_need_the_role_replay(camera: Camera, guard: Client) -> None:
    viewer = with_role("visitor", camera, "view")
    for path in (PATH, "/api/v1/cameras/door/value-names"):
        assert viewer.get(path, QUERY).status_code == 403
        assert with_role(f"x{len(path)}", Camera.objects.create(slug=f"y{len(path)}"), "replay").get(
            path, QUERY
        ).status_code == 404  # fmt: skip
    assert get(guard, name="missing").status_code == 404
    assert get(guard, processor="faces").status_code == 404


@pytest.mark.usefixtures("series")
def test_names_are_listed_by_page(guard: Client) -> None:
    first = guard.get("/api/v1/cameras/door/value-names", {"limit": 1}).json()
    assert first["items"] == [{"processor": "people", "name": "inside"}]
    second = guard.get("/api/v1/cameras/door/value-names", {"limit": 1, "after": first["next"]}).json()
    assert second == {"items": [{"processor": "people", "name": "outside"}], "next": None}

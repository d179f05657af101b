"""The page that summarizes the events of each day."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from ninjacam.core.times import to_ns
from ninjacam.models import Camera, Event
from ninjacam.web.events_page import PAGE
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in
from tests.unit.web.test_events_page import ids, make

pytestmark = pytest.mark.django_db
PATH = "/events/days/"


def html(client: Client, **query: Any) -> str:
    response = client.get(PATH, query)
    assert response.status_code == 200
    return response.content.decode()


def counts(page: str) -> list[tuple[str, str, str]]:
    """Return (address, kind, count) of each link."""
    found = re.findall(r'class="kind" href="([^"]*)">([\w ]+) <span class="count">(\d+)', page)
    return [(url.replace("&amp;", "&"), kind, count) for url, kind, count in found]


@pytest.fixture
def guard(camera: Camera) -> Client:
    return with_role("guard", camera, "replay")


def test_events_are_counted_by_day_camera_and_kind_and_linked(
    guard: Client, camera: Camera, settings: Any
) -> None:
    settings.TIME_ZONE = "Asia/Seoul"
    timezone.deactivate()
    noon = timezone.localtime().replace(hour=12, minute=0) - timedelta(days=1)
    for kind, day in (("person", 0), ("person", 0), ("face_match", 0), ("car", 2)):
        start_ns = to_ns(noon - timedelta(days=day))
        Event.objects.create(slug="door", kind=kind, source="x", start_ns=start_ns, end_ns=start_ns + 1)
    page = html(guard)
    days = [(noon - timedelta(days=day)).date().isoformat() for day in (0, 2)]
    assert counts(page) == [
        (f"/events/?camera=door&kind=person&day={days[0]}", "person", "2"),
        (f"/events/?camera=door&kind=face_match&day={days[0]}", "face match", "1"),
        (f"/events/?camera=door&kind=car&day={days[1]}", "car", "1"),
    ]
    assert ">Yesterday</a>" in page and "Back entrance" in page
    for url, _kind, count in counts(page):
        assert len(ids(guard.get(url).content.decode())) == int(count) < PAGE


def test_events_of_other_cameras_are_not_counted(
    guard: Client, camera: Camera, yard: Camera, admin_user: User, stranger: User
) -> None:
    make(camera)
    before = html(guard)
    Event.objects.create(slug="yard", kind="secret", source="x", start_ns=to_ns(timezone.now()), end_ns=None)
    Event.objects.create(slug="", kind="disk_full", source="engine", start_ns=to_ns(timezone.now()))
    assert counts(html(guard)) == counts(before) and "yard" not in html(guard)
    seen = html(signed_in(admin_user))
    assert "secret" in seen and "This server" in seen and "disk full" in seen
    assert "do not have access" in html(signed_in(stranger))


def test_the_period_can_be_chosen(guard: Client, camera: Camera) -> None:
    make(camera, ago_s=20 * 86400)
    for query in ({}, {"days": "7"}, {"days": "9999"}, {"days": "x"}):
        assert "Nothing has happened" in html(guard, **query), query
    assert len(counts(html(guard, days="30"))) == 1


def test_an_event_over_midnight_belongs_to_both_days(guard: Client, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    timezone.deactivate()
    midnight = datetime.combine(timezone.localdate(), datetime.min.time(), UTC)
    start_ns = to_ns(midnight - timedelta(minutes=1))
    Event.objects.create(
        slug="door", kind="car", source="x", start_ns=start_ns, end_ns=start_ns + 120 * 10**9
    )
    assert [count for _, _, count in counts(html(guard))] == ["1", "1"]

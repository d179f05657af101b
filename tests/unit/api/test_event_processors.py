"""Processors of events in the API and on the page of the camera."""

from typing import Any

import pytest

from ninjacam.api.routers import views as router
from ninjacam.models import CallState, Camera, EventCall
from ninjacam.queries.status import Status
from ninjacam.web import views as web
from tests.unit.api.test_device import with_role

pytestmark = pytest.mark.django_db
PATH = "/api/v1/cameras/door/event-processors"
STATUS = Status(
    engine_running=True,
    processors=(
        {"name": "plates", "cameras": ["*"], "when": "events", "description": "Reads <plates>."},
        {"name": "edges", "cameras": ["*"], "when": "watched"},
        {"name": "others", "cameras": ["yard"], "when": "events"},
    ),
)
ERROR = {
    "code": "processor",
    "message": "plates: ValueError",
    "retryable": True,
    "traceback": "File <secret>",
}


@pytest.fixture(autouse=True)
def status(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (router, web):
        monkeypatch.setattr(module, "read_status", lambda: STATUS)


def call(event_id: int, state: str = CallState.DONE, **fields: Any) -> None:
    EventCall.objects.create(event_id=event_id, slug="door", processor="plates", state=state, **fields)


def test_calls_are_counted_and_tracebacks_are_for_users_who_configure(camera: Camera) -> None:
    owner, viewer = with_role("owner", camera, "configure"), with_role("vera", camera, "view")
    call(1, ended_ns=10**18)
    call(2, CallState.WAITING, due_ns=1)
    call(3, CallState.FAILED, ended_ns=10**18 + 1, error=ERROR)
    EventCall.objects.create(event_id=4, slug="door", processor="", due_ns=1)
    expected = {
        "camera": "door", "processor": "plates", "description": "Reads <plates>.", "state": "failed", "waiting": 1,
        "done": 1, "failures": 1, "last_error": ERROR, "last_failed_at": "2001-09-09T01:46:40Z",
    }  # fmt: skip
    assert owner.get(PATH).json() == {"items": [expected], "next": None}
    (item,) = viewer.get(PATH).json()["items"]
    assert item == {**expected, "last_error": {**ERROR, "traceback": ""}}
    assert with_role("sam", Camera.objects.create(slug="yard"), "view").get(PATH).status_code == 404


def test_a_failure_that_is_over_is_still_known(camera: Camera) -> None:
    call(1, CallState.FAILED, ended_ns=10**18, error=ERROR)
    call(2, ended_ns=10**18 + 1)
    (item,) = with_role("owner", camera, "configure").get(PATH).json()["items"]
    assert item["state"] == "idle" and item["last_error"]["message"] == "plates: ValueError"


def test_a_processor_that_is_not_loaded_is_listed_while_events_wait(camera: Camera) -> None:
    EventCall.objects.create(event_id=1, slug="door", processor="broken", due_ns=1)
    EventCall.objects.create(event_id=1, slug="door", processor="removed", state=CallState.DONE)
    client = with_role("owner", camera, "configure")
    items = client.get(f"{PATH}?limit=1").json()
    assert [each["processor"] for each in items["items"]] == ["broken"]
    rest = client.get(f"{PATH}?after={items['next']}").json()["items"]
    assert [each["processor"] for each in rest] == ["plates"]


def test_they_are_no_views(camera: Camera) -> None:
    client = with_role("owner", camera, "configure")
    assert {each["view"] for each in client.get("/api/v1/cameras/door/views").json()["items"]} == {
        "",
        "edges",
    }
    assert client.get("/cameras/door/?view=plates").status_code == 404


def test_the_page_shows_them_with_their_error(camera: Camera) -> None:
    call(1, ended_ns=10**18)
    call(3, CallState.FAILED, ended_ns=10**18 + 1, error=ERROR)
    page = with_role("owner", camera, "configure").get("/cameras/door/").content.decode()
    assert 'id="event-processors"' in page and "1 event, 1 failed" in page
    assert "plates: ValueError" in page and "File &lt;secret&gt;" in page
    page = with_role("vera", camera, "view").get("/cameras/door/").content.decode()
    assert "plates: ValueError" in page and "secret" not in page

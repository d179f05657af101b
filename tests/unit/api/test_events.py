import logging
import time
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from ninjacam.core.colors import to_color_bits
from ninjacam.models import Camera, CameraGrant, Event, SeenEvent
from ninjacam.queries import recordings
from tests.unit.api.test_recordings import START_S, S, at, grant, recorded
from tests.unit.conftest import signed_in, with_token

pytestmark = pytest.mark.django_db
EVENTS, TIMELINE = "/api/v1/events", "/api/v1/timeline"
DAY = urlencode({"start": at(-3600), "end": at(3600)})


def happened(slug: str, start_s: float, end_s: float | None = None, **values: Any) -> Event:
    """Create an event; without an end, it is instantaneous."""
    end_ns = int((START_S + (start_s if end_s is None else end_s)) * S)
    return Event.objects.create(
        **{
            "slug": slug, "kind": "motion", "start_ns": int((START_S + start_s) * S), "end_ns": end_ns,
            "source": "user:x", **values,
        }
    )  # fmt: skip


def tell(client: Client, **fields: Any) -> Any:
    return client.post(
        EVENTS, {"camera": "door", "kind": "motion", **fields}, content_type="application/json"
    )


def change(client: Client, event: Event, **fields: Any) -> Any:
    return client.patch(f"{EVENTS}/{event.pk}", fields, content_type="application/json")


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


@pytest.fixture
def guard(camera: Camera, stranger: User) -> Client:
    """A user who may replay and control `door`."""
    grant(stranger, camera, "replay", "control")
    return signed_in(stranger)


def test_an_event_is_created_and_read_back(guard: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ninjacam.audit"):
        made = tell(guard, start=at(0), end=at(8), label="Täter", data={"zone": ["gate", 1, None, 0.5]})
    body = made.json()
    assert made.status_code == 201 and '"verb": "event.create"' in caplog.text
    assert body == {
        "id": Event.objects.get().pk, "camera": "door", "kind": "motion", "label": "Täter", "start": at(0),
        "end": at(8), "data": {"zone": ["gate", 1, None, 0.5]}, "source": "user:stranger", "record": True,
        "protected": False, "score": None, "track": None, "box": None, "best_at": None, "zones": [],
        "snapshot_at": None, "colors": [], "seen_by": [],
        "similarity": None,
    }  # fmt: skip
    assert guard.get(f"{EVENTS}/{body['id']}").json() == body
    assert guard.get(f"{EVENTS}?{DAY}").json() == {"items": [body], "next": None}


def test_an_event_has_the_given_times_or_the_current_one(guard: Client) -> None:
    before_ns = time.time_ns()
    for fields in ({}, {"duration_s": 20}, {"ongoing": True}):
        assert tell(guard, **fields).status_code == 201
    moment, lasting, going_on = Event.objects.order_by("pk")
    assert before_ns <= moment.start_ns <= time.time_ns() and moment.end_ns == moment.start_ns
    assert lasting.end_ns is not None and lasting.end_ns - lasting.start_ns == 20 * S
    assert going_on.end_ns is None


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"kind": "Motion!"}, "kind"), ({"kind": "x" * 33}, "kind"), ({"kind": "camera_down"}, "kind"),
        ({"kind": "disk_full"}, "kind"), ({"label": "x" * 201}, "label"), ({"label": "a\0b"}, "label"),
        ({"start": "2026-11-22T08:00:00"}, "start"), ({"start": "2199-01-01T00:00:00Z"}, "start"),
        ({"start": at(10), "end": at(0)}, "end"), ({"start": at(0), "end": at(86401)}, "end"),
        ({"duration_s": -1}, "duration_s"), ({"duration_s": 10, "ongoing": True}, "end"),
        ({"data": {"x": "y" * 5000}}, "data"), ({"data": [1]}, "data"), ({"data": {"x": "a\0b"}}, "data"),
        ({"data": {"a\0b": 1}}, "data"), ({"data": {"x": float("inf")}}, "data"), ({"camera": "../door"}, "camera"),
        ({"data": {"x": [[[[[[[[[[1]]]]]]]]]]}}, "data"), ({"data": {"x": "\ud800"}}, "data"), ({"x": 1}, "x"),
        ({"protected": 0}, "protected"), ({"duration_s": "10"}, "duration_s"),
    ],
)  # fmt: skip
def test_a_nonsensical_event_is_rejected_with_the_reason(
    guard: Client, fields: dict[str, Any], wrong: str
) -> None:
    refused = tell(guard, **fields)
    assert refused.status_code == 422, refused.content
    assert refused["Content-Type"] == "application/problem+json"
    assert refused.json()["errors"][0]["field"].split(".")[0] == wrong
    assert not Event.objects.exists()


def test_an_endlessly_nested_body_is_rejected(guard: Client) -> None:
    body = '{"camera": "door", "kind": "motion", "data": {"x": ' + "[" * 50_000 + "]" * 50_000 + "}}"
    assert guard.post(EVENTS, body, content_type="application/json").status_code in (400, 422)


def test_creating_needs_the_role_control_and_protecting_the_role_export(
    guard: Client, viewer: User, stranger: User
) -> None:
    assert tell(signed_in(viewer)).status_code == 403
    assert tell(guard, camera="never").status_code == 404
    assert tell(guard, protected=True).status_code == 403
    event = Event.objects.get(pk=tell(guard).json()["id"])
    assert change(guard, event, protected=True).status_code == 403
    grant(stranger, Camera.objects.get(), "export")
    assert change(guard, event, protected=True).json()["protected"] is True
    assert tell(guard, protected=True).status_code == 201
    CameraGrant.objects.filter(role="export").delete()
    assert change(guard, event, protected=False).status_code == 403
    assert guard.delete(f"{EVENTS}/{event.pk}").status_code == 403
    assert change(guard, event, label="renamed").json()["label"] == "renamed"


def test_users_who_may_only_replay_change_nothing(guard: Client, viewer: User, camera: Camera) -> None:
    event = happened("door", 0)
    client = signed_in(viewer)
    assert client.get(f"{EVENTS}/{event.pk}").status_code == 403
    grant(viewer, camera, "replay")
    assert client.get(f"{EVENTS}/{event.pk}").status_code == 200
    assert change(client, event, label="x").status_code == 403
    assert client.delete(f"{EVENTS}/{event.pk}").status_code == 403
    assert signed_in(User.objects.create_user("nobody")).get(f"{EVENTS}/{event.pk}").status_code == 404


def test_events_are_created_at_a_limited_rate_per_user_and_camera(
    guard: Client, yard: Camera, admin: Client, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "EVENTS_PER_MINUTE": 6}
    answers = [tell(guard) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201] * 3 + [429]
    refused = answers[-1]
    assert refused.json()["code"] == "limit" and 1 <= int(refused["Retry-After"]) <= 10
    assert [tell(admin).status_code for _ in range(4)] == [201] * 3 + [429]
    assert tell(admin, camera="yard").status_code == 201, "each camera has its own limit"


def test_the_number_of_ongoing_events_is_limited(guard: Client, settings: Any) -> None:
    Event.objects.bulk_create(
        Event(slug="door", kind="x", start_ns=n, end_ns=None, source="x", triggers_recording=True)
        for n in range(100)
    )
    refused = tell(guard, ongoing=True)
    assert refused.status_code == 429 and "End some" in refused.json()["detail"]
    assert tell(guard).status_code == 201


def test_ongoing_events_of_one_camera_leave_room_for_those_of_others(guard: Client, yard: Camera) -> None:
    Event.objects.bulk_create(
        Event(slug="yard", kind="x", start_ns=n, end_ns=None, source="x", triggers_recording=True)
        for n in range(100)
    )
    assert tell(guard, ongoing=True).status_code == 201


def test_an_event_created_by_a_token_names_the_token(admin_user: User, camera: Camera) -> None:
    client = with_token(admin_user, "control:door")
    assert tell(client).json()["source"] == "token:test"
    assert client.get(f"{EVENTS}?camera=door").status_code == 403
    assert client.get(EVENTS).json()["items"] == []
    assert tell(with_token(admin_user, "replay")).status_code == 403


def test_an_ongoing_event_is_ended_and_deleted(guard: Client) -> None:
    event = Event.objects.get(pk=tell(guard, start=at(0), ongoing=True).json()["id"])
    assert change(guard, event, end=at(-1)).status_code == 422
    assert change(guard, event, end=at(86401)).status_code == 422
    assert change(guard, event, end=at(30)).json()["end"] == at(30)
    assert change(guard, event).json()["end"] == at(30)
    assert guard.delete(f"{EVENTS}/{event.pk}").status_code == 204
    assert (
        guard.get(f"{EVENTS}/{event.pk}").status_code
        == guard.delete(f"{EVENTS}/{event.pk}").status_code
        == 404
    )


def test_only_the_engine_ends_its_own_events(guard: Client) -> None:
    event = happened("door", 0, kind="camera_down", source="engine")
    Event.objects.update(end_ns=None)
    assert change(guard, event, end=at(30)).status_code == 409
    assert guard.delete(f"{EVENTS}/{event.pk}").status_code == 409
    assert change(guard, event, label="The power was cut").status_code == 200
    Event.objects.update(end_ns=(START_S + 9) * S)
    assert guard.delete(f"{EVENTS}/{event.pk}").status_code == 204


def test_events_are_listed_newest_first_in_pages_and_by_kind(guard: Client, yard: Camera) -> None:
    for number in range(5):
        happened("door", number // 2, kind="motion" if number % 2 else "bookmark")
    happened("yard", 1)
    seen: list[int] = []
    after = ""
    while after is not None:
        body = guard.get(f"{EVENTS}?{DAY}&limit=2&after={after}").json()
        seen += [each["id"] for each in body["items"]]
        after = body["next"]
    assert seen == list(
        Event.objects.filter(slug="door").order_by("-start_ns", "-pk").values_list("pk", flat=True)
    )
    kinds = [each["kind"] for each in guard.get(f"{EVENTS}?{DAY}&kind=motion").json()["items"]]
    assert kinds == ["motion", "motion"]
    assert guard.get(f"{EVENTS}?{DAY}&camera=yard").status_code == 404


def test_a_span_contains_the_events_that_overlap_it(guard: Client) -> None:
    long = happened("door", -5000, 10)
    going_on = happened("door", -9000)
    Event.objects.filter(pk=going_on.pk).update(end_ns=None)
    happened("door", -5000, -4000)
    at_start = happened("door", -3600)
    happened("door", 3600)
    listed = [each["id"] for each in guard.get(f"{EVENTS}?{DAY}").json()["items"]]
    assert listed == [at_start.pk, long.pk, going_on.pk]


def test_events_of_deleted_cameras_and_of_the_host_require_replay_for_all_cameras(
    guard: Client, admin: Client
) -> None:
    gone, host, door = (
        happened("gone", 0),
        happened("", 0, kind="disk_full", source="engine"),
        happened("door", 0),
    )

    def listed(client: Client) -> set[int]:
        return {each["id"] for each in client.get(f"{EVENTS}?{DAY}").json()["items"]}

    assert listed(guard) == {door.pk}
    assert listed(admin) == {gone.pk, host.pk, door.pk}
    watch = User.objects.create_user("watch")
    watch.user_permissions.add(Permission.objects.get(codename="replay_camera"))
    client = signed_in(watch)
    assert listed(client) == {gone.pk, host.pk, door.pk}
    assert client.get(f"{EVENTS}/{host.pk}").json()["camera"] is None
    assert client.get(f"{EVENTS}?{DAY}&camera=gone").json()["items"][0]["id"] == gone.pk
    assert listed(with_token(watch, "replay:door")) == {door.pk}
    assert change(client, gone, label="x").status_code == 403
    assert change(admin, gone, protected=True).status_code == 200
    for event in (gone, host):
        assert guard.get(f"{EVENTS}/{event.pk}").status_code == 404


# --- on the timeline ---


def test_the_timeline_shows_events_and_activity(guard: Client) -> None:
    recorded("door", 0, 60, size_bytes=6_000_000)
    late, early = happened("door", 30, 40, label="cat", protected=True), happened("door", 10)
    (told,) = guard.get(f"{TIMELINE}?start={at(0)}&end={at(120)}&buckets=2").json()["cameras"]
    assert told["events"] == [
        {"id": early.pk, "kind": "motion", "label": "", "start": at(10), "end": at(10), "protected": False},
        {"id": late.pk, "kind": "motion", "label": "cat", "start": at(30), "end": at(40), "protected": True},
    ]
    assert told["activity"] == {"step_s": 60.0, "bitrate_bps": [800_000, 0]} and not told["more_events"]
    for wrong in ("-1", "1441", "many"):
        assert guard.get(f"{TIMELINE}?buckets={wrong}").status_code == 422


def test_of_too_many_events_the_protected_and_the_longest_are_shown(
    guard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "MAX_EVENTS", 4)
    for number in range(10):
        happened("door", number, number + (9 - number) / 10)
    kept, going_on = happened("door", 50, protected=True), happened("door", 20)
    Event.objects.filter(pk=going_on.pk).update(end_ns=None)
    (told,) = guard.get(f"{TIMELINE}?{DAY}").json()["cameras"]
    assert told["more_events"]
    assert [each["start"] for each in told["events"]] == [at(0), at(1), at(20), at(50)]
    assert [each["id"] for each in told["events"]][2:] == [going_on.pk, kept.pk]


def test_the_timeline_of_many_cameras_needs_no_more_queries(
    admin: Client, camera: Camera, yard: Camera
) -> None:
    for slug in ("door", "yard"):
        recorded(slug, 0, 60)
        happened(slug, 0, 60)
    with CaptureQueriesContext(connection) as queries:
        cameras = admin.get(f"{TIMELINE}?{DAY}&camera=door&camera=yard&buckets=10").json()["cameras"]
    assert [len(each["events"]) for each in cameras] == [1, 1]
    asked = [query["sql"] for query in queries]
    assert sum('FROM "ninjacam_segment"' in sql for sql in asked) == 1
    assert sum('FROM "ninjacam_event"' in sql for sql in asked) == 1


def test_events_are_found_by_color(guard: Client) -> None:
    colors = {"fire engine": ["white", "red"], "bus": ["yellow"], "night": [], "coat": ["black", "red"]}
    for number, (label, names) in enumerate(colors.items()):
        happened("door", number, label=label, score=number / 4, color_bits=to_color_bits(names) or None)
    happened("yard", 0, label="elsewhere", color_bits=to_color_bits(["red"]))

    def found(**query: Any) -> dict[str, list[str]]:
        answer = guard.get(f"{EVENTS}?{DAY}&{urlencode(query, doseq=True)}")
        return {item["label"]: item["colors"] for item in answer.json()["items"]}

    assert found() == colors
    assert found(color="red") == {"coat": ["black", "red"], "fire engine": ["white", "red"]}
    assert list(found(color=["yellow", "white"])) == ["bus", "fire engine"]
    assert list(found(color="red", label="coat", min_score=0.5)) == ["coat"]
    assert found(color="red", label="bus") == found(color="pink") == {}
    for wrong in (["mauve"], ["Red"], [""], ["1"], ["red"] * 12):
        assert guard.get(f"{EVENTS}?{urlencode({'color': wrong}, doseq=True)}").status_code == 422


def test_events_are_found_by_label_zone_and_score(guard: Client) -> None:
    sightings = [("person", " yard door ", 0.9), ("car", " yard ", 0.6), ("Person in red", "", None)]
    for number, (label, zones, score) in enumerate(sightings):
        happened("door", number, label=label, zones=zones, score=score, box=[0, 0, 1, 1])

    def found(**query: Any) -> list[str]:
        answer = guard.get(f"{EVENTS}?{DAY}&{urlencode(query)}")
        return [item["label"] for item in answer.json()["items"]]

    assert found(label="person") == ["Person in red", "person"]
    assert found(zone="yard") == ["car", "person"]
    assert found(zone="door") == ["person"] and found(zone="doo") == []
    assert found(min_score=0.7) == ["person"] and found(min_score=0.5, zone="yard", label="CAR") == ["car"]
    for wrong in ({"min_score": 2}, {"min_score": "x"}, {"label": "x" * 201}):
        assert guard.get(EVENTS, wrong).status_code == 422


def test_events_are_marked_as_seen_for_one_user(guard: Client, camera: Camera, admin: Client) -> None:
    seen, unseen = happened("door", 0), happened("door", 1)
    gate = happened("gate", 2)

    def mark(client: Client, **fields: Any) -> int:
        return int(client.post(f"{EVENTS}/seen", fields, content_type="application/json").status_code)

    def listed(client: Client, query: str) -> list[int]:
        return [event["id"] for event in client.get(f"{EVENTS}?{DAY}{query}").json()["items"]]

    assert mark(guard, ids=[seen.pk, gate.pk, 10**9]) == 204
    assert listed(guard, "&unseen=true") == [unseen.pk]
    assert listed(admin, "&unseen=true") == [gate.pk, unseen.pk, seen.pk]
    assert guard.get(f"{EVENTS}/{seen.pk}").json()["seen_by"] == ["stranger"]
    assert admin.get(f"{EVENTS}/{gate.pk}").json()["seen_by"] == []
    assert mark(guard, ids=[seen.pk]) == 204 and mark(admin, ids=[seen.pk]) == 204
    by_id = {event["id"]: event["seen_by"] for event in guard.get(f"{EVENTS}?{DAY}").json()["items"]}
    assert by_id == {seen.pk: ["stranger", "root"], unseen.pk: []}
    assert mark(guard, ids=[seen.pk], seen=False) == 204
    assert guard.get(f"{EVENTS}/{seen.pk}").json()["seen_by"] == ["root"]
    wrong: dict[str, Any]
    for wrong in ({"ids": []}, {"ids": ["x"]}, {"ids": [1] * 501}, {}, {"ids": [2**70]}):
        assert mark(guard, **wrong) == 422, wrong
    seen.delete()
    assert not SeenEvent.objects.exists()


def test_an_event_lists_the_first_users_who_have_seen_it(
    guard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjacam.models.seen_event.MAX_NAMES", 2)
    events = [happened("door", 0), happened("door", 1)]
    for name in ("anna", "ben", "carl"):
        user = User.objects.create_user(name)
        SeenEvent.objects.bulk_create(SeenEvent(event=event, user=user) for event in events)
    listed = guard.get(f"{EVENTS}?{DAY}").json()["items"]
    assert [event["seen_by"] for event in listed] == [["anna", "ben"], ["anna", "ben"]]

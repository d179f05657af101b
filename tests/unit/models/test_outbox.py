"""Which events are delivered to which webhooks, and what else follows from writing an event."""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from ninjacam import events, signals
from ninjacam.actions.events import update_event
from ninjacam.adapters.event_log import DatabaseEventLog
from ninjacam.auth import LocalOperator
from ninjacam.engine.events import EngineEvent
from ninjacam.models import Camera, Event, EventUpdate, Webhook, WebhookDelivery
from ninjacam.models.event_update import KEPT, TRIM_EVERY
from tests.unit.conftest import START_NS, make_event, make_webhook, signed_in

pytestmark = pytest.mark.django_db
S = 10**9


def phases(**conditions: Any) -> list[str]:
    return list(WebhookDelivery.objects.filter(**conditions).order_by("pk").values_list("phase", flat=True))


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({}, True),
        ({"cameras": ["door", "yard"]}, True),
        ({"cameras": ["yard"]}, False),
        ({"kinds": ["car", "person"]}, True),
        ({"kinds": ["car"]}, False),
        ({"label": "ADA"}, True),
        ({"label": "Bob"}, False),
        ({"zone": "porch"}, True),
        ({"zone": "por"}, False),
        ({"min_score": 0.7}, True),
        ({"min_score": 0.71}, False),
        ({"kinds": ["person"], "zone": "lawn"}, False),
    ],
)
def test_a_webhook_receives_events_that_meet_all_conditions(
    conditions: dict[str, Any], matches: bool
) -> None:
    webhook = make_webhook(**conditions)
    event = make_event(label="Ada Lovelace", zones=" porch gate ", score=0.7)
    assert webhook.matches(event) is matches


def test_an_invalid_schedule_in_the_database_receives_nothing_and_breaks_no_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    Camera.objects.create(slug="door", url="rtsp://192.168.1.20/")
    webhook = make_webhook()
    Webhook.objects.filter(pk=webhook.pk).update(schedule="whenever")
    assert events.create("door", "person") is not None
    assert not WebhookDelivery.objects.exists() and "until its schedule is corrected" in caplog.text


def test_an_event_without_a_score_does_not_meet_a_minimum() -> None:
    assert not make_webhook(min_score=0).matches(make_event())


@pytest.mark.parametrize(("hour", "matches"), [(6, False), (7, True), (18, True), (19, False)])
def test_the_schedule_is_about_the_local_time_at_which_an_event_begins(hour: int, matches: bool) -> None:
    webhook = make_webhook(schedule="mon-fri 07:00-19:00")
    monday = datetime(2026, 11, 30, hour, 0, tzinfo=timezone.get_current_timezone())
    start_ns = int(monday.timestamp()) * S
    assert webhook.matches(make_event(start_ns=start_ns, end_ns=start_ns + 86_400 * S)) is matches


def test_events_of_the_host_reach_only_webhooks_for_all_cameras() -> None:
    disk = make_event(slug="", kind="disk_full")
    assert make_webhook().matches(disk) and not make_webhook(cameras=["door"]).matches(disk)


def test_an_event_is_delivered_once_per_phase(webhook: Webhook, camera: Camera) -> None:
    visit = events.begin("door", "person")
    assert phases() == ["begun"]
    visit.update(label="Ada")
    assert phases() == ["begun"]
    visit.end()
    visit.end()
    assert phases() == ["begun", "ended"]
    begun, ended = WebhookDelivery.objects.order_by("pk")
    assert begun.key != ended.key
    body = json.loads(ended.payload)
    assert body["type"] == "event.ended" and body["id"] == str(ended.key)
    assert body["event"]["label"] == "Ada" and body["event"]["end"]


def test_a_payload_has_the_event_as_the_api_returns_it(
    webhook: Webhook, camera: Camera, admin_user: User
) -> None:
    event = events.create(
        "door", "person", label="Täter \u2028", duration_s=1.25, data={"a": [1, None]},
        sighting=events.Sighting(time.time_ns(), 0.8, 7, (0.1, 0.2, 0.3, 0.4), ("porch",)),
    )  # fmt: skip
    assert event is not None
    answer = signed_in(admin_user).get(f"/api/v1/events/{event.pk}").json()
    assert answer.pop("seen_by") == [] and answer.pop("similarity") is None
    assert json.loads(WebhookDelivery.objects.earliest("pk").payload)["event"] == answer


def test_the_documented_body_has_the_fields_of_a_payload(webhook: Webhook, camera: Camera) -> None:
    text = (Path(__file__).parents[3] / "docs/webhooks.md").read_text(encoding="utf-8")
    documented = json.loads(text.partition("```json\n")[2].partition("```")[0])
    events.create("door", "person", label="x" * 200, data={"text": "ä" * 600})
    payload = WebhookDelivery.objects.earliest("pk").payload
    assert len(payload) < 32 << 10
    assert json.loads(payload).keys() == documented.keys()
    assert json.loads(payload)["event"].keys() == documented["event"].keys()


def test_a_disabled_webhook_receives_nothing(camera: Camera) -> None:
    make_webhook(enabled=False)
    events.create("door", "person")
    assert phases() == []


def test_a_delivery_is_written_only_if_the_event_is(webhook: Webhook, camera: Camera) -> None:
    with transaction.atomic():
        events.create("door", "person")
        assert len(phases()) == 2
        transaction.set_rollback(True)
    assert phases() == [] and not Event.objects.exists() and not EventUpdate.objects.exists()


def test_an_event_that_meets_the_conditions_later_is_delivered_then(camera: Camera) -> None:
    make_webhook(zone="porch")
    visit = events.begin("door", "person", sighting=events.Sighting(1, 0.5))
    assert phases() == []
    visit.update(sighting=events.Sighting(2, 0.6, zones=("porch",)))
    assert phases() == ["begun"]


def test_the_end_follows_a_beginning_even_if_the_event_has_changed(camera: Camera) -> None:
    make_webhook(label="unknown", on_end=True)
    visit = events.begin("door", "person", label="unknown")
    visit.end(label="Ada")
    assert phases() == ["begun", "ended"]


def test_the_beginning_waits_for_the_minimum_duration(camera: Camera) -> None:
    make_webhook(min_duration_s=10)
    before_ns = time.time_ns()
    events.begin("door", "person")
    assert WebhookDelivery.objects.get().next_try_ns >= before_ns + 10 * S


@pytest.mark.parametrize("attempts", [0, 1])
def test_a_short_event_is_delivered_only_if_its_beginning_was_sent(camera: Camera, attempts: int) -> None:
    make_webhook(min_duration_s=3600, on_end=True)
    visit = events.begin("door", "person")
    WebhookDelivery.objects.update(attempts=attempts)
    visit.end()
    assert phases() == (["begun", "ended"] if attempts else [])


def test_a_change_of_the_past_is_not_delivered(camera: Camera) -> None:
    make_webhook(label="Ada", on_end=True)
    event = events.create("door", "person")
    assert event is not None
    update_event(LocalOperator(), event, label="Ada")
    assert phases() == []


def test_ending_an_event_by_the_api_is_delivered(webhook: Webhook, camera: Camera) -> None:
    event = events.create("door", "person", ongoing=True)
    assert event is not None
    update_event(LocalOperator(), event, end_ns=time.time_ns())
    assert phases() == ["begun", "ended"]


def test_events_of_the_engine_are_delivered(webhook: Webhook, camera: Camera) -> None:
    log = DatabaseEventLog()
    down = EngineEvent("door", "camera_down", START_NS, None, "No answer")
    log.put([down])
    log.put([EngineEvent("door", "camera_down", START_NS, START_NS + S, "No answer")])
    log.put([EngineEvent("", "disk_full", START_NS, START_NS + S)])
    assert phases() == ["begun", "ended", "begun", "ended"]


def test_renaming_a_camera_changes_conditions_and_ends_its_ongoing_events(camera: Camera) -> None:
    webhook = make_webhook(cameras=["yard", "door"], on_end=True)
    DatabaseEventLog().put([EngineEvent("door", "camera_down", START_NS)])
    camera.slug = "gate"
    camera.save()
    webhook.refresh_from_db()
    assert webhook.cameras == ["yard", "gate"]
    assert phases() == ["begun", "ended"]


def test_the_journal_has_each_write_in_order_and_stays_bounded(camera: Camera) -> None:
    visit = events.begin("door", "person")
    visit.update(label="Ada")
    visit.end(data={"left": "by bike"})
    assert list(EventUpdate.objects.order_by("pk").values_list("kind", flat=True)) == [
        "begun", "changed", "changed", "ended",
    ]  # fmt: skip
    last = EventUpdate.objects.latest("pk").pk
    EventUpdate.objects.create(pk=last - last % TRIM_EVERY + KEPT + TRIM_EVERY - 1, event_id=1, kind="begun")
    visit.update(label="Eve")
    assert EventUpdate.objects.count() == 2


def test_signals_are_sent_after_the_commit(
    camera: Camera, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    received: list[tuple[str, str, Any]] = []

    def begun(sender: Any, event: Event, **_: Any) -> None:
        received.append(("begun", event.label, None))
        raise ValueError("a bug of the project")

    def changed(sender: Any, event: Event, fields: list[str], **_: Any) -> None:
        received.append(("changed", event.label, fields))

    def ended(sender: Any, event: Event, **_: Any) -> None:
        received.append(("ended", event.label, event.end_ns))

    signals.event_begun.connect(begun)
    signals.event_changed.connect(changed)
    signals.event_ended.connect(ended)
    try:
        with django_capture_on_commit_callbacks() as callbacks:
            visit = events.begin("door", "person")
            visit.end(label="Ada")
        assert received == []
        for callback in callbacks:
            callback()
    finally:
        signals.event_begun.disconnect(begun)
        signals.event_changed.disconnect(changed)
        signals.event_ended.disconnect(ended)
    end_ns = Event.objects.get().end_ns
    assert [each[0] for each in received] == ["begun", "changed", "ended"]
    assert received[1][2] == ["label"] and received[2] == ("ended", "Ada", end_ns)
    assert "a bug of the project" in caplog.text

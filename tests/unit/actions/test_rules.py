"""Rules: which deliveries an event has, what they do, and the API."""

import json
import smtplib
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from ninjacam import events
from ninjacam.actions.rule_actions import perform
from ninjacam.actions.rules import update_rule
from ninjacam.auth import LocalOperator
from ninjacam.core.errors import NotFoundError
from ninjacam.models import Camera, CameraGrant, Event, Profile, Rule, Segment, WebhookDelivery
from ninjacam.models.conditions import EventConditions
from ninjacam.models.outbox import OVER_LIMIT, note_begun, note_changed
from ninjacam.models.profile import choose
from ninjacam.models.rule import MAX_RECIPIENTS, MAX_RULES
from ninjacam.models.snapshot import snapshot_path
from ninjacam.testing.clock import FakeClock
from ninjacam.webhooks.outbox import Claimed, Outbox
from ninjacam.webhooks.request import DeliveryError
from tests.unit.conftest import START_NS, make_event, make_webhook, signed_in

pytestmark = pytest.mark.django_db
S = 10**9
URL = "/api/v1/rules"


def make_rule(**fields: Any) -> Rule:
    return Rule.objects.create(**{"name": "Night", **fields})


def noted(**fields: Any) -> Event:
    event = make_event(**fields)
    note_begun(event)
    event.refresh_from_db()
    return event


def claim() -> list[Claimed]:
    WebhookDelivery.objects.filter(state="waiting").update(next_try_ns=0)
    return Outbox(clock=FakeClock()).claim({})


def actions() -> list[str]:
    return list(WebhookDelivery.objects.order_by("pk").values_list("action", flat=True))


@pytest.fixture
def ada(camera: Camera) -> User:
    """May replay `door`, and has an address."""
    user = User.objects.create_user("ada", email="ada@example.org")
    CameraGrant.objects.create(camera=camera, user=user, role="replay")
    return user


def test_webhooks_and_rules_have_the_same_conditions() -> None:
    assert isinstance(Rule(), EventConditions) and isinstance(make_webhook(), EventConditions)


def test_an_event_that_meets_the_conditions_has_a_delivery_for_each_action() -> None:
    make_rule(notify=True, protect=True, kinds=["person"])
    make_rule(notify=True, kinds=["car"])
    make_rule(notify=True, enabled=False)
    event = noted()
    assert actions() == ["notify", "protect"]
    note_changed(event, ["label"])
    note_begun(event)
    assert actions() == ["notify", "protect"], "once"


def test_protection_waits_for_the_end(camera: Camera) -> None:
    make_rule(protect=True)
    event = noted(end_ns=None)
    assert actions() == []
    event.end_ns = event.start_ns + S
    event.save()
    note_changed(event, (), has_ended=True)
    assert actions() == ["protect"]


def test_an_event_that_turns_out_to_be_too_short_has_no_consequences() -> None:
    make_rule(notify=True, protect=True, min_duration_s=5)
    event = noted(end_ns=None)
    assert actions() == ["notify"]
    event.end_ns = event.start_ns + 4 * S
    event.save()
    note_changed(event, (), has_ended=True)
    assert actions() == []


def test_a_rule_has_events_recorded_that_their_creator_would_not(camera: Camera) -> None:
    make_rule(record=True, kinds=["person"])
    assert noted().triggers_recording
    assert not noted(kind="car").triggers_recording
    assert actions() == []


def test_an_event_that_meets_the_conditions_later_is_recorded_then(camera: Camera) -> None:
    make_rule(record=True, zone="porch")
    event = noted(end_ns=None)
    assert not event.triggers_recording
    event.zones = " porch "
    event.save()
    note_changed(event, ["zones"])
    event.refresh_from_db()
    assert event.triggers_recording


def test_schedules_are_in_the_zone_of_the_project_whatever_zone_a_request_has_activated(
    settings: Any,
) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    make_rule(notify=True, schedule="mon-sun 12:00-13:00")
    noon = datetime(2026, 7, 1, 12, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    with timezone.override("Asia/Tokyo"):
        noted(start_ns=int(noon.timestamp()) * S)
    assert actions() == ["notify"]


def test_the_recordings_of_the_event_are_protected(camera: Camera, caplog: pytest.LogCaptureFixture) -> None:
    make_rule(protect=True)
    event = noted()
    (claimed,) = claim()
    perform(claimed)
    event.refresh_from_db()
    assert event.protected and "rule Night" in caplog.text
    perform(claimed)  # At least once: a second time changes nothing.


def test_protection_respects_the_quota(camera: Camera, run_dir: Any, settings: Any) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "RETENTION": {"bytes": 1000}}
    Segment.objects.create(
        slug="door", path="door/x.mp4", start_ns=START_NS, end_ns=START_NS + S, size_bytes=900, codec="h264",
        width_px=2, height_px=2,
    )  # fmt: skip
    make_rule(protect=True)
    event = noted()
    (claimed,) = claim()
    with pytest.raises(DeliveryError, match="limit per camera") as caught:
        perform(claimed)
    event.refresh_from_db()
    assert not event.protected and not caught.value.is_final, "it is tried again: somebody may make room"


def test_an_e_mail_goes_to_users_who_may_replay_the_camera(
    camera: Camera, viewer: User, ada: User, stranger: User, admin_user: User, run_dir: Any
) -> None:
    for user in (viewer, stranger):
        User.objects.filter(pk=user.pk).update(email=f"{user.username}@example.org")
    inactive = User.objects.create_user("gone", email="gone@example.org", is_active=False)
    CameraGrant.objects.create(camera=camera, user=inactive, role="replay")
    make_rule(notify=True)
    event = noted(label="Ada\nLovelace", zones=" porch ", score=0.871, snapshot_ns=START_NS)
    snapshot_path(event.pk).parent.mkdir(parents=True)
    snapshot_path(event.pk).write_bytes(b"\xff\xd8image")
    (claimed,) = claim()
    perform(claimed)
    (message,) = mail.outbox
    assert message.bcc == ["ada@example.org"] and not message.to
    assert message.subject == "[Back entrance] Ada Lovelace"
    assert "porch" in message.body and "0.87" in message.body
    assert message.attachments == [("snapshot.jpg", b"\xff\xd8image", "image/jpeg")]
    assert claimed.key in message.message()["Message-ID"]


def test_only_chosen_recipients_who_still_may_get_it(camera: Camera, ada: User, stranger: User) -> None:
    bob = User.objects.create_superuser("bob", email="bob@example.org")
    User.objects.filter(pk=stranger.pk).update(email="stranger@example.org")
    make_rule(notify=True).recipients.set([ada, stranger])
    noted()
    (claimed,) = claim()
    perform(claimed)
    assert [message.bcc for message in mail.outbox] == [["ada@example.org"]]
    CameraGrant.objects.filter(user=ada).delete()
    with pytest.raises(DeliveryError, match="No recipient") as caught:
        perform(claimed)
    assert caught.value.is_final and bob.email not in str(mail.outbox[-1].bcc)


@pytest.mark.parametrize("address", ["x@@example.org", "x@example.org\nBcc: y@example.org", "x@a,y@b"])
def test_an_invalid_address_of_one_user_does_not_prevent_the_e_mail_to_others(
    camera: Camera, ada: User, address: str
) -> None:
    User.objects.create_superuser("bob", email=address)
    make_rule(notify=True)
    noted()
    perform(claim()[0])
    assert [message.bcc for message in mail.outbox] == [["ada@example.org"]]


def test_permissions_are_read_only_of_users_with_an_address_and_only_until_there_are_enough(
    camera: Camera, django_assert_max_num_queries: Any
) -> None:
    User.objects.bulk_create(User(username=f"u{number}") for number in range(60))
    noted()
    for number in range(55):
        User.objects.create_superuser(f"a{number}", email=f"a{number}@example.org")
    make_rule(notify=True)
    noted()
    (claimed,) = claim()
    with django_assert_max_num_queries(10):  # Two of them write the audit log.
        perform(claimed)
    assert len(mail.outbox[0].bcc) == 50


def test_nobody_gets_the_e_mail_after_all_chosen_recipients_were_deleted(
    admin: Client, ada: User, admin_user: User
) -> None:
    User.objects.filter(pk=admin_user.pk).update(email="root@example.org")
    bob = User.objects.create_superuser("bob", email="bob@example.org")
    url = f"{URL}/{post(admin, recipients=['bob']).json()['id']}"
    noted()
    bob.delete()
    with pytest.raises(DeliveryError, match="recipients of this rule were deleted") as caught:
        perform(claim()[0])
    assert caught.value.is_final and mail.outbox == []
    shown = admin.patch(url, {"name": "Day"}, content_type="application/json").json()
    assert shown["recipients"] == [] and shown["only_recipients"]
    form = {"name": "Day", "enabled": "on", "notify": "on", "max_per_hour": 10, "min_duration_s": 0}
    page = f"/admin/ninjacam/rule/{Rule.objects.get().pk}/change/"
    assert b"Choose recipients" in admin.post(page, {**form, "only_recipients": "on"}).content
    assert admin.post(page, {**form, "recipients": [ada.pk]}).status_code == 302
    assert Rule.objects.get().only_recipients
    shown = admin.patch(url, {"recipients": []}, content_type="application/json").json()
    assert not shown["only_recipients"], "all users, because an administrator has chosen it"


def test_events_of_the_host_go_to_users_who_may_replay_all_cameras(ada: User, admin_user: User) -> None:
    User.objects.filter(pk=admin_user.pk).update(email="root@example.org")
    make_rule(notify=True)
    noted(slug="", kind="disk_low")
    perform(claim()[0])
    assert mail.outbox[0].bcc == ["root@example.org"]


def test_a_mail_server_that_fails_is_tried_again_without_its_text(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise smtplib.SMTPRecipientsRefused({"ada@example.org": (550, b"no")})

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
    make_rule(notify=True)
    noted()
    with pytest.raises(DeliveryError, match="mail server") as caught:
        perform(claim()[0])
    assert not caught.value.is_final and "ada@" not in caught.value.message


def test_e_mails_are_limited_per_hour_and_the_last_one_says_so(ada: User) -> None:
    make_rule(notify=True, max_per_hour=2)
    for _ in range(4):
        noted()
    rows = WebhookDelivery.objects.order_by("pk")
    assert [row.state for row in rows] == ["waiting", "waiting", "dead", "dead"]
    assert rows[3].error == OVER_LIMIT
    for claimed in claim():
        perform(claimed)
    assert ["no further" in message.body for message in mail.outbox] == [False, True]
    WebhookDelivery.objects.update(created_ns=0)
    noted()
    assert WebhookDelivery.objects.latest("pk").state == "waiting"


def test_deliveries_of_deleted_events_and_of_disabled_rules_do_nothing(ada: User) -> None:
    rule = make_rule(notify=True)
    noted()
    (claimed,) = claim()
    Event.objects.all().delete()
    perform(claimed)
    assert mail.outbox == []
    noted()
    Rule.objects.filter(pk=rule.pk).update(enabled=False)
    assert [each.pk for each in claim() if each.event_id != claimed.event_id] == []


def test_a_final_failure_is_not_repeated_and_a_slow_mail_server_holds_back_no_protection(
    camera: Camera,
) -> None:
    make_rule(notify=True, protect=True)
    noted()
    outbox = Outbox(clock=FakeClock())
    first, second = claim()
    assert {first.action, second.action} == {"notify", "protect"}
    outbox.failed(first, DeliveryError("No.", is_final=True))
    outbox.failed(second, DeliveryError("No."))
    assert list(WebhookDelivery.objects.order_by("pk").values_list("state", flat=True)) == ["dead", "waiting"]


def test_code_that_creates_an_event_triggers_rules_in_its_transaction(camera: Camera) -> None:
    make_rule(notify=True)
    events.create("door", "person")
    assert json.loads(WebhookDelivery.objects.get().payload)["event"]["kind"] == "person"


def test_a_renamed_camera_stays_in_the_conditions(camera: Camera) -> None:
    rule = make_rule(notify=True, cameras=["door"])
    camera.slug = "gate"
    camera.save()
    rule.refresh_from_db()
    assert rule.cameras == ["gate"]


def test_a_rule_applies_only_to_events_that_begin_in_its_profiles(camera: Camera, settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    Profile.objects.create(name="night", schedule="22:00-06:00")
    away, home = Profile.objects.create(name="away"), Profile.objects.create(name="home")
    make_rule(protect=True, profiles=["night", "away"])
    noon = datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))

    def applies(begin: datetime) -> bool:
        WebhookDelivery.objects.all().delete()
        noted(start_ns=int(begin.timestamp()) * S, end_ns=int(begin.timestamp()) * S)
        return bool(actions())

    assert not applies(noon) and applies(noon + timedelta(hours=11))
    choose(away, noon, noon + timedelta(hours=9))
    assert applies(noon) and not applies(noon - timedelta(minutes=1))
    choose(home, noon + timedelta(hours=1), noon + timedelta(hours=12))
    assert not applies(noon + timedelta(hours=11)), "another profile was chosen"
    assert applies(noon + timedelta(minutes=59)), "it was written after the change"
    home.delete()
    assert not applies(noon + timedelta(hours=2)), "no earlier choice is in effect again"


def test_an_event_that_ends_in_another_profile_still_meets_the_condition(camera: Camera) -> None:
    now = timezone.now()
    profiles = [Profile.objects.create(name=name) for name in ("away", "home")]
    away_rule, _home_rule = (make_rule(protect=True, profiles=[each.name]) for each in profiles)
    choose(profiles[0], now - timedelta(minutes=2))
    event = noted(start_ns=int((now - timedelta(minutes=1)).timestamp()) * S, end_ns=None)
    choose(profiles[1], now)
    event = Event.objects.get(pk=event.pk)
    event.end_ns = event.start_ns + 120 * S
    event.save()
    note_changed(event, (), has_ended=True)
    assert WebhookDelivery.objects.get().rule_id == away_rule.pk


def test_a_renamed_profile_stays_in_the_conditions(admin: Client) -> None:
    profile = Profile.objects.create(name="away")
    rule, webhook = make_rule(notify=True, profiles=["away"]), make_webhook(profiles=["home", "away"])
    profile.name = "holiday"
    profile.save()
    rule.refresh_from_db()
    webhook.refresh_from_db()
    assert (rule.profiles, webhook.profiles) == (["holiday"], ["home", "holiday"])


def test_no_deleted_profile_turns_a_rule_into_one_that_always_applies(
    admin: Client, ada: User, camera: Camera
) -> None:
    url = f"{URL}/{post(admin, profiles=['away']).json().get('id')}"
    assert not Rule.objects.exists(), "no such profile"
    away = Profile.objects.create(name="away")
    url = f"{URL}/{post(admin, profiles=['away']).json()['id']}"
    refused = admin.delete("/api/v1/profiles/away")
    assert refused.status_code == 409 and "“Night” applies in the profile “away”" in refused.json()["detail"]
    page = admin.post(f"/admin/ninjacam/profile/{away.pk}/delete/", {"post": "yes"})
    assert "rule: Night" in page.content.decode()
    chosen = {"action": "delete_selected", "_selected_action": [str(away.pk)], "post": "yes"}
    assert "rule: Night" in admin.post("/admin/ninjacam/profile/", chosen).content.decode()
    assert Profile.objects.exists()
    away.delete()  # By other means.
    noted()
    assert actions() == []
    form = {"name": "Day", "enabled": "on", "notify": "on", "max_per_hour": 10, "min_duration_s": 0}
    form |= {"profiles": "away"}
    assert admin.post(f"/admin/ninjacam/rule/{Rule.objects.get().pk}/change/", form).status_code == 302
    assert admin.get(url).json()["profiles"] == ["away"], "saving the form keeps the name"
    noted()
    assert actions() == []
    admin.patch(url, {"profiles": []}, content_type="application/json")
    noted()
    assert actions() == ["notify"], "because an administrator has removed the condition"


def test_rules_of_the_same_profile_share_its_queries(
    camera: Camera, django_assert_max_num_queries: Any
) -> None:
    choose(Profile.objects.create(name="away"), timezone.now())
    for _ in range(20):
        make_rule(record=True, profiles=["home"])
    event = make_event()
    with django_assert_max_num_queries(10):
        note_begun(event)


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def post(client: Client, **fields: Any) -> Any:
    return client.post(URL, {"name": "Night", "notify": True, **fields}, content_type="application/json")


def test_the_api_creates_changes_and_deletes_rules(
    admin: Client, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    made = post(admin, recipients=["ada"], cameras=["door"], schedule="22:00-06:00")
    assert made.status_code == 201 and made.json()["recipients"] == ["ada"]
    url = f"{URL}/{made.json()['id']}"
    changed = admin.patch(url, {"protect": True, "recipients": []}, content_type="application/json").json()
    assert changed == {**made.json(), "protect": True, "recipients": [], "only_recipients": False}
    assert admin.get(url).json() == changed and admin.get(URL).json()["items"] == [changed]
    assert admin.delete(url).status_code == 204 and not Rule.objects.exists()
    for verb in ("create", "update", "delete"):
        assert f'"rule.{verb}"' in caplog.text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"notify": False}, "notify"),
        ({"record": True, "min_duration_s": 2}, "record"),
        ({"recipients": ["nobody"]}, "recipients"),
        ({"recipients": ["ada\0"]}, "recipients.0"),
        ({"zone": "porch\0"}, "zone"),
        ({"cameras": ["nowhere"]}, "cameras"),
        ({"profiles": ["nowhere"]}, "profiles"),
        ({"profiles": ["No Name"]}, "profiles.0"),
        ({"schedule": "at night"}, "schedule"),
        ({"max_per_hour": 0}, "max_per_hour"),
    ],
)
def test_invalid_fields_are_named(admin: Client, fields: dict[str, Any], wrong: str) -> None:
    response = post(admin, **fields)
    assert response.status_code == 422 and wrong in response.content.decode()
    assert not Rule.objects.exists()


def test_changes_respect_what_others_have_changed_and_deleted_since_it_was_read(
    admin: Client, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = make_rule(notify=True)
    Rule.objects.filter(pk=rule.pk).update(cameras=["renamed"])
    assert update_rule(LocalOperator(), rule, {"protect": True}).cameras == ["renamed"]
    Rule.objects.all().delete()
    with pytest.raises(NotFoundError):
        update_rule(LocalOperator(), rule, {"protect": False})
    assert not Rule.objects.exists()

    def fail() -> None:
        raise IntegrityError

    monkeypatch.setattr("ninjacam.actions.rules.check_foreign_keys", fail)
    answer = post(admin, recipients=["ada"])
    assert answer.status_code == 422 and "A user was deleted" in answer.content.decode()


def test_there_are_at_most_fifty_rules(admin: Client) -> None:
    for _ in range(MAX_RULES):
        make_rule(notify=True)
    assert post(admin).status_code == 409 and Rule.objects.count() == MAX_RULES


def test_deliveries_of_a_rule_are_listed_and_retried(admin: Client) -> None:
    rule = make_rule(notify=True)
    noted()
    WebhookDelivery.objects.update(state="dead", attempts=3)
    url = f"{URL}/{rule.pk}/deliveries"
    (item,) = admin.get(f"{url}?state=dead").json()["items"]
    assert item["action"] == "notify"
    assert admin.post(f"{url}/{item['id']}/retry").json()["state"] == "waiting"
    assert admin.get("/api/v1/webhooks/1/deliveries").status_code == 404


@pytest.mark.parametrize("kind", ["rules", "webhooks"])
def test_a_longer_list_needs_no_more_queries(
    admin: Client, kind: str, django_assert_max_num_queries: Any
) -> None:
    make = make_webhook if kind == "webhooks" else partial(make_rule, notify=True)
    for _ in range(20):
        make()
    noted()
    some = WebhookDelivery.objects.order_by("pk").values_list("pk", flat=True)[:5]
    WebhookDelivery.objects.filter(pk__in=list(some)).update(state="dead")
    with django_assert_max_num_queries(8):
        items = admin.get(f"/api/v1/{kind}").json()["items"]
    assert sum(item["waiting"] for item in items) == 15 and sum(item["dead"] for item in items) == 5


def test_the_admin_checks_rules_as_the_api_does(admin: Client, camera: Camera) -> None:
    form = {"name": "Night", "enabled": "on", "notify": "on", "max_per_hour": 10, "min_duration_s": 0}
    url = "/admin/ninjacam/rule/add/"
    assert b"No camera" in admin.post(url, {**form, "cameras": "nowhere"}).content
    assert admin.post(url, {**form, "cameras": "door"}).status_code == 302
    assert Rule.objects.get().cameras == ["door"]
    for _ in range(MAX_RULES):
        make_rule(notify=True)
    assert admin.get(url).status_code == 403
    users = [User.objects.create_user(f"u{number}").pk for number in range(MAX_RECIPIENTS + 1)]
    page = f"/admin/ninjacam/rule/{Rule.objects.earliest('pk').pk}/change/"
    assert b"Use at most 50 users." in admin.post(page, {**form, "recipients": users}).content

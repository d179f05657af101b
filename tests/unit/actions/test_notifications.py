"""Which events are announced to which browsers, and what the messages say. The push service is in memory:
tests/integration/test_notifications.py has a real one.
"""

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, RequestFactory
from django.urls import get_script_prefix, set_script_prefix

from ninjacam import events
from ninjacam.actions.notifications import browser_marker, mute_by_notification
from ninjacam.actions.push_messages import MAX_PER_MINUTE, PushMessages
from ninjacam.conf import get_settings
from ninjacam.core.clock import SystemClock
from ninjacam.core.errors import ForbiddenAddressError, NotFoundError
from ninjacam.models import (
    Camera,
    CameraGrant,
    Event,
    NotificationChoice,
    Profile,
    ProfileChoice,
    PushSubscription,
    Snapshot,
    VapidKey,
    WebhookDelivery,
)
from ninjacam.models.notification import MAX_SUBSCRIPTIONS, TTL_NS
from ninjacam.models.outbox import MAIL_DELAY_NS, note_changed
from ninjacam.signing import sign_mute
from ninjacam.sources.addresses import IpAddress
from ninjacam.web.installation import serve_worker, show_manifest
from ninjacam.webhooks.courier import PushRequest
from ninjacam.webhooks.outbox import PUSH_KEPT_NS, Outbox
from ninjacam.webhooks.request import DeliveryError
from tests.harness.push_service import Phone, check_authorization, decrypt
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
API = "/api/v1/notifications"
S = 10**9
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)


class ShiftedClock(SystemClock):
    """The system's clock, later by `ahead_ns`, which tests increase."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def wall_ns(self) -> int:
        return time.time_ns() + self.ahead_ns


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def guard(camera: Camera) -> Client:
    """A user who may replay `door`."""
    return with_role("guard", camera, "replay")


def subscribe(client: Client, phone: Phone | None = None, **headers: str) -> tuple[Phone, int]:
    phone = phone or Phone()
    phone.endpoint = phone.endpoint or f"https://push.example.org/p/{phone.auth}"
    answer = client.post(
        f"{API}/browsers",
        phone.as_json(),
        content_type="application/json",
        headers={"User-Agent": USER_AGENT, **headers},
    )
    assert answer.status_code == 201, answer.content
    return phone, int(answer.json()["id"])


def choose(client: Client, status: int = 200, **fields: Any) -> Any:
    answer = client.patch(API, fields, content_type="application/json")
    assert answer.status_code == status, answer.content
    return answer.json()


def messages_of(phone: Phone, clock: ShiftedClock, *, status: int = 201) -> list[dict[str, Any]]:
    """Send what is due, and return what the browser receives, in its order."""
    outbox, push = Outbox(clock=clock, jitter=lambda: 1.0), PushMessages(get_settings(), clock)
    received = []
    while claimed := outbox.claim({}):
        for each in claimed:
            try:
                request = push.prepare(each)
            except DeliveryError as error:
                outbox.failed(each, error)
                continue
            if request is None:
                outbox.delivered(each, None)
            elif status >= 300:
                outbox.failed(each, DeliveryError("no", status))
            else:
                if request.url == phone.endpoint:
                    received.append(read(phone, request))
                outbox.delivered(each, status)
    return received


def read(phone: Phone, request: PushRequest) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(decrypt(request.body, phone.key, phone.secret))
    return {**message, "headers": request.headers}


def happen(camera: str = "door", kind: str = "person", **fields: Any) -> Event:
    event = events.create(camera, kind, **fields)
    assert event is not None
    return event


# --- Which events ---


def test_an_event_is_announced_in_each_browser_of_the_user(guard: Client, clock: ShiftedClock) -> None:
    phone, _ = subscribe(guard)
    other = signed_in(User.objects.get(username="guard"))
    laptop, _ = subscribe(other)
    event = happen(label="Ada")
    assert WebhookDelivery.objects.count() == 2
    (message,) = messages_of(phone, clock)
    start = event.start.astimezone(ZoneInfo("UTC"))
    assert message["title"] == "Back entrance" and message["body"] == f"Ada · {start:%H:%M:%S}"
    assert message["url"].startswith("cameras/door/?time=") and message["image"] == ""
    assert message["tag"] == "door/person" and message["mute"] == "Mute for an hour"
    headers = message["headers"]
    assert headers["Content-Encoding"] == "aes128gcm" and headers["Urgency"] == "high"
    assert 0 < int(headers["TTL"]) <= TTL_NS // S
    assert "door" not in headers["Topic"] and len(headers["Topic"]) <= 32
    claims = check_authorization(headers["Authorization"])
    assert claims["aud"] == "https://push.example.org" and claims["sub"].startswith("mailto:")
    assert messages_of(laptop, clock) == [], "sent with the others"


@pytest.mark.parametrize(
    ("fields", "is_announced"),
    [
        ({}, True), ({"enabled": False}, False), ({"cameras": ["door"]}, True), ({"kinds": ["car"]}, False),
        ({"schedule": "mon-sun 00:00-24:00"}, True), ({"label": "Bob"}, False), ({"min_duration_s": 5}, False),
    ],
)  # fmt: skip
def test_the_user_chooses_the_events(
    guard: Client, clock: ShiftedClock, fields: dict[str, Any], is_announced: bool
) -> None:
    phone, _ = subscribe(guard)
    choose(guard, **fields)
    happen(label="Ada")
    assert len(messages_of(phone, clock)) == is_announced


def test_a_schedule_is_in_the_time_zone_of_the_project(
    guard: Client, clock: ShiftedClock, settings: Any
) -> None:
    now = datetime.now(ZoneInfo(settings.TIME_ZONE))
    phone, _ = subscribe(guard)
    choose(guard, schedule=f"{(now.hour + 2) % 24:02}:00-{(now.hour + 4) % 24:02}:00")
    happen()
    assert messages_of(phone, clock) == []


def test_a_profile_must_be_active_when_the_event_begins(
    admin_user: User, camera: Camera, clock: ShiftedClock
) -> None:
    client = signed_in(admin_user)
    away = Profile.objects.create(name="away")
    phone, _ = subscribe(client)
    choose(client, profiles=["away"])
    happen()
    assert messages_of(phone, clock) == []
    assert client.put(
        "/api/v1/profiles/active", {"profile": "away"}, content_type="application/json"
    ).status_code in (200, 204), ProfileChoice.objects.count()
    happen()
    assert len(messages_of(phone, clock)) == 1
    away.name = "gone"
    away.save()
    assert NotificationChoice.objects.get().profiles == ["gone"]


def test_only_users_who_may_read_the_event_when_it_is_sent_are_notified(
    camera: Camera, stranger: User, viewer: User, admin_user: User, clock: ShiftedClock
) -> None:
    Camera.objects.filter(pk=camera.pk).update(guest_view="blur")
    guest, _ = subscribe(signed_in(viewer))
    nobody, _ = subscribe(signed_in(stranger))
    owner, _ = subscribe(signed_in(admin_user))
    happen()
    assert messages_of(guest, clock) == []
    happen()
    assert messages_of(nobody, clock) == []
    happen()
    assert len(messages_of(owner, clock)) == 1
    # A role that ends between the event and the delivery.
    grant = CameraGrant.objects.create(camera=camera, user=stranger, role="replay")
    happen()
    grant.delete()
    assert messages_of(nobody, clock) == []


def test_events_of_the_host_need_the_role_for_all_cameras(
    guard: Client, admin_user: User, clock: ShiftedClock
) -> None:
    phone, _ = subscribe(guard)
    owner, _ = subscribe(signed_in(admin_user))
    from ninjacam.models.outbox import note_begun

    now_ns = time.time_ns()
    for _ in range(2):
        note_begun(Event.objects.create(slug="", kind="disk_low", start_ns=now_ns, source="engine"))
    assert messages_of(phone, clock) == []
    note_begun(Event.objects.create(slug="", kind="disk_low", start_ns=now_ns, source="engine"))
    (message,) = messages_of(owner, clock)
    assert message["title"] == "This server" and message["url"] == "events/"


def test_a_renamed_camera_is_followed(guard: Client, camera: Camera, clock: ShiftedClock) -> None:
    phone, _ = subscribe(guard)
    choose(guard, cameras=["door"])
    camera.slug = "gate"
    camera.save()
    happen("gate")
    assert len(messages_of(phone, clock)) == 1


# --- When ---


def test_a_notification_waits_for_the_snapshot_of_the_event_and_no_longer(
    guard: Client, camera: Camera, clock: ShiftedClock
) -> None:
    Camera.objects.filter(pk=camera.pk).update(record="always")
    phone, _ = subscribe(guard)
    event = happen()
    assert messages_of(phone, clock) == []
    Snapshot.objects.filter(pk=event.pk).update(taken_ns=event.start_ns)
    Event.objects.filter(pk=event.pk).update(snapshot_ns=event.start_ns)
    event.refresh_from_db()
    note_changed(event, ["snapshot_ns"])
    (message,) = messages_of(phone, clock)
    assert message["image"] == f"api/v1/events/{event.pk}/snapshot.jpg"
    late = happen()
    clock.ahead_ns = MAIL_DELAY_NS + S
    (message,) = messages_of(phone, clock)
    assert message["image"] == "" and late.snapshot_ns is None


def test_a_notification_that_is_too_late_is_dropped(guard: Client, clock: ShiftedClock) -> None:
    phone, browser = subscribe(guard)
    happen()
    clock.ahead_ns = TTL_NS + S
    assert messages_of(phone, clock) == []
    row = WebhookDelivery.objects.get()
    assert (row.state, row.error) == ("dead", "The notification was not delivered in time.")
    # Neither is an event of the past.
    happen(start=datetime.fromtimestamp(time.time() - 2 * TTL_NS / S, ZoneInfo("UTC")), duration_s=1)
    assert WebhookDelivery.objects.count() == 1
    Outbox(clock=ShiftedClock()).clean()
    clock.ahead_ns += PUSH_KEPT_NS
    Outbox(clock=clock).clean()
    assert not WebhookDelivery.objects.exists()
    assert guard.get(API).json()["browsers"][0]["id"] == browser


def test_a_failure_is_tried_again_with_the_same_id_and_shown(guard: Client, clock: ShiftedClock) -> None:
    phone, _ = subscribe(guard)
    happen()
    assert messages_of(phone, clock, status=503) == []
    row = WebhookDelivery.objects.get()
    assert row.state == "waiting" and row.attempts == 1
    assert guard.get(API).json()["browsers"][0]["has_failed"] is True
    clock.ahead_ns += 6 * S
    (message,) = messages_of(phone, clock)
    assert message["id"] == str(row.key)
    assert guard.get(API).json()["browsers"][0]["has_failed"] is False


def test_a_browser_gets_few_notifications_in_a_minute_and_the_last_one_says_so(
    guard: Client, clock: ShiftedClock
) -> None:
    phone, _ = subscribe(guard)
    for _ in range(MAX_PER_MINUTE + 3):
        happen()
    received = messages_of(phone, clock)
    assert len(received) == MAX_PER_MINUTE
    assert ["too many events" in each["body"] for each in received] == [False] * (MAX_PER_MINUTE - 1) + [True]
    clock.ahead_ns += 61 * S
    happen()
    assert len(messages_of(phone, clock)) == 1


def test_a_user_without_permission_does_not_use_up_the_limit(
    guard: Client, yard: Camera, clock: ShiftedClock
) -> None:
    phone, _ = subscribe(guard)
    for _ in range(MAX_PER_MINUTE + 1):
        happen("yard")
    happen()
    assert len(messages_of(phone, clock)) == 1


def test_messages_have_the_language_of_the_browser(guard: Client, clock: ShiftedClock) -> None:
    phone, _ = subscribe(guard, None, **{"Accept-Language": "ko"})
    happen()
    (message,) = messages_of(phone, clock)
    assert message["lang"] == "ko" and message["view"] == "보기"


def test_long_texts_fit_into_a_message(guard: Client, clock: ShiftedClock, camera: Camera) -> None:
    Camera.objects.filter(pk=camera.pk).update(name="\U0001f977" * 100)
    phone, _ = subscribe(guard)
    happen(kind="k" * 32, label="\U0001f977" * 200)
    (message,) = messages_of(phone, clock)
    assert len(message["title"]) == 100 and len(message["body"]) == 200


# --- Mute ---


def test_a_notification_mutes_its_camera_for_an_hour(
    guard: Client, camera: Camera, yard: Camera, clock: ShiftedClock, client: Client
) -> None:
    CameraGrant.objects.create(camera=yard, user=User.objects.get(username="guard"), role="replay")
    phone, browser = subscribe(guard)
    happen()
    (message,) = messages_of(phone, clock)
    assert client.get("/notifications/mute/").status_code == 405
    assert client.post("/notifications/mute/", {"token": message["token"]}).status_code == 204
    happen()
    assert messages_of(phone, clock) == []
    happen("yard")
    assert len(messages_of(phone, clock)) == 1
    (mute,) = guard.get(API).json()["muted"]
    left_s = datetime.fromisoformat(mute["until"]).timestamp() - time.time()
    assert mute["camera"] == "door" and 3500 < left_s <= 3600
    assert (
        guard.post(f"{API}/mute", {"camera": "door", "duration_s": 0}, "application/json").status_code == 204
    )
    assert guard.get(API).json()["muted"] == []
    for forged in (message["token"] + "x", "", "\0", sign_mute(browser + 1, "door")):
        assert client.post("/notifications/mute/", {"token": forged}).status_code == 404
    PushSubscription.objects.all().delete()
    with pytest.raises(NotFoundError):
        mute_by_notification(message["token"])


def test_everything_can_be_muted(guard: Client, clock: ShiftedClock) -> None:
    phone, _ = subscribe(guard)
    assert guard.post(f"{API}/mute", {}, "application/json").status_code == 204
    happen()
    assert messages_of(phone, clock) == []
    assert guard.get(API).json()["muted"][0]["camera"] is None
    clock.ahead_ns = 3601 * S
    NotificationChoice.objects.get()
    assert not NotificationChoice.objects.get().is_muted("door", clock.wall_ns())


def test_cameras_that_the_user_may_not_replay_can_be_neither_chosen_nor_muted(
    guard: Client, yard: Camera, stranger: User
) -> None:
    for slug in ("yard", "nowhere"):
        refused = choose(guard, status=422, cameras=[slug])
        assert refused["errors"][0]["message"] == f"No camera “{slug}”."
        answer = guard.post(f"{API}/mute", {"camera": slug}, "application/json")
        assert answer.status_code == 404
    assert choose(guard, status=403, profiles=["away"])["code"] == "forbidden"


# --- Browsers ---


def test_logging_out_ends_the_subscription_of_that_browser_only(guard: Client, camera: Camera) -> None:
    user = User.objects.get(username="guard")
    phone = signed_in(user)
    subscribe(guard)
    _, kept = subscribe(phone)
    guard.post("/logout/")
    assert [row.pk for row in PushSubscription.objects.all()] == [kept]


def test_deactivation_and_deletion_of_the_user_end_subscriptions(
    guard: Client, camera: Camera, clock: ShiftedClock
) -> None:
    user = User.objects.get(username="guard")
    phone, _ = subscribe(guard)
    happen()
    User.objects.filter(pk=user.pk).update(is_active=False)  # without signals
    assert messages_of(phone, clock) == [] and not PushSubscription.objects.exists()
    user.save()
    subscribe(guard, phone)
    user.is_active = False
    user.save()
    assert not PushSubscription.objects.exists()
    user.is_active = True
    user.save()
    subscribe(guard, phone)
    user.delete()
    assert not PushSubscription.objects.exists() and not NotificationChoice.objects.exists()


def test_a_new_password_ends_subscriptions_until_the_browser_reports_again(
    guard: Client, clock: ShiftedClock
) -> None:
    user = User.objects.get(username="guard")
    phone, _ = subscribe(guard)
    before = browser_marker(user)
    user.set_password("another one, and long")
    user.save()
    happen()
    assert messages_of(phone, clock) == [] and not PushSubscription.objects.exists()
    after = browser_marker(user)
    assert before.split(".")[0] == after.split(".")[0] and before != after
    page = signed_in(user).get("/").content.decode()
    assert f'data-browser="{after}"' in page and f'data-browser="{before}"' not in page


def test_a_browser_that_is_added_again_is_renewed_and_another_user_replaces_it(
    guard: Client, admin_user: User
) -> None:
    phone, first = subscribe(guard)
    assert subscribe(guard, phone)[1] == first
    moved, second = subscribe(guard)  # another address of the same browser
    assert [row.pk for row in PushSubscription.objects.all()] == [second]
    _, third = subscribe(signed_in(admin_user), moved)
    assert [row.choice.user for row in PushSubscription.objects.filter(pk=third)] == [admin_user]
    assert guard.get(API).json()["browsers"] == []


def test_a_user_has_a_limited_number_of_browsers_and_removes_only_their_own(
    guard: Client, admin_user: User
) -> None:
    user = User.objects.get(username="guard")
    ids = [subscribe(signed_in(user))[1] for _ in range(MAX_SUBSCRIPTIONS)]
    phone = Phone(endpoint="https://push.example.org/more")
    refused = guard.post(f"{API}/browsers", phone.as_json(), "application/json")
    assert refused.status_code == 409 and refused.json()["code"] == "quota"
    owner = signed_in(admin_user)
    assert owner.delete(f"{API}/browsers/{ids[0]}").status_code == 404
    assert guard.delete(f"{API}/browsers/{ids[0]}").status_code == 204
    subscribe(guard, phone)
    names = [(each["name"], each["is_this"]) for each in guard.get(API).json()["browsers"]]
    assert names[-1] == ("Chrome, Linux", True) and not any(is_this for _, is_this in names[:-1])


@pytest.mark.parametrize(
    "endpoint",
    [
        "", "http://push.example.org/p", "https://", "ftp://push.example.org/", "https://u:p@push.example.org/",
        "https://push.example.org/" + "x" * 1100, "https://push.example.org/ä", "https://push.example.org/a b",
        "file:///etc/passwd", "https://push.example.org:0/", "https://push.example.org\\@10.0.0.1/",
    ],
)  # fmt: skip
def test_an_address_that_is_not_an_https_url_is_refused(guard: Client, endpoint: str) -> None:
    answer = guard.post(f"{API}/browsers", Phone(endpoint=endpoint).as_json(), "application/json")
    assert answer.status_code == 422
    assert not PushSubscription.objects.exists()


@pytest.mark.parametrize(
    ("networks", "port", "address", "is_allowed"),
    [
        ([], 443, "8.8.8.8", True), ([], 8443, "8.8.8.8", False), ([], 443, "10.0.0.5", False),
        ([], 443, "127.0.0.1", False), ([], 443, "169.254.169.254", False), ([], 443, "::ffff:10.0.0.5", False),
        ([], 443, "fd00::1", False), ([], 443, "64:ff9b::7f00:1", False), ([], 443, "::7f00:1", False),
        ([], 443, "100.64.0.1", False), ([], 443, "2002:7f00:1::", False), ([], 443, "0.0.0.0", False),
        (["10.0.0.0/8"], 8443, "10.0.0.5", True), (["10.0.0.0/8"], 443, "192.168.0.5", False),
        (["169.254.0.0/16"], 443, "169.254.169.254", False),
    ],
)  # fmt: skip
def test_messages_reach_only_https_ports_of_public_addresses_and_networks_that_are_allowed(
    guard: Client,
    clock: ShiftedClock,
    settings: Any,
    networks: list[str],
    port: int,
    address: str,
    is_allowed: bool,
) -> None:
    import ipaddress

    settings.NINJACAM = {**settings.NINJACAM, "PUSH_NETWORKS": networks}
    subscribe(guard, Phone(endpoint=f"https://push.example.org:{port}/p"))
    happen()
    (claimed,) = Outbox(clock=clock).claim({})
    request = PushMessages(get_settings(), clock).prepare(claimed)
    assert request is not None
    where: IpAddress = ipaddress.ip_address(address)
    if is_allowed:
        request.check(where)
    else:
        with pytest.raises(ForbiddenAddressError):
            request.check(where)


def test_secrets_are_encrypted_and_shown_nowhere(guard: Client, clock: ShiftedClock) -> None:
    phone, _ = subscribe(guard)
    (row,), key = PushSubscription.objects.all(), VapidKey.get()
    stored = json.dumps([row.credentials, row.endpoint_hash, key.credentials, repr(row), str(row)])
    answers = guard.get(API).content.decode() + guard.get("/notifications/").content.decode()
    for secret in (phone.endpoint, phone.auth, phone.p256dh, key.private_key()):
        assert secret not in stored + answers
    assert key.public_key in answers
    happen()
    (claimed,) = Outbox(clock=clock).claim({})
    request = PushMessages(get_settings(), clock).prepare(claimed)
    assert phone.endpoint not in repr(request) and "vapid" not in repr(request)


def test_a_key_that_cannot_be_decrypted_is_replaced_when_a_browser_is_added(
    guard: Client, settings: Any, clock: ShiftedClock
) -> None:
    phone, _ = subscribe(guard)
    before = VapidKey.get().public_key
    happen()
    settings.NINJACAM = {**settings.NINJACAM, "SECRET_KEYS": ["another key, which is long enough too"]}
    assert messages_of(phone, clock) == []
    assert "cannot be decrypted" in WebhookDelivery.objects.get().error
    answer = guard.post(f"{API}/browsers", phone.as_json(), "application/json")
    assert answer.status_code == 409 and "new key" in answer.json()["detail"]
    assert not PushSubscription.objects.exists() and guard.get(API).json()["public_key"] != before
    subscribe(guard, phone)


def test_a_test_arrives_and_the_number_of_tests_is_limited(guard: Client, clock: ShiftedClock) -> None:
    phone, browser = subscribe(guard)
    statuses = [guard.post(f"{API}/browsers/{browser}/test").status_code for _ in range(4)]
    assert statuses == [204, 204, 204, 429]
    received = messages_of(phone, clock)
    assert [each["title"] for each in received] == ["Test"] * 3 and "token" not in received[0]


def test_tokens_may_read_and_only_sessions_subscribe(camera: Camera, admin_user: User) -> None:
    from tests.unit.conftest import with_token

    assert with_token(admin_user, "*").get(API).status_code == 200
    assert with_token(admin_user, "view").get(API).status_code == 403
    answer = with_token(admin_user, "*").post(
        f"{API}/browsers", Phone(endpoint="https://push.example.org/p").as_json(), "application/json"
    )
    assert answer.status_code == 403


# --- The pages ---


def test_the_page_saves_the_choice_without_a_script(guard: Client, camera: Camera) -> None:
    page = guard.get("/notifications/").content.decode()
    assert "Back entrance" in page and 'name="profiles"' not in page
    form = {
        "do": "save",
        "enabled": "on",
        "cameras": ["door"],
        "kinds": ["person"],
        "schedule": "22:00-06:00",
    }
    saved = guard.post("/notifications/", form)
    assert saved.status_code == 302
    choice = NotificationChoice.objects.get()
    assert (choice.cameras, choice.kinds, choice.schedule) == (["door"], ["person"], "22:00-06:00")
    assert "Saved." in guard.get(saved["Location"]).content.decode()
    wrong = guard.post("/notifications/", {**form, "schedule": "whenever"})
    assert wrong.status_code == 422 and "has no times" in wrong.content.decode()
    for unknown in ({"cameras": ["yard"]}, {"kinds": ["\0"]}, {"min_score": "nan"}):
        assert guard.post("/notifications/", {**form, **unknown}).status_code == 422
    assert guard.post("/notifications/", {"do": "explode"}).status_code == 422


def test_the_page_mutes_and_removes_browsers(guard: Client, camera: Camera) -> None:
    subscribe(guard)
    (row,) = PushSubscription.objects.all()
    assert guard.post("/notifications/", {"do": "mute", "camera": "door"}).status_code == 302
    assert "Back entrance" in guard.get("/notifications/").content.decode().partition("until")[0]
    assert guard.post("/notifications/", {"do": "unmute", "camera": "door"}).status_code == 302
    assert guard.post("/notifications/", {"do": "mute", "camera": "yard"}).status_code == 422
    assert guard.post("/notifications/", {"do": "test", "browser": row.pk}).status_code == 302
    for unknown in ("", "x", "9" * 30, "-1", row.pk + 1):
        assert guard.post("/notifications/", {"do": "remove", "browser": unknown}).status_code == 422
    assert guard.post("/notifications/", {"do": "remove", "browser": row.pk}).status_code == 302
    assert not PushSubscription.objects.exists()


def test_manifest_and_service_worker_are_the_same_for_everybody(
    client: Client, guard: Client, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "APP_NAME": "Gate watch"}
    manifest = client.get("/manifest.webmanifest")
    assert manifest["Content-Type"] == "application/manifest+json" and not manifest.cookies
    found = manifest.json()
    assert found["name"] == "Gate watch" and found["scope"] == found["start_url"] == found["id"] == "/"
    for icon in found["icons"]:
        answer = client.get(icon["src"])
        width = int.from_bytes(answer.content[16:20], "big")
        assert answer["Content-Type"] == "image/png" and icon["sizes"] == f"{width}x{width}"
    script = client.get("/service-worker.js")
    assert script["Cache-Control"] == "no-cache" and script["Content-Type"].startswith("text/javascript")
    assert script.content == guard.get("/service-worker.js").content
    assert "csrf" not in client.get("/offline/").content.decode()


def test_an_upgrade_changes_the_service_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    before = client.get("/service-worker.js").content
    assert client.get("/service-worker.js").content == before
    monkeypatch.setattr("ninjacam.__version__", "9.9.9")
    assert client.get("/service-worker.js").content != before


def test_addresses_of_the_installed_application_are_below_the_mount_point(rf: RequestFactory) -> None:
    before = get_script_prefix()
    set_script_prefix("/cam/")
    try:
        manifest = json.loads(show_manifest(rf.get("/")).content)
        script = serve_worker(rf.get("/")).content.decode()
    finally:
        set_script_prefix(before)
    assert manifest["scope"] == manifest["id"] == manifest["start_url"] == "/cam/"
    assert '"offline": "/cam/offline/"' in script and '"mute": "/cam/notifications/mute/"' in script


def test_the_icons_are_small() -> None:
    pages = Path(__file__).parents[3] / "src/ninjacam/static/ninjacam/pages"
    assert sum(path.stat().st_size for path in pages.glob("icon*.png")) < 64 << 10


def test_an_event_of_users_without_permission_costs_no_row_of_a_camera_they_did_not_choose(
    guard: Client, yard: Camera
) -> None:
    subscribe(guard)
    choose(guard, cameras=["door"])
    happen("yard")
    assert not WebhookDelivery.objects.exists()


def test_permissions_of_groups_and_of_all_cameras_count(
    stranger: User, camera: Camera, clock: ShiftedClock
) -> None:
    stranger.user_permissions.add(Permission.objects.get(codename="replay_camera"))
    phone, _ = subscribe(signed_in(stranger))
    happen()
    assert len(messages_of(phone, clock)) == 1

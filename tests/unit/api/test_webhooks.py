"""Webhooks in the API and the admin."""

import json
import logging
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.models import Camera, Webhook, WebhookDelivery
from ninjacam.models.outbox import note_begun
from ninjacam.models.webhook import MAX_WEBHOOKS
from tests.unit.conftest import WEBHOOK_SECRET, make_event, make_webhook, signed_in, with_token

pytestmark = pytest.mark.django_db
URL = "/api/v1/webhooks"
HOOK = "https://hooks.example.org/in?token=s3cret-in-the-url"


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def create(client: Client, **fields: Any) -> Any:
    body = {"name": "Home", "url": HOOK, **fields}
    return client.post(URL, body, content_type="application/json")


def change(client: Client, **fields: Any) -> Any:
    return client.patch(f"{URL}/{Webhook.objects.get().pk}", fields, content_type="application/json")


def test_a_webhook_is_created_with_a_secret_that_is_shown_once(
    admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        made = create(admin, kinds=["person"])
    secret = made.json()["secret"]
    assert made.status_code == 201 and len(secret) >= 40
    shown = admin.get(f"{URL}/{made.json()['id']}").json()
    assert "secret" not in shown and shown == {k: v for k, v in made.json().items() if k != "secret"}
    assert shown["url"] == "https://hooks.example.org/in?token=***" and shown["on_begin"]
    assert Webhook.objects.get().target() == (HOOK, secret)
    assert '"verb": "webhook.create"' in caplog.text
    for text in (caplog.text, json.dumps(Webhook.objects.values()[0], default=str)):
        assert secret not in text and "s3cret-in-the-url" not in text


def test_fields_change_and_secrets_are_kept(admin: Client, camera: Camera) -> None:
    create(admin, secret=WEBHOOK_SECRET)
    url = Webhook.objects.get().url
    assert (
        change(admin, url=url, cameras=["door"], min_score=0.5, schedule="mon 07:00-08:00").status_code == 200
    )
    webhook = Webhook.objects.get()
    assert webhook.target() == (HOOK, WEBHOOK_SECRET) and webhook.cameras == ["door"]
    assert change(admin, url="http://10.0.0.9:8123/hook", min_score=None).status_code == 200
    webhook.refresh_from_db()
    assert webhook.target() == ("http://10.0.0.9:8123/hook", WEBHOOK_SECRET) and webhook.min_score is None
    assert change(admin, secret="another-secret-of-ours").status_code == 200
    webhook.refresh_from_db()
    assert webhook.target()[1] == "another-secret-of-ours"


def test_a_deleted_camera_may_stay_in_the_conditions(admin: Client, camera: Camera) -> None:
    create(admin, cameras=["door"])
    camera.delete()
    assert change(admin, name="Other").status_code == 200


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "ftp://10.0.0.9/"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://ada:pw@10.0.0.9/"}, "url"),
        ({"url": "http://10.0.0.9/a b"}, "url"),
        ({"url": "http://10.0.0.9/\r\nX: y"}, "url"),
        ({"url": "http://hö.example/"}, "url"),
        ({"url": "http://10.0.0.9:0/"}, "url"),
        ({"url": "http://10.0.0.9:99999/"}, "url"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "url"),
        ({"url": "http://[fe80::1%25eth0]/"}, "url"),
        ({"url": "http://[::ffff:169.254.169.254]/"}, "url"),
        ({"url": "http://100.100.100.200/"}, "url"),
        ({"url": "http://0.0.0.0/"}, "url"),
        ({"url": "http://224.0.0.1/"}, "url"),
        ({"url": "https://hooks.example.org/?token=***"}, "url"),
        ({"url": "http://10.0.0.9/" + "x" * 500}, "url"),
        ({"secret": "short"}, "secret"),
        ({"secret": "with a space in the middle"}, "secret"),
        ({"cameras": ["nowhere"]}, "cameras"),
        ({"cameras": ["door"] * 101}, "cameras"),
        ({"cameras": "door"}, "cameras"),
        ({"kinds": ["No Kind"]}, "kinds"),
        ({"min_score": 1.1}, "min_score"),
        ({"min_duration_s": -1}, "min_duration_s"),
        ({"min_duration_s": 86_401}, "min_duration_s"),
        ({"schedule": "at noon"}, "schedule"),
        ({"on_begin": False}, "on_begin"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"enabled": "yes"}, "enabled"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_invalid_values_are_refused(admin: Client, fields: dict[str, Any], field: str) -> None:
    answer = create(admin, **fields)
    assert answer.status_code == 422 and not Webhook.objects.exists()
    assert field in answer.content.decode()
    assert "short" not in answer.content.decode() and "pw@" not in answer.content.decode()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8123/", "http://192.168.1.5/", "https://[fd12::1]/", "http://box/"]
)
def test_receivers_on_private_networks_are_allowed(admin: Client, url: str) -> None:
    assert create(admin, url=url).status_code == 201


def test_the_number_of_webhooks_is_limited(admin: Client) -> None:
    for _ in range(MAX_WEBHOOKS):
        make_webhook()
    assert create(admin).status_code == 409


def test_each_permission_allows_its_operation(stranger: User, webhook: Webhook) -> None:
    make_event()
    calls = {
        "view_webhook": ("get", f"{URL}/{webhook.pk}", {}),
        "add_webhook": ("post", URL, {"name": "x", "url": "http://10.0.0.9/"}),
        "change_webhook": ("patch", f"{URL}/{webhook.pk}", {"name": "y"}),
        "delete_webhook": ("delete", f"{URL}/{webhook.pk}", {}),
    }
    for name, (method, url, body) in calls.items():
        client = signed_in(User.objects.get(pk=stranger.pk))
        assert getattr(client, method)(url, body, content_type="application/json").status_code == 403, name
        stranger.user_permissions.add(Permission.objects.get(codename=name))
        user = User.objects.get(pk=stranger.pk)
        with_scope = with_token(user, "view", "replay", "export", "control", "configure")
        assert getattr(with_scope, method)(url, body, content_type="application/json").status_code == 403
        answer = getattr(with_token(user, "*"), method)(url, body, content_type="application/json")
        assert answer.status_code in (200, 201, 204), (name, answer.content)


def test_deliveries_are_listed_by_state_and_retried(admin: Client, webhook: Webhook) -> None:
    note_begun(make_event())
    begun, ended = WebhookDelivery.objects.order_by("pk")
    dead = {"state": "dead", "attempts": 32, "status": 500, "error": "No.", "ended_ns": 1}
    WebhookDelivery.objects.filter(pk=begun.pk).update(**dead)
    deliveries = f"{URL}/{webhook.pk}/deliveries"
    listed = admin.get(f"{deliveries}?state=dead").json()["items"]
    assert [each["id"] for each in listed] == [begun.pk] and listed[0]["error"] == "No."
    first = admin.get(f"{deliveries}?limit=1").json()
    assert [each["id"] for each in first["items"]] == [ended.pk]
    rest = admin.get(f"{deliveries}?limit=1&after={first['next']}").json()
    assert [each["id"] for each in rest["items"]] == [begun.pk] and rest["next"] is None
    shown = admin.get(f"{URL}/{webhook.pk}").json()
    assert (shown["waiting"], shown["dead"]) == (1, 1)
    again = admin.post(f"{deliveries}/{begun.pk}/retry").json()
    assert (again["state"], again["attempts"], again["key"]) == ("waiting", 0, str(begun.key))
    assert again["next_try_at"] is not None and again["ended_at"] is None


@pytest.mark.parametrize("state", ["delivered", "waiting"])
def test_a_delivery_that_has_arrived_or_is_being_sent_is_not_retried(
    admin: Client, webhook: Webhook, state: str
) -> None:
    note_begun(make_event())
    lease_ns = SYSTEM_CLOCK.wall_ns() + 30 * 10**9 if state == "waiting" else 0
    WebhookDelivery.objects.update(state=state, leased_until_ns=lease_ns)
    delivery = WebhookDelivery.objects.earliest("pk")
    answer = admin.post(f"{URL}/{webhook.pk}/deliveries/{delivery.pk}/retry")
    assert answer.status_code == 409
    assert admin.post(f"{URL}/{webhook.pk + 1}/deliveries/{delivery.pk}/retry").status_code == 404


def test_a_lease_from_before_the_clock_was_set_back_does_not_prevent_a_retry(
    admin: Client, webhook: Webhook
) -> None:
    note_begun(make_event())
    later_ns = SYSTEM_CLOCK.wall_ns() + 86_400 * 10**9
    WebhookDelivery.objects.update(leased_until_ns=later_ns, attempts=3, next_try_ns=later_ns)
    delivery = WebhookDelivery.objects.earliest("pk")
    assert admin.post(f"{URL}/{webhook.pk}/deliveries/{delivery.pk}/retry").status_code == 200
    delivery.refresh_from_db()
    assert delivery.attempts == delivery.leased_until_ns == 0 and delivery.next_try_ns < later_ns


def test_deleting_a_webhook_deletes_its_deliveries(admin: Client, webhook: Webhook) -> None:
    note_begun(make_event())
    assert admin.delete(f"{URL}/{webhook.pk}").status_code == 204
    assert not WebhookDelivery.objects.exists()


def test_the_secrets_are_encrypted_again_with_a_new_key(webhook: Webhook, settings: Any) -> None:
    old = settings.SECRET_KEY
    settings.NINJACAM = {**settings.NINJACAM, "SECRET_KEYS": ["a new key", old]}
    call_command("ninjacam_rekey", verbosity=0)
    settings.NINJACAM = {**settings.NINJACAM, "SECRET_KEYS": ["a new key"]}
    assert Webhook.objects.get().target()[1] == WEBHOOK_SECRET


# --- the admin ---

FORM = {
    "name": "Home", "url": HOOK, "secret": WEBHOOK_SECRET, "enabled": "on", "on_begin": "on", "cameras": "door, ",
    "kinds": "", "min_duration_s": "0",
}  # fmt: skip


def test_the_admin_applies_the_same_rules(
    admin: Client, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    page = "/admin/ninjacam/webhook/add/"
    assert "Enter the URL" not in admin.get(page).content.decode()
    refused = admin.post(page, {**FORM, "url": "http://169.254.169.254/"}).content.decode()
    assert "link-local" in refused and WEBHOOK_SECRET not in refused
    assert admin.post(page, FORM).status_code == 302
    webhook = Webhook.objects.get()
    assert webhook.target() == (HOOK, WEBHOOK_SECRET) and webhook.cameras == ["door"]
    page = f"/admin/ninjacam/webhook/{webhook.pk}/change/"
    shown = admin.get(page).content.decode()
    assert WEBHOOK_SECRET not in shown and "s3cret-in-the-url" not in shown
    with caplog.at_level(logging.INFO, "ninjacam.audit"):
        changed = admin.post(page, {**FORM, "url": webhook.url, "secret": "", "kinds": "car"})
    assert changed.status_code == 302 and '"verb": "webhook.update"' in caplog.text
    webhook.refresh_from_db()
    assert webhook.target() == (HOOK, WEBHOOK_SECRET) and webhook.kinds == ["car"]


def test_the_admin_shows_and_retries_dead_deliveries(admin: Client, webhook: Webhook) -> None:
    note_begun(make_event())
    WebhookDelivery.objects.update(state="dead", error="The receiver refuses connections.")
    page = f"/admin/ninjacam/webhookdelivery/?webhook__id__exact={webhook.pk}&state__exact=dead"
    assert page.replace("&", "&amp;") in admin.get("/admin/ninjacam/webhook/").content.decode()
    assert "refuses connections" in admin.get(page).content.decode()
    pk = WebhookDelivery.objects.earliest("pk").pk
    assert "event.begun" in admin.get(f"/admin/ninjacam/webhookdelivery/{pk}/change/").content.decode()
    admin.post("/admin/ninjacam/webhookdelivery/", {"action": "retry", "_selected_action": [pk]})
    assert WebhookDelivery.objects.get(pk=pk).state == "waiting"

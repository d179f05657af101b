"""Claims, leases and attempts."""

from typing import Any

import pytest

from ninjacam.models import Webhook, WebhookDelivery
from ninjacam.models.outbox import note_begun
from ninjacam.testing.clock import FakeClock
from ninjacam.webhooks.backoff import MAX_ATTEMPTS
from ninjacam.webhooks.outbox import DEAD_KEPT_NS, KEPT_NS, MAX_AT_ONCE, Claimed, Outbox
from ninjacam.webhooks.request import DeliveryError
from tests.unit.conftest import WEBHOOK_SECRET, make_event, make_webhook

pytestmark = pytest.mark.django_db
S = 10**9
DOWN = DeliveryError("The receiver refuses connections.")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(clock: FakeClock) -> Outbox:
    return Outbox(clock=clock, jitter=lambda: 1.0)


def enqueue(count: int = 1, **fields: Any) -> None:
    """Due at any time."""
    for _ in range(count):
        note_begun(make_event(**fields))
    WebhookDelivery.objects.update(next_try_ns=0)


def only(claimed: list[Claimed]) -> Claimed:
    (one,) = claimed
    return one


def test_a_claim_has_what_is_sent(outbox: Outbox) -> None:
    make_webhook()
    enqueue()
    row, claimed = WebhookDelivery.objects.get(), only(outbox.claim({}))
    assert (claimed.url, claimed.secret) == ("http://127.0.0.1:9/hook", WEBHOOK_SECRET)
    assert claimed.body == row.payload.encode() and claimed.key == str(row.key)
    assert WEBHOOK_SECRET not in repr(claimed)


def test_a_claimed_delivery_is_due_again_when_its_lease_ends(outbox: Outbox, clock: FakeClock) -> None:
    make_webhook()
    enqueue()
    first = only(outbox.claim({}))
    assert outbox.claim({}) == []
    clock.advance(29)
    assert Outbox(clock=clock).claim({}) == []
    clock.advance(2)
    again = only(outbox.claim({}))
    assert (again.key, again.body, again.attempts) == (first.key, first.body, 2)
    outbox.delivered(first, 200)  # The first process was only slow: its result is obsolete.
    assert WebhookDelivery.objects.get().state == "waiting"


def test_a_renewed_lease_lasts_longer_unless_it_was_lost(outbox: Outbox, clock: FakeClock) -> None:
    make_webhook()
    enqueue()
    first = only(outbox.claim({}))
    clock.advance(29)
    outbox.renew(first)
    clock.advance(29)
    assert outbox.claim({}) == []
    clock.advance(2)
    again = only(outbox.claim({}))
    outbox.renew(first)
    outbox.release([again])
    assert only(outbox.claim({})).attempts == 3


def test_the_end_waits_for_the_beginning(outbox: Outbox, clock: FakeClock, webhook: Webhook) -> None:
    enqueue()
    begun = only(outbox.claim({}))
    outbox.failed(begun, DOWN)
    assert outbox.claim({}) == []
    clock.advance(5)
    outbox.delivered(only(outbox.claim({})), 204)
    ended = only(outbox.claim({}))
    assert b"event.ended" in ended.body


def test_the_end_is_sent_after_a_beginning_that_was_given_up(outbox: Outbox, webhook: Webhook) -> None:
    enqueue()
    WebhookDelivery.objects.filter(phase="begun").update(attempts=MAX_ATTEMPTS - 1)
    outbox.failed(only(outbox.claim({})), DOWN)
    assert b"event.ended" in only(outbox.claim({})).body


def test_a_webhook_has_few_deliveries_at_once_and_others_have_their_own(outbox: Outbox) -> None:
    slow, quick = make_webhook(), make_webhook()
    enqueue(MAX_AT_ONCE + 2)
    assert len(outbox.claim({f"webhook-{slow.pk}": MAX_AT_ONCE - 1})) == 1 + MAX_AT_ONCE
    assert {each.target for each in outbox.claim({f"webhook-{slow.pk}": MAX_AT_ONCE})} == {
        f"webhook-{quick.pk}"
    }


def test_attempts_are_repeated_with_growing_delays_and_then_given_up(
    outbox: Outbox, clock: FakeClock
) -> None:
    make_webhook()
    enqueue()
    for attempt in range(1, MAX_ATTEMPTS + 1):
        claimed = only(outbox.claim({}))
        assert claimed.attempts == attempt
        outbox.failed(claimed, DeliveryError("No.", 500))
        assert outbox.claim({}) == []
        clock.advance(min(5 * 2 ** (attempt - 1), 900))
    row = WebhookDelivery.objects.get()
    assert (row.state, row.status, row.error) == ("dead", 500, "No.") and row.ended_ns is not None


def test_a_receiver_that_is_back_gets_the_others_at_once(outbox: Outbox, clock: FakeClock) -> None:
    make_webhook()
    enqueue(3)
    WebhookDelivery.objects.update(attempts=8)
    for claimed in outbox.claim({}):
        outbox.failed(claimed, DOWN)
    first = WebhookDelivery.objects.earliest("pk")
    WebhookDelivery.objects.filter(pk=first.pk).update(next_try_ns=0)
    outbox.delivered(only(outbox.claim({})), 200)
    assert len(outbox.claim({})) == 2


def test_deliveries_of_a_disabled_webhook_stay(outbox: Outbox) -> None:
    webhook = make_webhook()
    enqueue()
    Webhook.objects.update(enabled=False)
    assert outbox.claim({}) == []
    Webhook.objects.filter(pk=webhook.pk).update(enabled=True)
    assert len(outbox.claim({})) == 1


def test_released_deliveries_are_due_at_once(outbox: Outbox) -> None:
    make_webhook()
    enqueue()
    outbox.release(outbox.claim({}))
    assert only(outbox.claim({})).attempts == 2


def test_a_secret_that_cannot_be_decrypted_is_reported(outbox: Outbox, settings: Any) -> None:
    make_webhook()
    enqueue()
    settings.NINJACAM = {**settings.NINJACAM, "SECRET_KEYS": ["another key"]}
    assert "Enter the URL and a new secret" in only(outbox.claim({})).error


def test_old_rows_are_deleted_and_too_many_waiting_ones_given_up(
    outbox: Outbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjacam.webhooks.outbox.MAX_WAITING", 2)
    webhook = make_webhook()
    enqueue(7)
    pks = list(WebhookDelivery.objects.order_by("pk").values_list("pk", flat=True))
    now_ns = clock.wall_ns()
    for pk, state, ended_ns in (
        (pks[0], "delivered", now_ns - KEPT_NS),
        (pks[1], "delivered", now_ns - KEPT_NS + S),
        (pks[2], "dead", now_ns - DEAD_KEPT_NS),
        (pks[3], "dead", now_ns - DEAD_KEPT_NS + S),
    ):
        WebhookDelivery.objects.filter(pk=pk).update(state=state, ended_ns=ended_ns)
    outbox.clean()
    assert list(webhook.deliveries.order_by("pk").values_list("pk", "state")) == [
        (pks[1], "delivered"), (pks[3], "dead"), (pks[4], "dead"), (pks[5], "waiting"), (pks[6], "waiting"),
    ]  # fmt: skip


@pytest.mark.parametrize("attempts", [0, 3])
def test_a_clock_that_is_set_back_delays_no_delivery(outbox: Outbox, clock: FakeClock, attempts: int) -> None:
    """All times of the row were written with the later clock."""
    make_webhook()
    enqueue()
    later_ns = clock.wall_ns() + 365 * 86_400 * S
    WebhookDelivery.objects.update(
        attempts=attempts, created_ns=later_ns, next_try_ns=later_ns, leased_until_ns=later_ns + 30 * S
    )
    again = only(outbox.claim({}))
    outbox.failed(again, DOWN)
    assert outbox.claim({}) == [], "the next attempt waits as usual"
    clock.advance(900)
    assert only(outbox.claim({})).attempts == attempts + 2


def test_times_ahead_within_the_usual_are_respected(outbox: Outbox, clock: FakeClock) -> None:
    make_webhook()
    enqueue()
    now_ns = clock.wall_ns()
    WebhookDelivery.objects.update(created_ns=now_ns, next_try_ns=now_ns + 86_400 * S)
    assert outbox.claim({}) == []
    WebhookDelivery.objects.update(attempts=9, next_try_ns=now_ns + 990 * S)
    assert outbox.claim({}) == []
    WebhookDelivery.objects.update(next_try_ns=0, leased_until_ns=now_ns + 60 * S)
    assert outbox.claim({}) == [], "the clock of another host may be half a minute ahead"


def test_the_result_of_a_deleted_webhook_is_discarded(outbox: Outbox) -> None:
    webhook = make_webhook()
    enqueue(2)
    first, second = outbox.claim({})
    webhook.delete()
    outbox.delivered(first, 200)
    outbox.failed(second, DOWN)
    outbox.release([first, second])
    assert not WebhookDelivery.objects.exists() and outbox.claim({}) == []


def test_the_number_of_dead_deliveries_is_bounded(
    outbox: Outbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver is down for weeks."""
    monkeypatch.setattr("ninjacam.webhooks.outbox.MAX_DEAD", 3)
    webhook, other = make_webhook(), make_webhook()
    enqueue(5)
    WebhookDelivery.objects.update(state="dead", ended_ns=clock.wall_ns())
    other.deliveries.update(state="waiting", ended_ns=None)
    outbox.clean()
    pks = list(webhook.deliveries.order_by("pk").values_list("event_id", flat=True))
    assert len(pks) == 3 and pks == sorted(pks) and other.deliveries.count() == 5
    assert "the 2 oldest dead deliveries were deleted" in caplog.text


def test_a_delivery_that_is_being_sent_is_not_given_up(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjacam.webhooks.outbox.MAX_WAITING", 1)
    webhook = make_webhook()
    enqueue(MAX_AT_ONCE + 2)
    claimed = outbox.claim({})
    outbox.clean()
    outbox.delivered(claimed[0], 200)
    states = list(webhook.deliveries.order_by("pk").values_list("state", flat=True))
    assert states == ["delivered", *["waiting"] * 3, "dead", "waiting"]

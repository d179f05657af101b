"""The loop, with an outbox in memory."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from django.db import OperationalError

from ninjacam.core.lifecycle import Stop
from ninjacam.models import Action
from ninjacam.webhooks import courier
from ninjacam.webhooks.courier import Courier
from ninjacam.webhooks.outbox import Claimed
from ninjacam.webhooks.request import DeliveryError

SECRET = "whsec_0123456789abcdef"


def delivery(pk: int, webhook_id: int = 1, **fields: Any) -> Claimed:
    return Claimed(
        pk, f"webhook-{webhook_id}", f"key-{pk}", b"{}", 1, f"http://receiver-{webhook_id}/", SECRET, **fields
    )


class MemoryOutbox:
    def __init__(self, *due: Claimed) -> None:
        self.due = list(due)
        self.results: list[tuple[str, int]] = []
        self.in_flight: list[dict[str, int]] = []
        self.is_away = False

    def claim(self, in_flight: Mapping[str, int]) -> list[Claimed]:
        if self.is_away:
            raise OperationalError
        self.in_flight.append(dict(in_flight))
        due, self.due = self.due, []
        return due

    def delivered(self, claimed: Claimed, status: int) -> None:
        self.results.append(("delivered", claimed.pk))

    def failed(self, claimed: Claimed, error: DeliveryError) -> None:
        self.results.append((error.message, claimed.pk))

    def renew(self, claimed: Claimed) -> None:
        self.results.append(("renewed", claimed.pk))

    def release(self, claimed: list[Claimed]) -> None:
        self.results += [("released", each.pk) for each in claimed]

    def clean(self) -> None: ...


async def unused(*_: Any, **__: Any) -> int:
    raise AssertionError


def run(
    outbox: MemoryOutbox,
    send: Callable[..., Awaitable[int]],
    until: Callable[[], bool],
    perform: Callable[[Claimed], None] = lambda _: None,
) -> None:
    async def body() -> None:
        stop = Stop()
        running = asyncio.create_task(
            Courier(stop, outbox=outbox, send=send, perform=perform).run()  # type: ignore[arg-type]
        )
        async with asyncio.timeout(5):
            while not until():  # noqa: ASYNC110 (waits for another task)
                await asyncio.sleep(0.01)
        stop.set()
        await running

    asyncio.run(body())


def wait_for(condition: Callable[[], bool]) -> None:
    """Block, at most 5 s."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError


def test_deliveries_are_signed_and_their_results_stored() -> None:
    sent: list[tuple[str, Mapping[str, str]]] = []

    async def send(url: str, body: bytes, headers: Mapping[str, str], *, verify_tls: bool) -> int:
        sent.append((url, headers))
        if len(sent) == 2:
            raise DeliveryError("No.")
        return 200

    outbox = MemoryOutbox(delivery(1), delivery(2), delivery(3, error="No secret."))
    run(outbox, send, lambda: len(outbox.results) == 3)
    assert sorted(outbox.results) == [("No secret.", 3), ("No.", 2), ("delivered", 1)]
    assert [url for url, _ in sent] == ["http://receiver-1/"] * 2
    assert sent[0][1]["Idempotency-Key"] == "key-1" and ",v1=" in sent[0][1]["Ninjacam-Signature"]


def test_a_slow_receiver_does_not_delay_others_and_is_interrupted_by_a_stop() -> None:
    async def send(url: str, *_: Any, **__: Any) -> int:
        if "receiver-1" in url:
            await asyncio.sleep(3600)
        return 200

    outbox = MemoryOutbox(delivery(1), delivery(2, webhook_id=2))
    run(outbox, send, lambda: len(outbox.in_flight) > 1)
    assert outbox.results == [("delivered", 2), ("released", 1)]
    assert outbox.in_flight[:2] == [{}, {"webhook-1": 1}]


def test_a_bug_while_sending_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def send(url: str, *_: Any, **__: Any) -> int:
        if "receiver-1" in url:
            raise ZeroDivisionError
        return 200

    outbox = MemoryOutbox(delivery(1), delivery(2, webhook_id=2))
    run(outbox, send, lambda: len(outbox.results) == 2)
    failed, delivered = sorted(outbox.results, key=lambda result: result[1])
    assert failed[0].startswith("An internal error") and delivered == ("delivered", 2)
    assert "a delivery failed by a bug" in caplog.text and SECRET not in caplog.text


def test_a_response_that_has_arrived_when_the_stop_comes_is_stored() -> None:
    """The body of the response is still being read."""
    begun: list[str] = []

    async def send(url: str, *_: Any, **__: Any) -> int:
        begun.append(url)
        await asyncio.sleep(0.1)
        return 200

    outbox = MemoryOutbox(delivery(1))
    run(outbox, send, lambda: bool(begun))
    assert outbox.results[0] == ("delivered", 1)


def test_a_database_that_is_away_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    async def send(*_: Any, **__: Any) -> int:
        return 200

    outbox = MemoryOutbox(delivery(1))
    outbox.is_away = True

    def is_back() -> bool:
        if "the database does not respond" in caplog.text:
            outbox.is_away = False
        return bool(outbox.results)

    run(outbox, send, is_back)
    assert caplog.text.count("the database does not respond") == 1


def test_actions_of_rules_run_in_a_thread_and_are_not_posted() -> None:
    done: list[tuple[int, str]] = []

    def perform(claimed: Claimed) -> None:
        done.append((claimed.pk, threading.current_thread().name))
        if claimed.pk == 2:
            raise DeliveryError("No room.")

    outbox = MemoryOutbox(*(delivery(pk, action=Action.NOTIFY) for pk in (1, 2)))

    run(outbox, unused, lambda: len(outbox.results) == 2, perform)
    assert sorted(outbox.results) == [("No room.", 2), ("delivered", 1)]
    assert all(name.startswith("rule-notify") for _, name in done)


def test_an_e_mail_that_takes_long_keeps_its_lease_and_is_not_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(courier, "RENEW_EVERY_S", 0.01)
    outbox = MemoryOutbox(delivery(1, action=Action.NOTIFY))
    run(
        outbox,
        unused,
        lambda: ("delivered", 1) in outbox.results,
        lambda _: wait_for(lambda: len(outbox.results) >= 3),
    )
    assert outbox.results[:3] == [("renewed", 1)] * 3 and outbox.results[-1] == ("delivered", 1)


def test_an_action_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "RENEW_EVERY_S", 0.01)
    monkeypatch.setattr(courier, "MAX_RENEWALS", 2)
    released = threading.Event()
    outbox = MemoryOutbox(delivery(1, action=Action.NOTIFY))
    try:
        run(outbox, unused, lambda: len(outbox.results) == 3, lambda _: wait_for(released.is_set))
    finally:
        released.set()
    assert outbox.results[-1][0].startswith("The action took too long")


def test_slow_mail_servers_delay_no_protection() -> None:
    released = threading.Event()

    def perform(claimed: Claimed) -> None:
        if claimed.action == Action.NOTIFY:
            assert released.wait(5)

    mails = [delivery(pk, action=Action.NOTIFY) for pk in range(1, 5)]
    outbox = MemoryOutbox(*mails, delivery(5, action=Action.PROTECT))

    def is_protected() -> bool:
        if outbox.results == [("delivered", 5)]:
            released.set()
        return len(outbox.results) == 5

    run(outbox, unused, is_protected, perform)

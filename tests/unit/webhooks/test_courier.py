"""The loop, with an outbox in memory."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from django.db import OperationalError

from ninjacam.core.lifecycle import Stop
from ninjacam.models import Action
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

    def release(self, claimed: list[Claimed]) -> None:
        self.results += [("released", each.pk) for each in claimed]

    def clean(self) -> None: ...


def run(outbox: MemoryOutbox, send: Callable[..., Awaitable[int]], until: Callable[[], bool]) -> None:
    async def body() -> None:
        stop = Stop()
        courier = asyncio.create_task(Courier(stop, outbox=outbox, send=send).run())  # type: ignore[arg-type]
        async with asyncio.timeout(5):
            while not until():  # noqa: ASYNC110 (waits for another task)
                await asyncio.sleep(0.01)
        stop.set()
        await courier

    asyncio.run(body())


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

    async def send(*_: Any, **__: Any) -> int:
        raise AssertionError

    def perform(claimed: Claimed) -> None:
        done.append((claimed.pk, threading.current_thread().name))
        if claimed.pk == 2:
            raise DeliveryError("No room.")

    outbox = MemoryOutbox(*(delivery(pk, action=Action.NOTIFY) for pk in (1, 2)))

    async def body() -> None:
        stop = Stop()
        courier = asyncio.create_task(
            Courier(stop, outbox=outbox, send=send, perform=perform).run()  # type: ignore[arg-type]
        )
        async with asyncio.timeout(5):
            while len(outbox.results) < 2:  # noqa: ASYNC110 (waits for another task)
                await asyncio.sleep(0.01)
        stop.set()
        await courier

    asyncio.run(body())
    assert sorted(outbox.results) == [("No room.", 2), ("delivered", 1)]
    assert all(name.startswith("rule-action") for _, name in done)

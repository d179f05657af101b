import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import InterfaceError, OperationalError

from ninjacam.conf import parse_settings
from ninjacam.live.subscriptions import SubscribeRequest
from ninjacam.problems import Problem
from ninjacam.viewers.auth import Database
from ninjacam.viewers.worker import Worker

ASKED = {"op": "subscribe", "id": 1, "camera": "door", "codecs": ["h264"]}


@pytest.mark.parametrize(
    "wrong",
    [{"id": True}, {"id": 1.5}, {"id": None}, {"width": True}, {"width": float("nan")}, {"width": 1e300}],
)
def test_a_subscription_with_a_non_numeric_value_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        SubscribeRequest.parse({**ASKED, **wrong})
    assert caught.value.status == 400


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_an_unavailable_database_gives_503(error: type[Exception]) -> None:
    def ask() -> None:
        raise error("gone")

    async def go() -> None:
        database = Database()
        with pytest.raises(Problem) as caught:
            await database.run(ask)
        assert (caught.value.status, caught.value.code) == (503, "database")
        database.close()

    asyncio.run(go())


class OneViewer:
    role = "view"
    sink: Any = SimpleNamespace(blocked_since=0.0, dropped=0, sent=0, sent_bytes=0)

    def __init__(self, pk: int, source: str = "session", link_id: str = "", address: str = "") -> None:
        user = SimpleNamespace(pk=pk)
        self.principal = cast(
            Any, SimpleNamespace(user=user, source=source, link_id=link_id, address=address)
        )

    def watching(self) -> tuple[()]:
        return ()

    def revoked(self, camera: object) -> None: ...
    def too_slow(self) -> None: ...
    def stop(self) -> None: ...


def refusal(worker: Worker, viewer: OneViewer) -> int:
    """Return the status with which the viewer is refused; 0: not refused."""
    try:
        worker.add(viewer)
    except Problem as problem:
        return problem.status
    return 0


def test_one_account_cannot_use_all_slots() -> None:
    async def go() -> None:
        worker = Worker(parse_settings({"MAX_VIEWERS_PER_WORKER": 8}))
        assert [refusal(worker, OneViewer(1)) for _ in range(3)] == [0, 0, 429]
        assert refusal(worker, OneViewer(2)) == 0
        worker.close()

    asyncio.run(go())


def test_viewers_by_link_use_no_slot_of_its_owner_and_not_all_of_the_link() -> None:
    async def go() -> None:
        # 8 per user, 8 for links of a user, 2 per link and address.
        worker = Worker(parse_settings({"MAX_VIEWERS_PER_WORKER": 32}))
        flood = [refusal(worker, OneViewer(1, "signed", "a", "203.0.113.7")) for _ in range(4)]
        assert flood == [0, 0, 429, 429]
        assert refusal(worker, OneViewer(1, "signed", "a", "203.0.113.8")) == 0, "another address"
        assert refusal(worker, OneViewer(1, "signed", "b", "203.0.113.7")) == 0, "another link"
        crowd = [refusal(worker, OneViewer(1, "signed", "a", f"198.51.100.{n}")) for n in range(8)]
        assert crowd == [0] * 4 + [429] * 4, "8 in all by links of this user"
        assert [refusal(worker, OneViewer(1)) for _ in range(9)] == [0] * 8 + [429], "the owner's own"
        assert refusal(worker, OneViewer(2, "signed", "c", "203.0.113.7")) == 0
        worker.close()

    asyncio.run(go())


def test_a_database_that_hangs_gives_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninjacam.viewers.auth.ANSWER_TIMEOUT_S", 0.05)
    over = threading.Event()

    async def go() -> None:
        database = Database()
        for _ in range(4):  # more than the number of threads
            with pytest.raises(Problem) as caught:
                await database.run(over.wait, 30)
            assert (caught.value.status, caught.value.code) == (503, "database")
        over.set()
        database.close()

    asyncio.run(go())


class Watching(OneViewer):
    def __init__(self) -> None:
        super().__init__(1)
        self.sink = SimpleNamespace(blocked_since=0.0, dropped=0, sent=0, sent_bytes=0)
        self.over = asyncio.Event()

    def watching(self) -> Any:
        return ((self.principal, SimpleNamespace(slug="door"), None),)

    def stop(self) -> None:
        self.over.set()


@pytest.mark.parametrize("fault", ["error", "bug", "hang"])
def test_streams_end_if_permissions_cannot_be_checked_for_too_long(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ninjacam.viewers.worker.TICK_S", 0.01)
    monkeypatch.setattr("ninjacam.viewers.worker.AWAY_GRACE_S", 0.3)
    over = threading.Event()

    def recheck_all(asked: list[Any]) -> list[bool]:
        if fault == "error":
            raise OperationalError("gone")
        if fault == "bug":
            raise RuntimeError("of a session backend")
        over.wait(30)
        return [True] * len(asked)

    monkeypatch.setattr("ninjacam.viewers.auth.recheck_all", recheck_all)

    async def go() -> None:
        worker = Worker(parse_settings({"REAUTH_S": 0.05}))
        viewer = Watching()
        begun = time.monotonic()
        worker.add(viewer)
        await asyncio.wait_for(viewer.over.wait(), 20)
        assert time.monotonic() - begun >= 0.3
        over.set()
        worker.remove(viewer)
        worker.close()

    asyncio.run(go())


def test_permissions_are_checked_when_they_are_due_and_the_housekeeping_does_not_spin_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ninjacam.viewers.worker.TICK_S", 3600.0)
    began, end = threading.Event(), threading.Event()

    def recheck_all(asked: list[Any]) -> list[bool]:
        began.set()
        end.wait(30)
        return [True] * len(asked)

    monkeypatch.setattr("ninjacam.viewers.auth.recheck_all", recheck_all)

    async def go() -> None:
        worker = Worker(parse_settings({"REAUTH_S": 0.001}))
        turns = []
        monkeypatch.setattr(worker, "publish", lambda: turns.append(1))
        viewer = Watching()
        worker.add(viewer)
        assert await asyncio.to_thread(began.wait, 20), "not only at the next tick"
        await asyncio.sleep(0.01)  # the next check is due, and waits for this one
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(turns) <= 2
        end.set()
        worker.remove(viewer)
        worker.close()

    asyncio.run(go())


def test_one_address_cannot_use_all_slots_but_a_proxy_on_this_host_can() -> None:
    async def go() -> None:
        worker = Worker(parse_settings({"MAX_VIEWERS_PER_WORKER": 8}))
        crowd = [refusal(worker, OneViewer(user, address="203.0.113.7")) for user in range(5)]
        assert crowd == [0, 0, 0, 0, 429]
        assert refusal(worker, OneViewer(9, address="203.0.113.8")) == 0
        worker.close()
        worker = Worker(parse_settings({"MAX_VIEWERS_PER_WORKER": 8}))
        assert [refusal(worker, OneViewer(user, address="127.0.0.1")) for user in range(8)] == [0] * 8
        worker.close()

    asyncio.run(go())

"""The stream of events: who receives what, in which order, and from where it continues."""

import asyncio
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.contrib.auth.models import User

from ninjacam import events
from ninjacam.actions.tokens import create_token
from ninjacam.auth import LocalOperator, principal_from
from ninjacam.front_door.messages import Message
from ninjacam.live import events as live
from ninjacam.live.events import EventClient, EventFeed
from ninjacam.live.sink import Sink
from ninjacam.models import Camera, CameraGrant, Event, EventUpdate
from ninjacam.problems import Problem
from ninjacam.queries.event_updates import Span, Update, journal_span, read_updates, replayable_again
from tests.unit.conftest import make_event


def update(pk: int, slug: str = "door", kind: str = "person") -> Update:
    return Update(pk, "begun", slug, {"id": pk, "kind": kind})


class Client(EventClient):
    """What it has been sent is in `text`."""

    def __init__(
        self, cameras: frozenset[str] | None = None, kind: str = "", position: int = 0, user: int = 1
    ) -> None:
        self.text = ""

        async def send(message: Message) -> None:
            self.text += message["body"].decode()

        sink = Sink(send, on_overflow=lambda: None, on_broken=self.end)
        who = cast(Any, SimpleNamespace(user=SimpleNamespace(pk=user)))
        super().__init__(who, cameras, "", kind, position, sink)

    @property
    def ids(self) -> list[int]:
        return [int(line[4:]) for line in self.text.splitlines() if line.startswith("id: ")]


def in_loop(function: Callable[[], None]) -> None:
    async def run() -> None:
        function()

    asyncio.run(run())


def test_a_client_receives_what_it_may_read_and_wants() -> None:
    def check() -> None:
        all_, some, cars = Client(), Client(frozenset({"door"})), Client(kind="car")
        rows = [update(1), update(2, "yard", "car"), Update(3, "ended", "", None), update(4, "")]
        for client in (all_, some, cars):
            client.offer(rows)
            assert client.position == 4
        assert (all_.ids, some.ids, cars.ids) == ([1, 2, 4], [1], [2])
        assert all_.text.startswith('event: begun\nid: 1\ndata: {"id":1,"kind":"person"}\n\n')

    in_loop(check)


def test_a_client_receives_each_update_once() -> None:
    def check() -> None:
        client = Client(position=2)
        client.offer([update(1), update(2), update(3)])
        client.offer([update(3), update(4)])
        assert client.ids == [3, 4]

    in_loop(check)


def test_an_idle_client_gets_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        client = Client()
        client.offer([])
        assert client.text == ""
        now_s = time.monotonic()
        later = SimpleNamespace(monotonic=lambda: now_s + live.HEARTBEAT_S + 1)
        monkeypatch.setattr("ninjacam.live.events.time", later)
        client.offer([])
        client.offer([])
        assert client.text == ": still here\n\n"

    in_loop(check)


def test_a_missing_position_is_waited_for_and_then_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = EventFeed(cast(Any, None))
    now_s = [100.0]
    monkeypatch.setattr("ninjacam.live.events.time", SimpleNamespace(monotonic=lambda: now_s[0]))
    rows = [update(5), update(6), update(8)]
    assert feed._without_gap(4, rows) == rows[:2]
    assert feed._without_gap(6, rows[2:]) == []
    assert feed._without_gap(6, [update(7), update(8)]) == [update(7), update(8)]
    assert feed._without_gap(8, [update(10)]) == []
    now_s[0] += live.GAP_S
    assert feed._without_gap(8, [update(10)]) == [update(10)]


@pytest.mark.parametrize(
    ("header", "position", "event"),
    [
        ("", 20, "ready"), ("12", 12, None), ("20", 20, None), ("9", 9, None), ("8", 20, "reset"),
        ("21", 20, "reset"), ("x", 20, "reset"), ("-1", 20, "reset"), ("9" * 30, 20, "reset"), ("²", 20, "reset"),
    ],
)  # fmt: skip
def test_a_client_continues_at_its_last_message_if_the_journal_still_has_it(
    header: str, position: int, event: str | None
) -> None:
    begin, first = live._begin(header, Span(10, 20))
    assert begin == position and (f"event: {event}\nid: 20" in first.decode()) == (event is not None)


def test_a_user_has_a_limited_number_of_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        feed = EventFeed(cast(Any, None))
        feed._clients = {Client() for _ in range(live.MAX_PER_USER)}
        with pytest.raises(Problem) as raised:
            feed.check_share(Client().principal)
        assert raised.value.status == 429
        feed.check_share(Client(user=2).principal)

    in_loop(check)


@pytest.mark.django_db
def test_the_journal_has_the_events_as_they_are_now(camera: Camera, django_assert_num_queries: Any) -> None:
    assert journal_span() == Span(0, 0)
    before = make_event()
    EventUpdate.write(before.pk, "begun")
    visit = events.begin("door", "visitor")
    visit.end(label="Ada")
    before.delete()
    with django_assert_num_queries(2):
        gone, begun, changed, ended = read_updates(0, 10)
    assert gone.event is None and [each.kind for each in (begun, changed, ended)] == [
        "begun",
        "changed",
        "ended",
    ]
    assert begun.slug == "door" and json.loads(json.dumps(begun.event))["label"] == "Ada"
    span = journal_span()
    assert span == Span(gone.pk, ended.pk)
    with django_assert_num_queries(1):
        assert read_updates(span.newest, 10) == []
    assert len(read_updates(0, 2)) == 2 and Event.objects.count() == 1


@pytest.mark.django_db
def test_permissions_are_read_again(viewer: User, admin_user: User, yard: Camera) -> None:
    def read() -> list[frozenset[str] | None]:
        return replayable_again([(who, []), (who, ["door"]), (boss, [])])

    secrets = [create_token(LocalOperator(), user, "t", ("*",)) for user in (viewer, admin_user)]
    found = [principal_from(cookies={}, authorization=f"Bearer {secret}") for _, secret in secrets]
    who, boss = cast(Any, found)
    assert read() == [frozenset(), frozenset(), None]
    CameraGrant.objects.create(camera=Camera.objects.get(slug="door"), user=viewer, role="replay")
    assert read() == [frozenset({"door"}), frozenset({"door"}), None]
    User.objects.update(is_active=False)
    assert read() == [frozenset()] * 3

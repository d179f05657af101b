"""The stream of events: who receives what, in which order, and from where it continues."""

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.test import Client as DjangoClient

from ninjacam import events
from ninjacam.actions.tokens import create_token
from ninjacam.auth import LocalOperator, principal_from
from ninjacam.core.errors import NotFoundError
from ninjacam.front_door.messages import Message
from ninjacam.live import events as live
from ninjacam.live.events import EventClient, EventFeed
from ninjacam.live.sink import Sink
from ninjacam.models import Camera, CameraGrant, Event, EventUpdate
from ninjacam.problems import Problem
from ninjacam.queries.event_updates import Span, Update, journal_span, read_updates, replayable_again
from ninjacam.viewers import auth
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
        assert client.text == ": still here\nid: 0\n\n"

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


class Database:
    """A journal in memory: one row for each of `count` events, the oldest of which may be gone."""

    def __init__(self, count: int, size_bytes: int = 10, oldest: int = 1) -> None:
        self.count = count
        self.oldest = oldest
        self.queries = 0
        self._size_bytes = size_bytes

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.queries += 1
        if function is auth.read_event_span:
            return Span(self.oldest, self.count)
        since, max_rows = arguments
        first = max(since + 1, self.oldest)
        return [
            Update(pk, "begun", "door", {"id": pk, "kind": "person", "data": str(pk % 10) * self._size_bytes})
            for pk in range(first, min(first + max_rows, self.count + 1))
        ]


class StuckClient(Client):
    """Its server's buffer is full with the first message, until `reads` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = asyncio.Event()
        self.feed = feed_of(Database(0))

        async def send(message: Message) -> None:
            await self.reads.wait()
            self.text += message["body"].decode()

        self.sink = Sink(
            send, on_overflow=lambda: None, on_broken=self.end, on_drained=lambda: self.feed.wake()
        )


def feed_of(database: Database, *clients: EventClient) -> EventFeed:
    feed = EventFeed(cast(Any, SimpleNamespace(database=database)))
    feed._clients = set(clients)
    return feed


def test_a_client_that_reads_nothing_fills_no_memory_and_delays_no_others() -> None:
    async def run() -> None:
        database = Database(0, size_bytes=4000)
        stuck, quick = [StuckClient() for _ in range(10)], Client()
        feed = feed_of(database, quick, *stuck)
        await feed._poll()
        tracemalloc.start()
        try:
            for _ in range(10):  # 20 MB of events for each client.
                database.count += live.MAX_ROWS
                quick.text = ""
                while await feed._poll():
                    pass
                assert quick.ids[-1] == database.count
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # 500 rows and their JSON, the text of `quick`, and a message for each of the others: 8 MB.
        assert peak_bytes < 16 << 20
        for client in stuck:
            assert len(client.sink._pending) == 0 and client.sink.is_blocked
            await client.sink.close(grace_s=0)

    asyncio.run(run())


def test_a_slow_client_continues_where_it_was() -> None:
    async def run() -> None:
        database = Database(3)
        slow = StuckClient()
        feed = slow.feed = feed_of(database, slow)
        await feed._poll()
        database.count = 1200
        assert not await feed._poll() and slow.position == 3
        slow.reads.set()
        async with asyncio.timeout(2):
            await feed._wake.wait()
        for _ in range(3):
            await feed._poll()
            await asyncio.sleep(0)
        assert slow.ids == list(range(1, 1201))

    asyncio.run(run())


def test_a_client_that_is_behind_delays_no_others() -> None:
    async def run() -> None:
        behind, live_one = Client(), Client(position=9_000)
        feed = feed_of(Database(9_001), behind, live_one)
        assert await feed._poll()
        assert live_one.ids == [9_001] and behind.ids[-1] == live.MAX_ROWS
        while await feed._poll():
            pass
        assert behind.ids == list(range(1, 9_002)) and live_one.ids == [9_001]

    asyncio.run(run())


def test_a_client_whose_updates_are_gone_is_reset() -> None:
    async def run() -> None:
        client = Client(position=5)
        feed = feed_of(Database(20_000, oldest=10_001), client)
        await feed._poll()
        assert client.text == "event: reset\nid: 20000\ndata: {}\n\n" and client.position == 20_000

    asyncio.run(run())


def test_an_update_is_encoded_once_for_all_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []

    def dumps(event: Any, **options: Any) -> str:
        encoded.append(event["id"])
        return json.dumps(event, **options)

    monkeypatch.setattr("ninjacam.queries.event_updates.json", SimpleNamespace(dumps=dumps))

    async def run() -> None:
        clients = [Client() for _ in range(8)]
        await feed_of(Database(3), *clients)._poll()
        assert encoded == [1, 2, 3] and all(client.ids == [1, 2, 3] for client in clients)

    asyncio.run(run())


def test_only_the_last_change_of_an_event_is_sent_and_no_end_is_lost() -> None:
    def row(pk: int, event: int, kind: str) -> Update:
        return Update(pk, kind, "door", {"id": event, "kind": "person"})

    rows = [
        row(1, 7, "begun"), row(2, 7, "changed"), row(3, 8, "begun"), row(4, 7, "changed"), row(5, 7, "ended"),
        row(6, 8, "changed"), row(7, 8, "ended"), row(8, 7, "changed"), Update(9, "changed", "", None),
    ]  # fmt: skip
    assert [each.pk for each in live.coalesce(rows)] == [1, 3, 5, 6, 7, 8, 9]


def test_gaps_are_waited_for_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = EventFeed(cast(Any, None))
    now_s = [100.0]
    monkeypatch.setattr("ninjacam.live.events.time", SimpleNamespace(monotonic=lambda: now_s[0]))
    rows = [update(2), update(4), update(6), update(7)]
    assert feed._without_gap(0, rows) == []
    now_s[0] += live.GAP_S
    assert feed._without_gap(0, rows) == rows
    assert feed._without_gap(7, [update(9)]) == []


def test_clients_end_if_a_bug_prevents_the_check_of_their_permissions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> None:
        async def fail(*_: Any) -> None:
            raise ZeroDivisionError

        settings = SimpleNamespace(reauth_s=0.0)
        worker = SimpleNamespace(settings=settings, database=SimpleNamespace(run=fail))
        feed, client = EventFeed(cast(Any, worker)), Client()
        monkeypatch.setattr("ninjacam.live.events.AWAY_GRACE_S", 0.0)
        feed.add(client)
        async with asyncio.timeout(5):
            await client.over
        feed.remove(client)

    asyncio.run(run())


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


@pytest.mark.django_db
@pytest.mark.parametrize("slug", ["door\0", "\0", "a" * 51, "Door", "../door", ""])
def test_texts_that_are_not_slugs_do_not_reach_the_database(
    slug: str, viewer: User, django_assert_num_queries: Any
) -> None:
    """PostgreSQL refuses NUL with an error, which looked like an outage of the database."""
    with django_assert_num_queries(0), pytest.raises(NotFoundError, match="No camera"):
        auth.authorise_movement(cast(Any, None), slug)


@pytest.mark.django_db
def test_a_stream_ends_when_its_user_logs_out(viewer: User, camera: Camera, client: DjangoClient) -> None:
    CameraGrant.objects.create(camera=camera, user=viewer, role="replay")
    client.force_login(viewer)
    who = cast(Any, principal_from(cookies={name: each.value for name, each in client.cookies.items()}))
    assert replayable_again([(who, [])]) == [frozenset({"door"})]
    client.logout()
    assert replayable_again([(who, [])]) == [frozenset()]


@pytest.mark.django_db
def test_the_events_of_a_deleted_camera_are_no_longer_sent(
    viewer: User, camera: Camera, yard: Camera
) -> None:
    for each in (camera, yard):
        CameraGrant.objects.create(camera=each, user=viewer, role="replay")
    _, secret = create_token(LocalOperator(), viewer, "t", ("*",))
    who = cast(Any, principal_from(cookies={}, authorization=f"Bearer {secret}"))
    asked: list[tuple[Any, list[str]]] = [(who, []), (who, ["door"])]
    assert replayable_again(asked) == [frozenset({"door", "yard"}), frozenset({"door"})]
    camera.delete()
    assert replayable_again(asked) == [frozenset({"yard"}), frozenset()]

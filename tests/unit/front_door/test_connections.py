"""Limits on connections, with real sockets of this process and a fake clock."""

import asyncio
import contextlib
import logging
import select
import socket
from collections.abc import Iterator

import pytest

from ninjacam.front_door import connections as connections_module
from ninjacam.front_door import log_limits
from ninjacam.front_door.connections import IDLE_S, MANY_CLOSED, MAX_IDLE_PER_ADDRESS, NEW_S, Connections


class Listener:
    """A server that only accepts connections."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self.socket = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        self.accepted: list[socket.socket] = []

    def connect(self, count: int, source: str = "127.0.0.1", *, accept: bool = True) -> list[socket.socket]:
        clients = []
        for _ in range(count):
            client = socket.create_connection(self.socket.getsockname(), source_address=(source, 0))
            clients.append(self._stack.enter_context(client))
        for _ in range(count if accept else 0):  # At once, or after DEFER_S.
            self.accepted.append(self._stack.enter_context(self.socket.accept()[0]))
        return clients


@pytest.fixture
def listener() -> Iterator[Listener]:
    with contextlib.ExitStack() as stack:
        yield Listener(stack)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(clock: Clock, max_connections: int = 1000, trusted: str = "") -> Connections:
    return Connections(max_connections, lambda address: address == trusted, monotonic=clock)


def is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True


def count_open(clients: list[socket.socket]) -> int:
    return sum(is_open(client) for client in clients)


def test_a_connection_without_a_request_is_closed_in_time(listener: Listener, clock: Clock) -> None:
    connections = make(clock)
    [client] = listener.connect(1)
    connections.look_once()
    clock.now_s += IDLE_S - 1
    connections.look_once()
    assert is_open(client)
    clock.now_s += 2
    connections.look_once()
    assert not is_open(client)
    assert connections.cut_count == 1


def test_a_connection_is_accepted_when_it_has_sent_something(listener: Listener, clock: Clock) -> None:
    make(clock).look_once()
    [client] = listener.connect(1, accept=False)
    assert not select.select([listener.socket], [], [], 0.2)[0]
    client.send(b"G")
    assert select.select([listener.socket], [], [], 10)[0]


def test_responses_are_sent_at_once(listener: Listener, clock: Clock) -> None:
    make(clock).look_once()
    listener.connect(1)
    assert listener.accepted[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_connection_being_served_is_kept_and_becomes_idle_afterwards(
    listener: Listener, clock: Clock
) -> None:
    connections = make(clock)
    [client] = listener.connect(1)
    with connections.request(client.getsockname()):
        connections.look_once()
        clock.now_s += 10 * IDLE_S
        connections.look_once()
    clock.now_s += 1
    connections.look_once()
    assert is_open(client)
    clock.now_s += IDLE_S + 1
    connections.look_once()
    assert not is_open(client)


def test_an_address_keeps_only_its_newest_idle_connections(listener: Listener, clock: Clock) -> None:
    connections = make(clock)
    old = listener.connect(10, "127.0.0.2")
    connections.look_once()
    clock.now_s += 1
    new = listener.connect(MAX_IDLE_PER_ADDRESS, "127.0.0.2")
    other = listener.connect(3, "127.0.0.3")
    connections.look_once()
    assert (count_open(old), count_open(new), count_open(other)) == (0, MAX_IDLE_PER_ADDRESS, 3)


def test_a_trusted_proxy_may_have_any_number_of_connections(listener: Listener, clock: Clock) -> None:
    connections = make(clock, trusted="127.0.0.2")
    clients = listener.connect(MAX_IDLE_PER_ADDRESS + 10, "127.0.0.2")
    connections.look_once()
    assert count_open(clients) == len(clients)


def test_if_all_slots_are_used_the_address_with_the_most_loses_its_idle_connections(
    listener: Listener, clock: Clock
) -> None:
    connections = make(clock, max_connections=30)
    many = listener.connect(25, "127.0.0.2")
    with contextlib.ExitStack() as stack:
        for client in many[:5]:
            stack.enter_context(connections.request(client.getsockname()))
        few = listener.connect(4, "127.0.0.3")
        more = listener.connect(11, "127.0.0.4")
        connections.look_once()
    assert count_open(many[:5]) == 5, "those are served"
    assert count_open(few) == 4
    assert count_open(many) + count_open(more) + count_open(few) == 30
    assert abs(count_open(many[5:]) - count_open(more)) <= 1


def test_connections_of_an_address_with_few_stay_although_they_are_older(
    listener: Listener, clock: Clock
) -> None:
    connections = make(clock, max_connections=30)
    few = listener.connect(4, "127.0.0.3")
    connections.look_once()
    clock.now_s += 1
    many = listener.connect(40, "127.0.0.2")
    connections.look_once()
    assert (count_open(few), count_open(many)) == (4, 26)


def test_a_pending_body_counts_as_idle_if_slots_are_missing(listener: Listener, clock: Clock) -> None:
    connections = make(clock, max_connections=16)
    clients = listener.connect(20, "127.0.0.2")
    with contextlib.ExitStack() as stack:
        for client in clients:
            stack.enter_context(connections.request(client.getsockname()))
            stack.enter_context(connections.body(client.getsockname()))
        connections.look_once()
        clock.now_s += 2 * IDLE_S
        connections.look_once()
    assert count_open(clients) == 16, "the body has a deadline of its own"


def test_a_server_that_accepts_no_more_gets_free_slots(listener: Listener, clock: Clock) -> None:
    connections = make(clock)
    idle = listener.connect(20, "127.0.0.2")
    listener.connect(5, "127.0.0.3", accept=False)
    connections.look_once()
    assert count_open(idle) == 20, "a burst is not a shortage yet"
    connections.look_once()
    connections.look_once()
    assert count_open(idle) == 20, "a server may be about to serve their requests"
    clock.now_s += NEW_S + 0.1
    connections.look_once()
    assert count_open(idle) == 15


def test_a_connection_whose_request_a_busy_server_has_not_read_is_not_closed_for_another(
    listener: Listener, clock: Clock
) -> None:
    connections = make(clock)
    clients = listener.connect(20, "127.0.0.2")
    for client in clients[:10]:  # the oldest
        client.send(b"GET / HTTP/1.1\r\n\r\n")
    listener.connect(5, "127.0.0.3", accept=False)
    for _ in range(6):
        connections.look_once()
        clock.now_s += NEW_S + 0.1
    assert count_open(clients[:10]) == 10
    assert count_open(clients[10:]) <= 10
    clock.now_s += IDLE_S
    connections.look_once()
    assert count_open(clients) == 0, "a request that is never served has a deadline"


def test_other_sockets_of_the_process_are_not_touched(listener: Listener, clock: Clock) -> None:
    connections = make(clock)
    left, right = socket.socketpair()
    with left, right:
        [client] = listener.connect(1)
        connections.look_once()
        clock.now_s += 2 * IDLE_S
        connections.look_once()
        left.send(b"x")
        assert right.recv(1) == b"x"
        assert not is_open(client)


def test_one_connection_can_be_closed_while_it_is_served(listener: Listener, clock: Clock) -> None:
    connections = make(clock)
    one, two = listener.connect(2)
    with connections.request(one.getsockname()):
        connections.look_once()
        connections.abort(one.getsockname())
    assert not is_open(one)
    assert is_open(two)


def test_a_server_that_announces_its_connections_is_checked_only_while_some_are_idle(
    listener: Listener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "TICK_S", 0)
    monkeypatch.setattr(connections_module, "START_TICK_S", 0)
    connections = make(clock)
    announce = connections.expect_announcements()
    looks = []
    look_once = connections.look_once

    def count_and_look() -> None:
        looks.append(1)
        look_once()

    monkeypatch.setattr(connections, "look_once", count_and_look)

    async def pass_ticks() -> int:
        looks.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        return len(looks)

    async def script() -> None:
        connections.start()
        assert await pass_ticks() == 2
        assert await pass_ticks() == 0
        [client] = listener.connect(1)
        announce()
        assert await pass_ticks() > 10
        with connections.request(client.getsockname()):
            await pass_ticks()
            assert await pass_ticks() == 0, "it is served, and not idle"
        assert await pass_ticks() > 10
        clock.now_s += IDLE_S + 1
        await pass_ticks()
        assert not is_open(client)
        listener.accepted.pop().close()
        await pass_ticks()
        assert await pass_ticks() == 0
        connections.close()

    asyncio.run(script())


@pytest.mark.parametrize(
    ("count", "level", "line"),
    [
        (1, logging.INFO, "Closed 1 connection without a request (1 since the start)"),
        (2, logging.INFO, "Closed 2 connections without a request (2 since the start)"),
        (
            MANY_CLOSED,
            logging.WARNING,
            f"Closed {MANY_CLOSED} connections without a request ({MANY_CLOSED} since the start)",
        ),
    ],
)
def test_only_many_closed_connections_are_worth_a_warning(
    listener: Listener,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    level: int,
    line: str,
) -> None:
    monkeypatch.setattr(log_limits, "_rarely", log_limits.Rarely(monotonic=clock))
    caplog.set_level(logging.INFO, "ninjacam.front_door")
    connections = make(clock)
    listener.connect(count)
    connections.look_once()
    clock.now_s += IDLE_S + 1
    connections.look_once()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(level, line)]

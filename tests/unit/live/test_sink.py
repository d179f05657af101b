import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ninjacam.front_door.messages import Message
from ninjacam.live.sink import MAX_CONTROL, MAX_PENDING, Sink


class FakeServer:
    """A server's `send` that suspends while `open` is not set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.sent: list[Any] = []
        self.error: Exception | None = None
        self.overflows = 0
        self.broken = 0
        self.gave_up = 0
        self.sink = Sink(self.send, on_overflow=self._overflow, on_broken=self._break, give_up=self._give_up)

    async def send(self, message: Message) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.sent.append(message["n"])

    def _overflow(self) -> None:
        self.overflows += 1

    def _break(self) -> None:
        self.broken += 1

    def _give_up(self) -> None:
        self.gave_up += 1

    async def settle(self) -> None:
        for _ in range(500):
            await asyncio.sleep(0)


def run(test: Callable[[FakeServer], Awaitable[None]]) -> None:
    async def go() -> None:
        await test(FakeServer())

    asyncio.run(go())


def test_messages_that_the_server_accepts_at_once_need_no_task() -> None:
    async def test(server: FakeServer) -> None:
        before = len(asyncio.all_tasks())
        for number in range(3):
            server.sink.put({"n": number}, 10)
        assert server.sent == [0, 1, 2] and len(asyncio.all_tasks()) == before
        assert (server.sink.sent, server.sink.sent_bytes, server.sink.blocked_since) == (3, 30, 0.0)

    run(test)


def test_messages_during_a_suspended_send_follow_in_order() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        for number in range(5):
            server.sink.put({"n": number}, 10)
        assert server.sink.blocked_since > 0 and server.sent == []
        server.open.set()
        await server.settle()
        assert server.sent == [0, 1, 2, 3, 4]
        assert not server.sink.is_blocked and server.sink.blocked_since == 0
        server.sink.put({"n": 5})
        assert server.sent[-1] == 5

    run(test)


def test_only_the_latest_message_of_a_slot_waits() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        slot = object()
        for number in range(10):
            server.sink.put({"n": number}, 10, slot)
        server.open.set()
        await server.settle()
        assert server.sent == [0, 9]
        assert server.sink.dropped == 8

    run(test)


def test_too_many_frames_are_dropped_but_control_messages_are_not() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        server.sink.put({"n": "first"}, 10)
        server.sink.put({"n": "state"})
        for number in range(MAX_PENDING):
            server.sink.put({"n": number}, 10)
        assert server.overflows == 1
        server.sink.put({"n": "key"}, 10)
        server.open.set()
        await server.settle()
        assert server.sent == ["first", "state", "key"]

    run(test)


def test_too_many_bytes_are_dropped_too() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        for number in range(4):
            server.sink.put({"n": number}, 1 << 20)
        assert server.overflows == 1

    run(test)


def test_a_viewer_that_reads_no_control_messages_is_disconnected() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        for number in range(MAX_CONTROL + 2):
            server.sink.put({"n": number})
        assert server.broken == 1
        await server.sink.close(grace_s=0.01)

    run(test)


def test_a_send_that_raises_breaks_the_sink_once() -> None:
    async def test(server: FakeServer) -> None:
        server.error = OSError("gone")
        server.sink.put({"n": 1})
        server.sink.put({"n": 2})
        assert server.broken == 1

    run(test)


def test_a_send_that_raises_after_it_was_suspended_breaks_it_too() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        server.sink.put({"n": 1})
        server.error = RuntimeError("closed")
        server.open.set()
        await server.settle()
        assert server.broken == 1

    run(test)


def test_closing_sends_the_last_message_and_discards_waiting_ones() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        for number in range(3):
            server.sink.put({"n": number}, 10)
        closing = asyncio.ensure_future(server.sink.close({"n": "last"}, grace_s=1))
        await server.settle()
        server.open.set()
        await closing
        await server.sink.close({"n": "again"}, grace_s=1)
        assert server.sent == [0, "last"] and server.gave_up == 0

    run(test)


def test_a_peer_that_reads_nothing_is_given_up_after_the_grace_period() -> None:
    async def test(server: FakeServer) -> None:
        server.open.clear()
        server.sink.put({"n": 0}, 10)
        await server.sink.close({"n": "last"}, grace_s=0.01)
        assert server.gave_up == 1 and server.sent == []
        await server.settle()
        assert len(asyncio.all_tasks()) == 1

    run(test)

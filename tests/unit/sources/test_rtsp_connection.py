"""How often the wire is read, over real sockets."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
import uvloop

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.sources.rtsp.connection import RtspConnection
from tests.unit.sources.rtp_support import interleaved

PACKET = interleaved([b"\x80" + bytes(11)])


class Reads(RtspConnection):
    """Counts the wake-ups."""

    reads = 0

    def buffer_updated(self, nbytes: int) -> None:
        self.reads += 1
        super().buffer_updated(nbytes)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about within 5 s")


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Reads, socket.socket, list[int]]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.socket()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        ours.connect(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.setblocking(False)
    _, connection = await asyncio.get_running_loop().create_connection(
        lambda: Reads(SYSTEM_CLOCK, "camera"), sock=ours
    )
    taken: list[int] = []

    def take(_data: memoryview, start: int, stop: int, _end: int, _received_ns: int) -> int:
        taken.append(start)
        return stop

    connection.handle(0, take)
    with theirs:
        yield connection, theirs, taken
    connection.relax(0)
    await until(connection.ended.done)
    await asyncio.sleep(0.01)  # the event loop closes it


BOTH_LOOPS = pytest.mark.parametrize(
    "loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)


@BOTH_LOOPS
def test_a_relaxed_connection_reads_data_in_batches_and_loses_nothing(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def go() -> None:
        async with connected() as (connection, camera, taken):
            began_s = time.monotonic()
            connection.relax(0.023)
            for _ in range(100):
                camera.send(PACKET)
                await asyncio.sleep(0.005)
            await until(lambda: len(taken) == 100)
            beats = (time.monotonic() - began_s) / 0.023
            assert connection.reads <= beats + 2

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(go())


class Resumes:
    """A transport that counts how often its socket is registered with the event loop again."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def resume_reading(self) -> None:
        self.count += 1
        self._transport.resume_reading()


@BOTH_LOOPS
def test_batches_are_read_without_registering_the_socket_again(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def go() -> None:
        async with connected() as (connection, camera, taken):
            connection.relax(0.023)
            camera.send(PACKET)
            await until(lambda: len(taken) == 1)
            assert connection._transport is not None
            resumes = Resumes(connection._transport)
            connection._transport = cast(asyncio.Transport, resumes)
            for count in range(2, 12):
                camera.send(PACKET)
                connection._go_on()
                assert len(taken) == count
            batches = resumes.count
            connection._go_on()
            assert (batches, resumes.count) == (0, 1), "the loop waits if nothing has arrived"
            camera.send(PACKET)
            await until(lambda: len(taken) == 12)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(go())


@BOTH_LOOPS
def test_the_end_of_a_relaxed_connection_is_noticed_at_the_next_read(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def go() -> None:
        async with connected() as (connection, camera, taken):
            connection.relax(0.023)
            camera.send(PACKET)
            await until(lambda: len(taken) == 1)
            camera.send(PACKET)
            camera.close()
            await until(connection.ended.done)
            assert len(taken) == 2, "with all of its data"

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(go())


def test_an_error_in_a_batch_ends_the_connection() -> None:
    def fail(*_: object) -> int:
        raise ZeroDivisionError

    async def go() -> None:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: errors.append(context["exception"])
        )
        async with connected() as (connection, camera, taken):
            connection.relax(0.023)
            camera.send(PACKET)
            await until(lambda: len(taken) == 1)
            connection.handle(0, fail)
            camera.send(PACKET)
            await until(connection.ended.done)
        assert [type(each) for each in errors] == [ZeroDivisionError]

    asyncio.run(go())


def test_a_new_viewer_gets_the_waiting_data_at_once() -> None:
    async def go() -> None:
        async with connected() as (connection, camera, taken):
            connection.relax(60)
            camera.send(PACKET)
            await until(lambda: len(taken) == 1)
            camera.send(PACKET)
            await asyncio.sleep(0.1)
            assert len(taken) == 1, "it rests"
            connection.relax(0)
            await until(lambda: len(taken) == 2)
            camera.send(PACKET)
            await until(lambda: len(taken) == 3)

    asyncio.run(go())


def test_excess_data_is_read_before_the_connection_relaxes() -> None:
    async def go() -> None:
        async with connected() as (connection, camera, taken):
            connection.relax(60)
            await asyncio.get_running_loop().sock_sendall(camera, PACKET)
            await until(lambda: len(taken) == 1)
            packets = interleaved([b"\x80" + bytes(9_999)] * 50)  # twice what is read in one go
            sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(camera, packets))
            await asyncio.sleep(0.05)
            connection.relax(0)
            connection.relax(60)
            await until(lambda: len(taken) == 51)
            await sending

    asyncio.run(go())

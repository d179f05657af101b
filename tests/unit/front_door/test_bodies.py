import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from ninjacam.front_door import bodies
from ninjacam.front_door.bodies import Bodies, BodyLimit, announced_bytes, counted, limit_of, replay
from ninjacam.front_door.messages import Message, Receive
from ninjacam.problems import Problem


def receiver(chunks: Iterable[bytes], *, complete: bool = True) -> Receive:
    """Return the chunks, followed by the end of the body or by an endless wait."""
    waiting = list(chunks)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting) or not complete}

    return receive


def read(receive: Receive, limit: BodyLimit = bodies.DEFAULT, held: Bodies | None = None) -> bytes:
    return asyncio.run((held or Bodies()).read(receive, limit, "192.0.2.1"))


def scope(*headers: tuple[bytes, bytes], **more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "http_version": "1.1", "headers": headers, **more}


def test_a_body_is_read_completely() -> None:
    assert read(receiver([b"ab", b"", b"c"])) == b"abc"


def test_a_body_above_the_limit_is_rejected_as_soon_as_it_is_too_large() -> None:
    with pytest.raises(Problem) as refused:
        read(receiver([b"x" * 600_000, b"x" * 600_000], complete=False))
    assert (refused.value.status, refused.value.code) == (413, "too_large")
    assert (b"connection", b"close") in refused.value.headers


def test_a_body_that_is_too_slow_is_rejected() -> None:
    with pytest.raises(Problem) as refused:
        read(receiver([b"a"], complete=False), BodyLimit(deadline_s=0.01))
    assert refused.value.status == 408


def test_the_deadline_is_for_the_whole_body() -> None:
    async def trickle() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"a", "more_body": True}

    limit = BodyLimit(max_bytes=1000, deadline_s=0.2)  # the whole body would take 20 s
    with pytest.raises(Problem) as refused:
        read(trickle, limit)
    assert refused.value.status == 408

    async def run() -> None:
        receive = counted(trickle, limit)
        while True:
            await receive()

    with pytest.raises(Problem) as refused:
        asyncio.run(run())
    assert refused.value.status == 408


def test_a_client_that_disconnects_early_still_gets_400() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(Problem) as refused:
        read(receive)
    assert refused.value.status == 400


def test_body_memory_per_address_is_bounded_and_small_bodies_are_always_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bodies, "MAX_BODIES_BYTES_PER_ADDRESS", 1_000_000)

    async def run() -> None:
        held = Bodies()
        slow = [
            asyncio.ensure_future(held.read(receiver([b"x" * 500_000], complete=False), bodies.DEFAULT, "a"))
            for _ in range(3)
        ]
        await asyncio.sleep(0.01)
        assert [task.done() for task in slow] == [False, False, True]
        with pytest.raises(Problem) as refused:
            await slow[2]
        assert refused.value.status == 503
        assert await held.read(receiver([b"x" * 30_000, b"y"]), bodies.DEFAULT, "a")
        assert await held.read(receiver([b"x" * 500_000, b"y"]), bodies.DEFAULT, "b")
        for task in slow[:2]:
            task.cancel()
        await asyncio.gather(*slow[:2], return_exceptions=True)
        assert not held._held

    asyncio.run(run())


def test_body_memory_of_all_addresses_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_BODIES_BYTES", 1_000_000)

    async def run() -> None:
        held = Bodies()
        slow = [
            asyncio.ensure_future(
                held.read(receiver([b"x" * 500_000], complete=False), bodies.DEFAULT, address)
            )
            for address in "abc"
        ]
        await asyncio.sleep(0.01)
        assert [task.done() for task in slow] == [False, False, True]
        with pytest.raises(Problem) as refused:
            await slow[2]
        assert refused.value.status == 503
        for task in slow[:2]:
            task.cancel()
        await asyncio.gather(*slow[:2], return_exceptions=True)

    asyncio.run(run())


def test_a_replayed_body_is_received_once() -> None:
    async def run() -> list[Message]:
        receive = replay(b"abc", receiver([b"rest"]))
        return [await receive(), await receive()]

    first, second = asyncio.run(run())
    assert (first["body"], first["more_body"]) == (b"abc", False)
    assert second["body"] == b"rest"


def test_a_large_body_is_counted_while_the_view_reads_it() -> None:
    async def run(chunks: list[bytes], limit: BodyLimit, *, complete: bool = True) -> int:
        receive = counted(receiver(chunks, complete=complete), limit)
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            if not message["more_body"]:
                return size

    assert asyncio.run(run([b"xx"] * 5, BodyLimit(10))) == 10
    with pytest.raises(Problem) as refused:
        asyncio.run(run([b"xx"] * 6, BodyLimit(10)))
    assert refused.value.status == 413
    with pytest.raises(Problem) as refused:
        asyncio.run(run([b"xx"], BodyLimit(10, deadline_s=0.01), complete=False))
    assert refused.value.status == 408


@pytest.mark.parametrize(
    ("headers", "more", "expected"),
    [
        ([], {}, 0),
        ([(b"content-length", b"12")], {}, 12),
        ([(b"transfer-encoding", b"chunked")], {}, None),
        ([], {"http_version": "2"}, None),
        ([], {"http_version": "2", "method": "GET"}, 0),
    ],
)
def test_the_announced_size_of_a_request_is_read(
    headers: list[tuple[bytes, bytes]], more: dict[str, Any], expected: int | None
) -> None:
    assert announced_bytes(scope(*headers, **more)) == expected


def test_a_view_can_declare_a_larger_limit(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.unit.front_door.body_urls"
    assert limit_of("/large/") == BodyLimit(50 << 20, 60.0)
    assert limit_of("/small/") == bodies.DEFAULT
    assert limit_of("/none/") == bodies.DEFAULT

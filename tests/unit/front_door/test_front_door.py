"""The limits that apply to every request that the server passes on."""

import asyncio
import resource
from typing import Any

import pytest
from django.test import override_settings

from ninjacam.asgi import get_application
from ninjacam.front_door.front_door import FrontDoor, refused_head
from ninjacam.front_door.messages import Message, Receive, Scope, Send


def make_scope(**more: Any) -> dict[str, Any]:
    return {
        "type": "http", "method": "POST", "path": "/cam/x", "query_string": b"", "http_version": "1.1",
        "headers": [], "client": ("192.0.2.1", 5), **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"path": "/" + "a" * 8200}, 414),
        ({"query_string": b"a" * 8200}, 414),
        ({"headers": [(b"a", b"b")] * 101}, 431),
        ({"headers": [(b"a", b"b" * 7000)] * 10}, 431),
        ({"headers": [(b"a", b"b" * 600)] * 100, "query_string": b"a" * 8000}, None),
    ],
)
def test_heads_are_limited(more: dict[str, Any], status: int | None) -> None:
    problem = refused_head(make_scope(**more))
    assert (problem.status if problem else None) == status


def call(application: Any, scope: dict[str, Any], *body: bytes) -> tuple[int, bytes]:
    """Return status and body of the response."""
    sent: list[Message] = []
    waiting = list(body)

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        chunk = waiting.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with the size of the body."""
    if scope["type"] != "http":
        raise ValueError
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


CHUNKED = [(b"transfer-encoding", b"chunked")]
MEGABYTES = [b"x" * (1 << 20)] * 3


@override_settings(ROOT_URLCONF="tests.integration.live_site.urls")
def test_bodies_are_limited_below_the_mount_point_only() -> None:
    scope = make_scope(headers=CHUNKED)
    assert call(get_application(echo), scope, *MEGABYTES)[0] == 413
    assert call(get_application(echo), {**scope, "path": "/upload/"}, *MEGABYTES) == (200, b"3145728")
    assert call(get_application(echo, limit_all=True), {**scope, "path": "/upload/"}, *MEGABYTES)[0] == 413
    assert call(get_application(echo), scope, b"ab", b"c") == (200, b"3")


@override_settings(ROOT_URLCONF="tests.integration.live_site.urls")
def test_a_client_that_does_not_read_its_response_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninjacam.front_door.front_door.SEND_DEADLINE_S", 0.01)

    async def run() -> None:
        async def send(message: Message) -> None:
            await asyncio.Event().wait()

        async def receive() -> Message:
            return {"type": "http.disconnect"}

        async with asyncio.timeout(5):
            await get_application(echo)(make_scope(method="GET"), receive, send)

    asyncio.run(run())


def test_only_errors_of_closed_connections_are_dropped() -> None:
    class Transport:
        closing = True

        def abort(self) -> None: ...
        def is_closing(self) -> bool:
            return self.closing

        def get_extra_info(self, name: str) -> tuple[str, int]:
            return ("192.0.2.1", 5)

    class Cycle:
        transport = Transport()

        async def send(self, message: Message) -> None:
            raise RuntimeError("the handler is closed")

    async def run(cycle: Cycle) -> None:
        door = FrontDoor(object(), None)
        await door.pass_stream(make_scope(), cycle.send, lambda: cycle.send({}))

    cycle = Cycle()
    asyncio.run(run(cycle))
    cycle.transport.closing = False
    with pytest.raises(RuntimeError):
        asyncio.run(run(cycle))


def test_the_limit_of_open_files_is_raised_at_the_start() -> None:
    """Each connection is a file. Many systems start a process with a limit of 1024."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        asyncio.run(create_front_door())
        wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == wanted
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


async def create_front_door() -> FrontDoor:
    return FrontDoor(object(), None)


@override_settings(NINJACAM={"NO_SUCH_KEY": 1}, ROOT_URLCONF="tests.integration.live_site.urls")
def test_a_wrong_setting_does_not_stop_the_pages_of_the_project(caplog: pytest.LogCaptureFixture) -> None:
    assert call(get_application(echo), make_scope(path="/"), b"abc") == (200, b"3")
    assert "NO_SUCH_KEY" in caplog.text

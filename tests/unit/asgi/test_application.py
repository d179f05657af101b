"""The application's behaviour towards servers and towards other applications of the same project."""

import asyncio
import json
from typing import Any

import pytest
from django.core.asgi import get_asgi_application

from ninjacam.asgi import get_application
from ninjacam.asgi.application import LiveApplication
from ninjacam.front_door.messages import Message, Receive, Scope, Send


def lifespan(inner: Any) -> list[str]:
    """Return the messages to the server between its start and its stop."""
    told: list[str] = []

    async def go() -> None:
        orders = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

        async def receive() -> Message:
            return dict(orders.pop(0))

        async def send(message: Message) -> None:
            told.append(message["type"])

        await get_application(inner)({"type": "lifespan"}, receive, send)

    asyncio.run(go())
    return told


COMPLETE = ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_the_missing_lifespan_of_django_is_added() -> None:
    assert lifespan(get_asgi_application()) == COMPLETE


def test_the_lifespan_of_an_inner_application_is_kept() -> None:
    heard: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            message = await receive()
            heard.append(message["type"])
            await send({"type": f"{message['type']}.complete"})

    assert lifespan(inner) == COMPLETE
    assert heard == ["lifespan.startup", "lifespan.shutdown"]


@pytest.mark.parametrize("hears_first", [False, True])
def test_an_inner_application_that_rejects_the_lifespan_is_not_an_error(hears_first: bool) -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if hears_first:
            await receive()
        raise ValueError("http only")

    assert lifespan(inner) == COMPLETE


def test_other_scopes_are_passed_to_the_inner_application() -> None:
    seen: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any:
        return None

    asyncio.run(get_application(inner)({"type": "channel"}, nothing, nothing))
    assert seen == ["channel"]


@pytest.mark.parametrize("is_closing", [False, True])
def test_a_request_of_a_connection_that_has_closed_is_not_served(is_closing: bool) -> None:
    served: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        served.append(scope["path"])

    class Transport:
        def abort(self) -> None: ...

        def is_closing(self) -> bool:
            return is_closing

        def get_extra_info(self, _name: str) -> None: ...

    class Cycle:
        transport = Transport()

        async def send(self, message: Message) -> None: ...

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/elsewhere/", "query_string": b"", "headers": []}
    asyncio.run(get_application(inner)(scope, receive, Cycle().send))
    assert served == ([] if is_closing else ["/elsewhere/"])


@pytest.mark.parametrize("path", ["/rec/door/segment/0.mp4", "/rec/Door/at.jpg", "/live/Door/mjpeg"])
def test_an_impossible_path_is_404_and_not_a_configuration_error(path: str) -> None:
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        told.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    asyncio.run(get_application(get_asgi_application())(scope, receive, send))
    assert told[0]["status"] == 404
    assert (b"content-type", b"application/problem+json") in told[0]["headers"]
    assert json.loads(told[1]["body"])["code"] == "not_found"


def get(application: LiveApplication, path: str) -> int:
    """Return the status of a GET request."""
    statuses: list[int] = []

    async def go() -> None:
        orders = [{"type": "http.request", "body": b""}]

        async def receive() -> Message:
            if not orders:
                await asyncio.Future()  # The client stays.
            return orders.pop()

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": "",
            "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 9),
        }  # fmt: skip
        await application(scope, receive, send)

    asyncio.run(go())
    return statuses[0]


@pytest.mark.parametrize(("debug", "status"), [(True, 200), (False, 404)])
def test_static_files_are_served_with_debug_only(settings: Any, debug: bool, status: int) -> None:
    """As by `runserver`, so that three lines are enough in a new project."""
    settings.DEBUG = debug
    settings.ROOT_URLCONF = "ninjacam.urls"  # Without the product's own view of static files.
    assert get(get_application(get_asgi_application()), "/static/ninjacam/pages/pages.css") == status

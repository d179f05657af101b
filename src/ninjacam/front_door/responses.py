"""Whole ASGI responses."""

from ninjacam.front_door.messages import Send
from ninjacam.problems import CONTENT_TYPE, Headers, Problem

NO_STORE: Headers = (
    (b"cache-control", b"no-store, no-cache, must-revalidate, private"),
    (b"x-content-type-options", b"nosniff"),
)


async def respond(
    send: Send, status: int, content_type: bytes, body: bytes, headers: Headers = (), *, head: bool = False
) -> None:
    """Send a whole response. `head`: without the body."""
    fields = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        *NO_STORE,
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def respond_problem(send: Send, problem: Problem, *, head: bool = False) -> None:
    body = problem.encode()
    await respond(send, problem.status, CONTENT_TYPE.encode(), body, problem.headers, head=head)

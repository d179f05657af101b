"""What a request is answered that gets no picture: problem+json (RFC 9457)."""

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from ninjacam.front_door.messages import Send

Headers = Sequence[tuple[bytes, bytes]]

NO_STORE: Headers = (
    (b"cache-control", b"no-store, no-cache, must-revalidate, private"),
    (b"x-content-type-options", b"nosniff"),
)


class Problem(Exception):  # noqa: N818 (RFC 9457 calls it so)
    """Raised while a request is understood and authorised; answered by the app, once."""

    def __init__(self, status: int, code: str, detail: str, headers: Headers = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers

    def as_dict(self) -> dict[str, Any]:
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }


def not_authenticated() -> Problem:
    return Problem(
        401,
        "not_authenticated",
        "Log in, or send an API token as `Authorization: Bearer ...` or a signed link.",
        ((b"www-authenticate", b"Bearer"),),
    )


def camera_not_found(slug: str) -> Problem:
    return Problem(
        404, "not_found", f"There is no camera {slug!r}, or you, your token or your link may not see it."
    )


def stopping() -> Problem:
    return Problem(
        503, "stopping", "The server is restarting; try again in a moment.", ((b"retry-after", b"1"),)
    )


def stream_problem(error: dict[str, Any]) -> Problem:
    """For NinjacamError.as_dict() of a local stream."""
    code, message = str(error.get("code", "error")), str(error.get("message", "No picture."))
    status = {"view_not_found": 404, "limit": 503}.get(code, 503)
    return Problem(status, code, message, () if status == 404 else ((b"retry-after", b"2"),))


async def respond(
    send: Send, status: int, content_type: bytes, body: bytes, headers: Headers = (), *, head: bool = False
) -> None:
    """A whole response. `head`: without its body."""
    fields = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode()),
        *NO_STORE,
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def respond_problem(send: Send, problem: Problem, *, head: bool = False) -> None:
    body = json.dumps(problem.as_dict()).encode()
    await respond(send, problem.status, b"application/problem+json", body, problem.headers, head=head)

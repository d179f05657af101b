"""Reads and limits request bodies before Django receives them, because Django would write them to disk first.

A view of Ninjacam that needs more declares it: `@allow_body(max_bytes=..., deadline_s=...)`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.urls import Resolver404, resolve

from ninjacam.front_door.messages import Message, Receive, Scope, header
from ninjacam.problems import Problem

F = TypeVar("F", bound=Callable[..., Any])

MAX_BODY_BYTES = 1 << 20
BODY_DEADLINE_S = 10.0
"""Seconds for a whole body of the default size, for which 105 kB/s suffice."""
SMALL_BODY_BYTES = 64 << 10
"""Bodies up to this size are always accepted. Bytes beyond it count towards the budgets."""
MAX_BODIES_BYTES = 32 << 20
MAX_BODIES_BYTES_PER_ADDRESS = 8 << 20

CLOSE = (b"connection", b"close")
_ATTRIBUTE = "ninjacam_body_limit"


@dataclass(frozen=True, slots=True)
class BodyLimit:
    max_bytes: int = MAX_BODY_BYTES
    deadline_s: float = BODY_DEADLINE_S

    @property
    def is_large(self) -> bool:
        """Return whether such a body is too large for memory."""
        return self.max_bytes > MAX_BODY_BYTES

    def too_large(self) -> Problem:
        text = f"The body is too large. Send at most {self.max_bytes} bytes."
        return Problem(413, "too_large", text if self.max_bytes else "This URL accepts no body.", (CLOSE,))

    def too_slow(self) -> Problem:
        text = f"The body did not arrive within {self.deadline_s:g} seconds. Send it again."
        return Problem(408, "timeout", text, (CLOSE,))


DEFAULT = BodyLimit()
NONE = BodyLimit(max_bytes=0)


def allow_body(*, max_bytes: int, deadline_s: float = BODY_DEADLINE_S) -> Callable[[F], F]:
    """Decorate a view that accepts larger bodies. The view must check the permission before it reads the body.

    `deadline_s`: for the whole body.
    """

    def mark(view: F) -> F:
        setattr(view, _ATTRIBUTE, BodyLimit(max_bytes, deadline_s))
        return view

    return mark


def limit_of(path: str) -> BodyLimit:
    """Return the limit for a path, without the script name."""
    try:
        found = getattr(resolve(path).func, _ATTRIBUTE, DEFAULT)
    except Resolver404:
        return DEFAULT
    return found if isinstance(found, BodyLimit) else DEFAULT


def announced_bytes(scope: Scope) -> int | None:
    """Return the size of the body: 0 if there is none, None if it is not announced (chunked, or HTTP/2)."""
    length = header(scope, b"content-length")
    if length:
        try:
            return max(0, int(length))
        except ValueError:  # Servers reject it.
            return None
    if header(scope, b"transfer-encoding"):
        return None
    may_come = scope.get("http_version", "1.1") not in ("1.0", "1.1") and scope["method"] not in (
        "GET",
        "HEAD",
    )
    return None if may_come else 0


class Bodies:
    """The request bodies that this worker holds in memory. Thread: the event loop."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    async def read(self, receive: Receive, limit: BodyLimit, group: str) -> bytes:
        """Return the whole body. `group`: the group whose budget applies.

        Raises: Problem 413, 408; 400: the body is incomplete; 503: the budget is exhausted.
        """
        body = bytearray()
        counted = 0
        try:
            async with asyncio.timeout(limit.deadline_s):
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        # The client has disconnected, or (granian) has violated the protocol and can read a response.
                        raise Problem(400, "malformed", "The body is malformed or incomplete.", (CLOSE,))
                    chunk = message.get("body", b"")
                    if len(body) + len(chunk) > limit.max_bytes:
                        raise limit.too_large()
                    body += chunk
                    if not message.get("more_body", False):
                        return bytes(body)
                    counted = self._count(group, counted, len(body))
        except TimeoutError as exc:
            raise limit.too_slow() from exc
        finally:
            self._held[group] -= counted
            if self._held[group] <= 0:
                del self._held[group]

    def _count(self, group: str, counted: int, size_bytes: int) -> int:
        """Count more bytes for a group, and return the number now counted for the body. Raises: Problem 503."""
        now = max(0, size_bytes - SMALL_BODY_BYTES)
        more = now - counted
        if more and (
            self._held[group] + more > MAX_BODIES_BYTES_PER_ADDRESS
            or self._held.total() + more > MAX_BODIES_BYTES
        ):
            text = "Too many large requests are being received. Try again in a moment."
            raise Problem(503, "busy", text, (CLOSE, (b"retry-after", b"5")))
        self._held[group] += more
        return now


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields `body` in one message, and then the server's messages."""
    message: Message | None = {"type": "http.request", "body": body, "more_body": False}

    async def receive_again() -> Message:
        nonlocal message
        if message is not None:
            first, message = message, None
            return first
        return await receive()

    return receive_again


def counted(receive: Receive, limit: BodyLimit) -> Receive:
    """Return a `receive` for a body that is too large for memory: the view reads it as it arrives, and gets Problem
    413 or 408."""
    deadline_s = asyncio.get_running_loop().time() + limit.deadline_s
    received_bytes, complete = 0, False

    async def receive_counted() -> Message:
        nonlocal received_bytes, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline_s):
                message = await receive()
        except TimeoutError as exc:
            raise limit.too_slow() from exc
        received_bytes += len(message.get("body", b""))
        if received_bytes > limit.max_bytes:
            raise limit.too_large()
        complete = not message.get("more_body", False)
        return message

    return receive_counted

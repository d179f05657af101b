"""The sending end of one viewer: ordered, bounded, and without a task while the server accepts data at once.

A server's `send` returns without suspending while its write buffer has space, so the fan-out calls it directly: no
queue, event, wake-up or timer per frame. Only a `send` that suspends gets a task; further messages wait here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from ninjacam.front_door.messages import Message, Send

MAX_PENDING_BYTES = 2 << 20
MAX_PENDING = 60
MAX_CONTROL = 256
"""Maximum number of pending messages that must not be dropped; a viewer with more is disconnected."""


@dataclass(slots=True)
class _Entry:
    message: Message
    size_bytes: int  # 0: a control message, never dropped.
    slot: object


class _Rest:
    """Continue an awaitable that was started outside of a task and has suspended at `first`."""

    __slots__ = ("_first", "_iterator")

    def __init__(self, iterator: Iterator[Any], first: Any) -> None:
        self._iterator = iterator
        self._first = first

    def __await__(self) -> Generator[Any, Any, Any]:
        try:
            yield self._first
        except BaseException as exc:
            # A cancellation is passed to the server's coroutine, as an await would do.
            throw = getattr(self._iterator, "throw", None)
            if throw is None:
                raise
            try:
                yield throw(exc)
            except StopIteration:
                return
        yield from self._iterator


class Sink:
    """Owner: the viewer's task; thread: the event loop.

    `on_overflow()`: pending frames were dropped; continue at a key frame. `on_broken()`: the server's connection is
    closed. Both are called from within `put`. `on_drained()`: `put` sends at once again. `give_up()`: the peer does
    not read, so abort the connection.
    """

    __slots__ = (
        "_closed", "_give_up", "_on_broken", "_on_drained", "_on_overflow", "_pending", "_pending_bytes", "_send",
        "_task", "blocked_since", "dropped", "sent", "sent_bytes",
    )  # fmt: skip

    def __init__(
        self,
        send: Send,
        *,
        on_overflow: Callable[[], None],
        on_broken: Callable[[], None],
        on_drained: Callable[[], None] = lambda: None,
        give_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._send = send
        self._give_up = give_up
        self._on_overflow = on_overflow
        self._on_broken = on_broken
        self._on_drained = on_drained
        self._pending: deque[_Entry] = deque()
        self._pending_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.blocked_since = 0.0
        """time.monotonic() at the start of the send that has not returned yet; 0: none."""
        self.dropped = 0
        self.sent = 0
        self.sent_bytes = 0

    @property
    def is_blocked(self) -> bool:
        return self._task is not None

    def put(self, message: Message, size_bytes: int = 0, slot: object = None) -> None:
        """Send, or keep until it can be sent.

        `size_bytes`: of a frame; 0 for control messages, which are never dropped. `slot`: of pending messages with
        the same slot, only the latest is kept.
        """
        if self._closed:
            return
        if self._task is not None:
            self._keep(message, size_bytes, slot)
            return
        try:
            iterator = iter(self._send(message).__await__())
            first = next(iterator)
        except StopIteration:
            self.sent += 1
            self.sent_bytes += size_bytes
        except Exception:  # The boundary to the server: whatever it raises, the viewer has disconnected.
            self._break()
        else:
            self.blocked_since = time.monotonic()
            self._task = asyncio.ensure_future(self._drain(_Rest(iterator, first), size_bytes))

    def _keep(self, message: Message, size_bytes: int, slot: object) -> None:
        if slot is not None:
            for entry in self._pending:
                if entry.slot is slot:
                    self._pending_bytes += size_bytes - entry.size_bytes
                    entry.message, entry.size_bytes = message, size_bytes
                    self.dropped += 1
                    return
        full = self._pending_bytes + size_bytes > MAX_PENDING_BYTES or len(self._pending) >= MAX_PENDING
        if full and size_bytes:
            kept = [entry for entry in self._pending if not entry.size_bytes]
            self.dropped += len(self._pending) - len(kept) + 1
            self._pending = deque(kept)
            self._pending_bytes = 0
            self._on_overflow()
            return
        if len(self._pending) >= MAX_CONTROL:
            self._break()
            return
        self._pending.append(_Entry(message, size_bytes, slot))
        self._pending_bytes += size_bytes

    async def _drain(self, rest: _Rest, size_bytes: int) -> None:
        try:
            await rest
            self.sent += 1
            self.sent_bytes += size_bytes
            while self._pending:
                entry = self._pending.popleft()
                self._pending_bytes -= entry.size_bytes
                self.blocked_since = time.monotonic()
                await self._send(entry.message)
                self.sent += 1
                self.sent_bytes += entry.size_bytes
        except Exception:  # As in put.
            self._break()
        finally:
            self.blocked_since = 0.0
            self._task = None
            if not self._closed:
                self._on_drained()

    def _break(self) -> None:
        self._pending.clear()
        self._pending_bytes = 0
        if not self._closed:
            self._closed = True
            self._on_broken()

    async def close(self, *last: Message, grace_s: float) -> None:
        """Drop pending messages, wait up to `grace_s` for the running send, then send `last`. Idempotent."""
        if self._closed and self._task is None:
            return
        broken, ended = self._closed, False
        self._closed = True
        self._pending.clear()
        self._pending_bytes = 0
        try:
            async with asyncio.timeout(grace_s):
                if self._task is not None:
                    await asyncio.wait((self._task,))
                if not broken:
                    for message in last:
                        await self._send(message)
                ended = True
        except TimeoutError:
            pass
        except Exception:  # noqa: S110 (as in put)
            pass
        finally:
            if self._task is not None:
                self._task.cancel()
            if not ended:
                self._give_up()

"""`/api/v1/events/stream`: events as they happen, as server-sent events.

Each worker reads the journal of events once a second while it has clients: one query for all of them, and another one
for those that are behind. A client's position in the journal is the id of its last message, so any worker can continue
its stream. The journal is also the buffer of a slow client: while a message to it is on its way, it is offered no
further ones, so it holds one message in memory, and is ended after `SEND_TIMEOUT_S`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ninjacam.core.clock import SYSTEM_CLOCK, until_tick_s
from ninjacam.front_door.abort import abort_connection
from ninjacam.front_door.messages import Message, Receive, Scope, Send, header, wait_for_disconnect
from ninjacam.front_door.mount import Target
from ninjacam.front_door.responses import NO_STORE
from ninjacam.live.sink import Sink
from ninjacam.problems import Problem
from ninjacam.viewers import auth
from ninjacam.viewers.worker import AWAY_GRACE_S, Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera
    from ninjacam.queries.event_updates import Span, Update

logger = logging.getLogger("ninjacam.live")

MAX_PER_USER = 10
"""Maximum number of clients of one user in one worker."""
MAX_ROWS = 500
"""Maximum number of rows that are read at once."""
MAX_MESSAGE_BYTES = 256 << 10
"""Maximum size of what is sent to a client at once, unless a single update is larger."""
POLL_S = 1.0
HEARTBEAT_S = 15.0
GAP_S = 2.0
"""Seconds to wait for a missing position: PostgreSQL assigns positions before it commits. A rollback leaves a gap."""
CLOSE_GRACE_S = 0.5
_HEADERS = (
    (b"content-type", b"text/event-stream"),
    *NO_STORE,
    (b"content-encoding", b"identity"),  # Keeps compressing middleware and proxies from buffering.
    (b"x-accel-buffering", b"no"),
)
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


def encode_message(event: str, position: int, data: bytes) -> bytes:
    """Return a server-sent event. `position`: in the journal, from which a client continues after it."""
    return b"event: %s\nid: %d\ndata: %s\n\n" % (event.encode(), position, data)


def coalesce(updates: "Sequence[Update]") -> "list[Update]":
    """Leave out changes that a later change of the same event repeats: both have the event as it is now.

    Beginnings, ends, and the last update always stay.
    """
    changed: set[int] = set()
    kept = []
    for update in reversed(updates):
        if update.kind == "changed" and update.event is not None:
            if update.event["id"] in changed:
                continue
            changed.add(update.event["id"])
        kept.append(update)
    return kept[::-1]


class EventClient:
    """One response. `cameras`: whose events it receives; None: all. `position`: of the last row that it was offered."""

    role = "replay"

    def __init__(
        self, principal: "Principal", cameras: frozenset[str] | None, camera: str, kind: str, position: int,
        sink: Sink,
    ) -> None:  # fmt: skip
        self.principal = principal
        self.cameras = cameras
        self.wanted = [camera] if camera else []
        self.position = position
        self.sink = sink
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._kind = kind
        self._sent_s = time.monotonic()

    # --- Viewer ---

    def watching(self) -> Iterable[auth.Watched]:
        return ()  # The feed checks permissions itself: they decide which events are sent, too.

    def revoked(self, camera: "Camera") -> None:
        self.end()

    def too_slow(self) -> None:
        self.end()

    def stop(self) -> None:
        self.end()

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    # --- messages ---

    def offer(self, updates: "Sequence[Update]") -> None:
        """Send the updates that it may read and wants, up to MAX_MESSAGE_BYTES; its position says up to which.

        Does nothing while an earlier message is on its way.
        """
        if self.sink.is_blocked:
            return
        messages: list[bytes] = []
        size_bytes = 0
        for update in updates:
            if update.pk <= self.position:
                continue
            if self._receives(update):
                size_bytes += len(update.data)
                if messages and size_bytes > MAX_MESSAGE_BYTES:
                    break
                messages.append(encode_message(update.kind, update.pk, update.data))
            self.position = update.pk
        if messages:
            self.put(b"".join(messages))
        elif time.monotonic() - self._sent_s >= HEARTBEAT_S:
            # With its position: a client that wants few events must not resume at a position that is too old.
            self.put(b": still here\nid: %d\n\n" % self.position)

    def reset(self, position: int) -> None:
        """Report that updates were missed, and continue after `position`."""
        self.position = position
        self.put(encode_message("reset", position, b"{}"))

    def _receives(self, update: "Update") -> bool:
        return (
            update.event is not None
            and (self.cameras is None or update.slug in self.cameras)
            and (not self._kind or update.event["kind"] == self._kind)
        )

    def put(self, body: bytes) -> None:
        self._sent_s = time.monotonic()
        self.sink.put({"type": "http.response.body", "body": body, "more_body": True})


class EventFeed:
    """The clients of a worker, and the task that reads the journal for them while there are any."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._clients: set[EventClient] = set()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._missed_s: dict[int, float] = {}
        """Missing positions, and when each was first missed."""
        self._known_s = 0.0
        """Monotonic time at which permissions were last known."""

    def check_share(self, principal: "Principal") -> None:
        """Raises: Problem 429."""
        if sum(each.principal.user.pk == principal.user.pk for each in self._clients) >= MAX_PER_USER:
            message = f"You have {MAX_PER_USER} open streams of events here, which is the limit. Close some."
            raise Problem(429, "limit", message, ((b"retry-after", b"10"),))

    def add(self, client: EventClient) -> None:
        self._clients.add(client)
        if self._task is None:
            self._known_s = time.monotonic()
            self._task = asyncio.get_running_loop().create_task(self._run(), name="live-events")

    def wake(self) -> None:
        """Read at once: a slow client can be offered more."""
        self._wake.set()

    def remove(self, client: EventClient) -> None:
        """Idempotent."""
        self._clients.discard(client)
        if not self._clients and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                if time.monotonic() - self._known_s >= self._worker.settings.reauth_s:
                    await self._check_permissions()
                is_behind = await self._poll()
            except Problem:  # The database is unavailable; the worker logs it.
                is_behind = False
                self._end_unknown()
            except Exception:  # The boundary: a bug in one update must not end the streams without a word.
                logger.exception("reading the journal of events failed")
                is_behind = False
                self._end_unknown()
            if not is_behind:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(until_tick_s(POLL_S, SYSTEM_CLOCK)):
                        await self._wake.wait()
                self._wake.clear()

    async def _poll(self) -> bool:
        """Offer new updates to the clients that can take them. Return whether there are more.

        Clients that are behind have their own query, so that they do not delay the others.
        """
        ready = [client for client in self._clients if not client.sink.is_blocked]
        newest = max((client.position for client in ready), default=0)
        groups = (
            [client for client in ready if client.position == newest],
            [client for client in ready if client.position < newest],
        )
        are_behind = [await self._read_for(group) for group in groups if group]
        return any(are_behind)

    async def _read_for(self, clients: list[EventClient]) -> bool:
        since = min(client.position for client in clients)
        rows = await self._worker.database.run(auth.read_event_updates, since, MAX_ROWS)
        if len(rows) == MAX_ROWS and rows[0].pk > since + 1:
            await self._reset_overtaken(clients)
        found = self._without_gap(since, rows)
        updates = coalesce(found)
        for client in clients:
            if client in self._clients:
                client.offer(updates)
        last = found[-1].pk if found else since
        is_cut_short = any(client.position < last and not client.sink.is_blocked for client in clients)
        return len(found) == MAX_ROWS or is_cut_short

    async def _reset_overtaken(self, clients: list[EventClient]) -> None:
        """Reset clients whose next updates were deleted from the journal meanwhile."""
        span = await self._worker.database.run(auth.read_event_span)
        for client in clients:
            if client in self._clients and client.position < span.oldest - 1:
                client.reset(span.newest)

    def _without_gap(self, since: int, rows: "list[Update]") -> "list[Update]":
        """Return the rows before a position that is still missing, so that clients receive all in order."""
        now_s = time.monotonic()
        if len(self._missed_s) > MAX_ROWS:
            self._missed_s = {at: s for at, s in self._missed_s.items() if now_s - s < 10 * GAP_S}
        expected, end = since + 1, len(rows)
        for index, row in enumerate(rows):
            # Also those after the first one, so that all are waited for at the same time.
            if row.pk != expected and now_s - self._missed_s.setdefault(expected, now_s) < GAP_S:
                end = min(end, index)
            expected = row.pk + 1
        return rows[:end]

    async def _check_permissions(self) -> None:
        clients = list(self._clients)
        began_s = time.monotonic()
        asked = [(client.principal, client.wanted) for client in clients]
        answers = await self._worker.database.run(auth.authorise_events_again, asked)
        self._known_s = began_s
        for client, cameras in zip(clients, answers, strict=True):
            client.cameras = cameras
            if cameras == frozenset():
                self._worker.cut_revoked += 1
                client.end()

    def _end_unknown(self) -> None:
        if time.monotonic() - self._known_s > self._worker.settings.reauth_s + AWAY_GRACE_S:
            for client in list(self._clients):
                client.end()


async def serve_events(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Serve the response. Raises: Problem: before the response has started."""
    query = auth.query_of(scope)
    camera, kind = query.get("camera", ""), query.get("kind", "")
    wanted = [camera] if camera else []
    principal, cameras, span = await worker.database.run(auth.authorise_events, scope, wanted)
    if cameras == frozenset():
        raise Problem(403, "forbidden", "You need the role “replay” for a camera.")
    if scope["method"] == "HEAD":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send(_END)
        return
    feed = worker.shared(EventFeed)
    feed.check_share(principal)
    position, first = _begin(header(scope, b"last-event-id"), span)
    sink = Sink(
        send,
        on_overflow=lambda: None,
        on_broken=lambda: client.end(),
        on_drained=feed.wake,
        give_up=lambda: abort_connection(scope, send),
    )
    client = EventClient(principal, cameras, camera, kind, position, sink)
    worker.add(client)
    gone = asyncio.get_running_loop().create_task(wait_for_disconnect(receive), name="live-events-client")
    gone.add_done_callback(lambda _: client.end())
    has_begun = False
    try:
        feed.add(client)
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        has_begun = True
        client.put(first)
        await client.over
    finally:
        gone.cancel()
        feed.remove(client)
        worker.remove(client)
        await sink.close(*([_END] if has_begun else []), grace_s=CLOSE_GRACE_S)


def _begin(last_event_id: str, span: "Span") -> tuple[int, bytes]:
    """Return the position at which a client begins, and its first message."""
    if not last_event_id:
        return span.newest, b"retry: 2000\n" + encode_message("ready", span.newest, b"{}")
    is_position = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= 18
    if is_position and span.has_all_since(int(last_event_id)):
        return int(last_event_id), b"retry: 2000\n\n"
    return span.newest, b"retry: 2000\n" + encode_message("reset", span.newest, b"{}")

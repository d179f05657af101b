"""A response of known length that reads files while it is sent: whole, or one range (RFC 9110, 14)."""

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ninjacam.core.errors import DecodeError
from ninjacam.front_door.abort import abort_connection
from ninjacam.front_door.messages import Message, Receive, Scope, Send, header, wait_for_disconnect
from ninjacam.playback.files import read_pieces
from ninjacam.problems import Headers, Problem
from ninjacam.recordings.clip import Piece
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera
    from ninjacam.viewers.auth import Watched

logger = logging.getLogger("ninjacam.playback")

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Body:
    """A response body. `etag`: strong, quoted; it changes whenever a byte differs. `headers`: additional ones."""

    content_type: bytes
    pieces: Sequence[Piece]
    etag: str
    headers: Headers = ()

    @property
    def size_bytes(self) -> int:
        return sum(piece.size_bytes for piece in self.pieces)


def find_range(text: str, size_bytes: int) -> tuple[int, int] | None:
    """Return (first, end) of a Range header; None: send the whole body, also for several ranges and for invalid
    ones.

    Raises: Problem 416: the range starts after the end.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if match[1]:
        first, end = int(match[1]), min(size_bytes, int(match[2]) + 1) if match[2] else size_bytes
        if match[2] and int(match[2]) < first:
            return None
    else:
        first, end = max(0, size_bytes - int(match[2])), size_bytes
    if first >= end:
        raise Problem(
            416,
            "range",
            f"The range starts behind the end of the {size_bytes} bytes.",
            ((b"content-range", f"bytes */{size_bytes}".encode()),),
        )
    return first, end


class Meter:
    """The progress of sending, which the worker monitors."""

    def __init__(self) -> None:
        self.blocked_since = 0.0
        self.dropped = 0
        self.sent = 0
        self.sent_bytes = 0


class Download:
    """One response. Like every viewer, it is aborted if the client does not read, loses its permission, or the
    server stops."""

    def __init__(self, watching: "tuple[Principal, Camera]", role: str, send: Send) -> None:
        self.role = role
        self.sink = Meter()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching = watching
        self.principal = watching[0]
        self._send = send

    # --- Viewer ---

    def watching(self) -> "Iterable[Watched]":
        return ((*self._watching, None),)

    def revoked(self, camera: "Camera") -> None:
        self.end()

    def too_slow(self) -> None:
        self.end()

    def stop(self) -> None:
        self.end()

    # --- lifecycle ---

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def send(self, worker: Worker, body: Body, first: int, size_bytes: int) -> None:
        """Send the body after its headers. Raises: OSError, DecodeError: a file is missing; exceptions of the
        server."""
        async with contextlib.aclosing(
            read_pieces(worker.file_threads, body.pieces, first, size_bytes)
        ) as chunks:
            async for chunk in chunks:
                self.sink.blocked_since = time.monotonic()
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
                self.sink.blocked_since = 0.0
                self.sink.sent += 1
                self.sink.sent_bytes += len(chunk)
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def serve_body(
    worker: Worker,
    scope: Scope,
    receive: Receive,
    send: Send,
    body: Body,
    watching: "tuple[Principal, Camera]",
    role: str,
) -> None:
    """Send the response. Raises: Problem: before the response has started."""
    size_bytes = body.size_bytes
    fields = [
        (b"accept-ranges", b"bytes"),
        (b"etag", body.etag.encode()),
        (b"cache-control", b"private, no-cache"),
        (b"x-content-type-options", b"nosniff"),
        *body.headers,
    ]
    if body.etag in [each.strip() for each in header(scope, b"if-none-match").split(",")]:
        await send({"type": "http.response.start", "status": 304, "headers": fields})
        await send({"type": "http.response.body", "body": b""})
        return
    wanted = header(scope, b"range")
    if wanted and header(scope, b"if-range") not in ("", body.etag):
        wanted = ""
    found = find_range(wanted, size_bytes)
    first, end = found or (0, size_bytes)
    if found:
        fields.append((b"content-range", f"bytes {first}-{end - 1}/{size_bytes}".encode()))
    fields += [(b"content-type", body.content_type), (b"content-length", str(end - first).encode())]
    start: Message = {"type": "http.response.start", "status": 206 if found else 200, "headers": fields}
    if scope["method"] == "HEAD":
        await send(start)
        await send({"type": "http.response.body", "body": b""})
        return
    download = Download(watching, role, send)
    worker.add(download)
    await _deliver(worker, scope, receive, send, download, start, body, (first, end - first))


async def _deliver(
    worker: Worker,
    scope: Scope,
    receive: Receive,
    send: Send,
    download: Download,
    start: Message,
    body: Body,
    what: tuple[int, int],
) -> None:
    loop = asyncio.get_running_loop()
    gone = loop.create_task(wait_for_disconnect(receive), name="live-download-client")
    gone.add_done_callback(lambda _: download.end())
    sending: asyncio.Task[None] | None = None
    try:
        await send(start)
        sending = loop.create_task(download.send(worker, body, *what), name="live-download")
        await asyncio.wait((sending, download.over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        worker.remove(download)
        if sending is not None and not await _finish(sending, download):
            # The body is shorter than announced: the client must not accept it as complete.
            abort_connection(scope, send)
            await asyncio.sleep(0)  # Let the server detect it before we return.


async def _finish(sending: "asyncio.Task[None]", download: Download) -> bool:
    """Wait until sending ends. Return whether all data was sent."""
    if not sending.done():
        sending.cancel()
    try:
        await asyncio.wait((sending,))
    finally:
        sending.cancel()
    if sending.cancelled():
        return False
    error = sending.exception()
    if isinstance(error, OSError | DecodeError) and not download.over.done():
        logger.warning("a recording ended while it was being sent: %s", error)
    return error is None

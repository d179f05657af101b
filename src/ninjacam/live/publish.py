"""The WebSocket of a publishing page: relays it to the capture process. See `sources.browser.messages`."""

import asyncio
import contextlib
import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ninjacam.core.errors import ProtocolError
from ninjacam.core.unix_sockets import unix_address
from ninjacam.front_door.messages import Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.front_door.peers import client_network
from ninjacam.live.allowance import Allowance
from ninjacam.problems import Problem
from ninjacam.sources.browser.messages import MAX_MESSAGE_BYTES, FrameReader, encode, frame, socket_path
from ninjacam.viewers import auth
from ninjacam.viewers.worker import Worker

logger = logging.getLogger("ninjacam.live")

MAX_PUBLISHERS = 64
MAX_PUBLISHERS_PER_ADDRESS = 16
"""Maximum numbers of publishing pages of one worker."""
MESSAGES_PER_S, MESSAGES_BURST = 300.0, 900.0
"""60 frames and 50 audio packets a second, and what a slow connection has held back."""
CONNECT_S = 5.0
LINK_EVERY_S = 86_400.0
"""Interval at which a page gets a new link, so that a connection may last longer than a link."""
_READ_BYTES = 4096
GOING_AWAY, POLICY, TRY_LATER = 1001, 1008, 1013
NOT_FOUND, REFUSED, ENDED = 4404, 4403, 4410
_CLOSE_CODES = {"busy": REFUSED, "authentication_failed": NOT_FOUND}
"""By the code of the error that ended the publisher; ENDED: the page may connect again."""


@dataclass(slots=True)
class PublishingPages:
    """The pages that publish through this worker, by network. Created by `Worker.shared`."""

    worker: Worker
    count_by_network: Counter[str] = field(default_factory=Counter)

    def enter(self, network: str) -> None:
        """Raises: Problem 503: the worker is full; 429: this address has reached its limit."""
        if self.count_by_network.total() >= MAX_PUBLISHERS:
            raise Problem(503, "limit", "This server already has the maximum number of publishers.")
        if self.count_by_network[network] >= MAX_PUBLISHERS_PER_ADDRESS:
            raise Problem(429, "limit", "Too many devices publish from your network address.")
        self.count_by_network[network] += 1

    def leave(self, network: str) -> None:
        self.count_by_network[network] -= 1
        if not self.count_by_network[network]:
            del self.count_by_network[network]


async def serve_publisher(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Handle one WebSocket from its handshake to its end."""
    await receive()  # websocket.connect
    # Accept first: browsers reveal the close code only of a WebSocket that was open.
    await send({"type": "websocket.accept"})
    pages, network = worker.shared(PublishingPages), client_network(scope)
    try:
        key_hash, link = await worker.database.run(_authorize, scope, target.key)
        pages.enter(network)
    except Problem as problem:
        code = NOT_FOUND if problem.status in (400, 404) else TRY_LATER
        await send({"type": "websocket.close", "code": code, "reason": problem.detail[:100]})
        return
    try:
        await _serve(worker, scope, key_hash, link, receive, send)
    finally:
        pages.leave(network)


def _authorize(scope: Scope, link: str) -> tuple[str, str]:
    """Return the hash of the key, and a link that works for longer. Raises: Problem, NotFoundError."""
    from ninjacam.queries.publishing import RENEWED_LINK_S, get_linked_key, make_publish_link

    auth.check_host(scope)
    key = get_linked_key(link)
    return key.key_hash, make_publish_link(key, lifetime_s=RENEWED_LINK_S)


async def _serve(
    worker: Worker, scope: Scope, key_hash: str, link: str, receive: Receive, send: Send
) -> None:
    try:
        async with asyncio.timeout(CONNECT_S):
            with unix_address(socket_path(worker.settings.run_dir)) as address:
                reader, writer = await asyncio.open_unix_connection(address)
    except OSError:  # Includes TimeoutError.
        reason = "The camera is starting. Try again in a moment."
        await send({"type": "websocket.close", "code": TRY_LATER, "reason": reason})
        return
    relay = _Relay(reader, writer, link, receive, send)
    writer.write(encode(key=key_hash))
    tasks = [
        asyncio.create_task(relay.run_up(), name="publisher-up"),
        asyncio.create_task(relay.run_down(), name="publisher-down"),
        asyncio.create_task(_renew_link(worker, scope, link, relay), name="publisher-link"),
        asyncio.create_task(worker.stop.wait(), name="publisher-stop"),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[:2]:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        writer.close()
        await asyncio.gather(*tasks, return_exceptions=True)
    if worker.stop.is_set():
        relay.close_code = relay.close_code or GOING_AWAY
    if relay.close_code:
        with contextlib.suppress(OSError, RuntimeError):  # Of the server: the connection is closed.
            await send({"type": "websocket.close", "code": relay.close_code, "reason": relay.reason[:100]})


async def _renew_link(worker: Worker, scope: Scope, link: str, relay: "_Relay") -> None:
    """Does not return."""
    while True:
        await asyncio.sleep(LINK_EVERY_S)
        # The database may be away. If the key was revoked, the stream ends anyway.
        with contextlib.suppress(Problem):
            _key_hash, link = await worker.database.run(_authorize, scope, link)
            await relay.send_link(link)


class _Relay:
    """`close_code`: to close the WebSocket with; 0: it is closed already."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        link: str,
        receive: Receive,
        send: Send,
    ) -> None:
        self.close_code = 0
        self.reason = ""
        self._reader = reader
        self._writer = writer
        self._link = link
        self._receive = receive
        self._send = send
        self._allowance = Allowance(MESSAGES_PER_S, MESSAGES_BURST)

    async def run_up(self) -> None:
        """Relay the page's messages. A slow capture process slows the page down, which lowers its bitrate."""
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            if data is None or len(data) > MAX_MESSAGE_BYTES or not self._allowance.take():
                self.close_code, self.reason = POLICY, "This is not a publishing page of Ninjacam."
                return
            try:
                self._writer.write(frame(data))
                await self._writer.drain()
            except OSError:
                await asyncio.get_running_loop().create_future()  # `run_down` receives the reason.

    async def run_down(self) -> None:
        """Relay the answers until the capture process closes the connection."""
        frames = FrameReader()
        self.close_code, self.reason = ENDED, "The stream was interrupted."
        try:
            while data := await self._reader.read(_READ_BYTES):
                for message in frames.feed(data):
                    await self._take(json.loads(message))
        except (OSError, ProtocolError, ValueError) as error:
            logger.debug("a publisher's connection broke off: %s", error)

    async def _take(self, answer: dict[str, Any]) -> None:
        if answer.get("op") == "end":
            self.close_code = _CLOSE_CODES.get(answer["code"], ENDED)
            self.reason = answer["message"]
            return
        if answer.get("op") == "ready":
            answer["link"] = self._link
        await self._send({"type": "websocket.send", "text": json.dumps(answer)})

    async def send_link(self, link: str) -> None:
        answer = {"op": "link", "link": link}
        await self._send({"type": "websocket.send", "text": json.dumps(answer)})

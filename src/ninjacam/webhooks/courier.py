"""The loop that sends deliveries, in a thread with an event loop of its own. A slow receiver delays only itself.

Requests to webhooks are signed here. Actions of rules, and the messages for browsers, come from the caller.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from django.db import DatabaseError, connections

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.lifecycle import Stop
from ninjacam.models import Action
from ninjacam.sources.addresses import Check
from ninjacam.webhooks.outbox import Claimed, Outbox
from ninjacam.webhooks.request import DeliveryError, post
from ninjacam.webhooks.signature import HEADER, sign

logger = logging.getLogger("ninjacam.webhooks")

IDLE_EVERY_S = 1.0
CLEAN_EVERY_NS = 600 * 10**9
FINISH_S = 0.3
"""Seconds that requests may still take after a stop. One whose response has arrived is then not sent again. With
LAST_WRITE_S, less than the jobs process has to stop.
"""
LAST_WRITE_S = 0.5
_BUG = "An internal error occurred while the delivery was sent. See the log of the server."
MAX_ACTIONS = {Action.NOTIFY: 2, Action.PROTECT: 1}
"""Maximum number of actions of rules that run at once. They block. Each kind has its own threads, so that a slow SMTP
server delays no protection."""
MAX_MESSAGES = 2
"""Maximum number of push messages that are made at once. Their requests need no thread."""
RENEW_EVERY_S = 10.0
"""Seconds after which the lease of an action that has not ended is renewed. Less than the lease."""
MAX_RENEWALS = 30
"""Renewals after which an action counts as failed. An SMTP server that checks each of 50 recipients takes minutes; an
e-mail that was given up before its end would be sent again and again."""
GONE = (404, 410)
"""Statuses of a push service that does not know the subscription any more (RFC 8030, section 7.3)."""
Post = Callable[..., Awaitable[int]]
Perform = Callable[[Claimed], None]
"""Carries out an action of a rule, in a thread. Raises: DeliveryError."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PushRequest:
    """An encrypted message to the push service of a browser. `check`: of the service's addresses."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    check: Check


class Messages(Protocol):
    """Makes push messages. Called in threads."""

    def prepare(self, claimed: Claimed) -> PushRequest | None:
        """Return the request; None: the user is not notified. Raises: DeliveryError."""

    def forget(self, claimed: Claimed) -> None:
        """Delete the subscription, which the push service does not know any more."""


class _NoMessages:
    def prepare(self, claimed: Claimed) -> PushRequest | None:
        raise DeliveryError("This process cannot send notifications.")

    def forget(self, claimed: Claimed) -> None:
        raise AssertionError


def _refuse(claimed: Claimed) -> None:
    raise DeliveryError("This process cannot carry out actions of rules.")


class Courier:
    """`run` returns when `stop` is set. Owns one database connection, in a thread."""

    def __init__(
        self,
        stop: Stop,
        *,
        outbox: Outbox | None = None,
        send: Post = post,
        perform: Perform = _refuse,
        messages: Messages | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._stop = stop
        self._outbox = outbox or Outbox(clock=clock)
        self._send = send
        self._perform = perform
        self._messages = messages or _NoMessages()
        self._clock = clock
        self._running: dict[asyncio.Task[None], Claimed] = {}
        self._wake = asyncio.Event()
        self._actions = {
            action: ThreadPoolExecutor(count, thread_name_prefix=f"rule-{action.value}")
            for action, count in MAX_ACTIONS.items()
        }
        self._message_threads = ThreadPoolExecutor(MAX_MESSAGES, thread_name_prefix="push-messages")
        self._database = ThreadPoolExecutor(1, thread_name_prefix="webhook-database")
        self._clean_ns = 0
        self._is_away = False

    async def run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                await self.run_once()
                await self._wait()
        finally:
            await self._close()

    async def run_once(self) -> None:
        """Start to send what is due."""
        in_flight = Counter(claimed.target for claimed in self._running.values())
        for claimed in await self._query(self._outbox.claim, in_flight) or ():
            task = asyncio.create_task(self._deliver(claimed), name=claimed.target)
            self._running[task] = claimed
            task.add_done_callback(self._ended)
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._clean_ns:
            self._clean_ns = now_ns + CLEAN_EVERY_NS
            await self._query(self._outbox.clean)

    async def _wait(self) -> None:
        """Wait until a delivery has ended, which may let another begin, or a second has passed."""
        waits = [asyncio.ensure_future(each) for each in (self._wake.wait(), self._stop.sleep(IDLE_EVERY_S))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the result of a delivery was not stored", exc_info=error)

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            if claimed.error:
                raise DeliveryError(claimed.error)  # noqa: TRY301 (the same handling as of others)
            status = await self._send_or_act(claimed)
        except DeliveryError as error:
            await self._query(self._outbox.failed, claimed, error)
        except Exception:  # The boundary: a bug that one delivery triggers must count as a failed attempt.
            logger.exception("a delivery failed by a bug; it is tried again")
            await self._query(self._outbox.failed, claimed, DeliveryError(_BUG))
        else:
            await self._query(self._outbox.delivered, claimed, status)

    async def _send_or_act(self, claimed: Claimed) -> int | None:
        """Return the HTTP status of a request. Raises: DeliveryError."""
        if claimed.action == Action.WEBHOOK:
            return await self._post(claimed)
        if claimed.action == Action.PUSH:
            return await self._push(claimed)
        await self._act(claimed)
        return None

    async def _push(self, claimed: Claimed) -> int | None:
        """Return the HTTP status; None: the user is not notified. Raises: DeliveryError."""
        request = await self._in_thread(self._message_threads, self._messages.prepare, claimed)
        if request is None:
            return None
        try:
            return await self._send(
                request.url, request.body, request.headers, verify_tls=True, check=request.check
            )
        except DeliveryError as error:
            if error.status in GONE:
                await self._in_thread(self._message_threads, self._messages.forget, claimed)
            raise

    async def _post(self, claimed: Claimed) -> int:
        """Raises: DeliveryError."""
        headers = {
            "Idempotency-Key": claimed.key,
            HEADER: sign(claimed.body, claimed.secret, self._clock.wall_ns() // 10**9),
        }
        return await self._send(claimed.url, claimed.body, headers, verify_tls=claimed.verify_tls)

    async def _act(self, claimed: Claimed) -> None:
        """Raises: DeliveryError."""
        action = self._in_thread(self._actions[claimed.action], self._perform, claimed)
        try:
            for _ in range(MAX_RENEWALS):
                await asyncio.wait([action], timeout=RENEW_EVERY_S)
                if action.done():
                    return await action
                await self._query(self._outbox.renew, claimed)
        finally:
            action.cancel()  # It does not begin, if it has not.
        raise DeliveryError("The action took too long. Check that the mail server responds.")

    def _in_thread(
        self, threads: ThreadPoolExecutor, function: Callable[[Claimed], T], claimed: Claimed
    ) -> "asyncio.Future[T]":
        def call() -> T:
            try:
                return function(claimed)
            finally:
                connections.close_all()

        return asyncio.get_running_loop().run_in_executor(threads, call)

    async def _query(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return None if the database is unavailable. What was claimed is then sent again when its lease ends."""

        def call() -> Any:
            try:
                return function(*arguments)
            except DatabaseError as error:
                connections.close_all()
                if not self._is_away:
                    logger.warning(
                        "the database does not respond; webhooks wait for it: %s", type(error).__name__
                    )
                self._is_away = True
                return None

        # Shielded: a stop must not discard a result that waits for the thread.
        answer = await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._database, call))
        self._is_away = self._is_away and answer is None
        return answer

    async def _close(self) -> None:
        running = dict(self._running)
        if running:
            await asyncio.wait(running, timeout=FINISH_S)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_WRITE_S):
                await self._query(self._outbox.release, list(running.values()))
                await self._query(connections.close_all)
        except TimeoutError:
            pass  # The leases end by themselves.
        for each in (self._database, self._message_threads, *self._actions.values()):
            each.shutdown(wait=False, cancel_futures=True)

"""Starting, retrying and stopping: the only stop token and the only retry loop."""

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import NinjacamError

logger = logging.getLogger("ninjacam.core")


class Stop:
    """A one-way, idempotent stop token that threads and coroutines can wait for.

    Owner: its creator. `set` may be called from any thread, and from a signal handler of the event loop.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = set()

    def set(self) -> None:
        with self._lock:
            self._event.set()
            waiters, self._waiters = self._waiters, set()
        for loop, future in waiters:
            if not loop.is_closed():
                loop.call_soon_threadsafe(resolve, future)

    def is_set(self) -> bool:
        return self._event.is_set()

    def wait_in_thread(self, timeout_s: float | None = None) -> bool:
        """Block the calling thread. Return True once the token is set, False after a timeout."""
        return self._event.wait(timeout_s)

    async def wait(self) -> None:
        loop = asyncio.get_running_loop()
        entry = (loop, loop.create_future())
        with self._lock:
            if self._event.is_set():
                return
            self._waiters.add(entry)
        try:
            await entry[1]
        finally:
            with self._lock:
                self._waiters.discard(entry)

    async def sleep(self, seconds: float, clock: Clock = SYSTEM_CLOCK) -> bool:
        """Sleep by `clock` until the time has passed or the token is set. Return True if it is set."""
        if self.is_set():
            return True
        sleeper = asyncio.ensure_future(clock.sleep(seconds))
        waiter = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait((sleeper, waiter), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waiter.cancel()
        return self.is_set()


def retrieve(future: "asyncio.Future[None]") -> None:
    """Retrieve a future's exception. Add this as a callback to a future that may be discarded; otherwise
    asyncio warns."""
    if not future.cancelled():
        future.exception()


def resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before the next attempt: `first_s`, doubled each time up to `max_s`, each varied by +-`jitter` (a
    fraction).

    After an attempt that lasted `good_spell_s`, the series starts from `first_s` again. Errors that are `slow` wait
    `slow_factor` times as long.
    """

    first_s: float = 1.0
    max_s: float = 30.0
    jitter: float = 0.2
    good_spell_s: float = 10.0
    slow_factor: float = 5.0

    def delay_s(self, failures: int) -> float:
        """Return the delay after this number of consecutive failures (1 for the first)."""
        base = min(self.max_s, self.first_s * 2.0 ** (min(failures, 32) - 1))
        return base * (1 + self.jitter * random.uniform(-1, 1))  # noqa: S311 (jitter, not a secret)


async def supervise(
    run_once: Callable[[], Awaitable[None]],
    *,
    stop: Stop,
    backoff: Backoff = Backoff(),
    clock: Clock = SYSTEM_CLOCK,
    on_error: Callable[[NinjacamError, float | None], None] | None = None,
    name: str = "service",
) -> None:
    """Run `run_once` repeatedly until `stop` is set or a permanent error occurs. This is the only retry loop.

    `run_once` ends with an error, or returns when `stop` is set; if it returns earlier, it is called again at once,
    and the backoff starts from the beginning. `on_error(error, delay_s)` receives each error and the delay before
    the next attempt, None if there will be none. Exceptions that are not NinjacamErrors are bugs: they are logged
    with their traceback and retried.
    """
    failures = 0
    while not stop.is_set():
        started_ns = clock.monotonic_ns()
        try:
            await run_once()
            error = None
        except NinjacamError as caught:
            error = caught
        except Exception as caught:  # The boundary: a bug in one service must not stop the others.
            logger.exception("%s: unexpected error", name)
            error = NinjacamError(f"Internal error ({type(caught).__name__}); see the log.")
        if stop.is_set():
            return
        if (clock.monotonic_ns() - started_ns) / 1e9 >= backoff.good_spell_s:
            failures = 0
        failures += 1
        if error is None:
            if await stop.sleep(backoff.delay_s(1), clock):
                return
            continue
        if not error.retryable:
            if on_error:
                on_error(error, None)
            return
        delay_s = backoff.delay_s(failures) * (backoff.slow_factor if error.slow else 1)
        if on_error:
            on_error(error, delay_s)
        if await stop.sleep(delay_s, clock):
            return

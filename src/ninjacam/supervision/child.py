"""The lifecycle of a child process of the engine: its control channel, its heartbeat, and its end.

A child outlives its engine by `orphan_s`, so that a new engine finds the cameras running.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from ninjacam import __version__
from ninjacam.core.clock import SYSTEM_CLOCK, until_tick_s
from ninjacam.core.lifecycle import Stop
from ninjacam.core.log_limit import LogLimit
from ninjacam.supervision.control import NAME_TAKEN_STATUS, ControlServer, Json, NameTakenError

logger = logging.getLogger("ninjacam.supervision")

OUT_OF_MEMORY_STATUS = 86
"""Exit status of a worker that ended because it used too much memory."""
REPORT_EVERY_S = 1.0
SOON_S = 0.05
"""Delay after which a change is reported, together with others."""


class Child:
    """Runs until it is stopped, signalled or orphaned.

    `assign(message)`: a coroutine that applies an "assign" command; commands are applied one after the other.
    `status()`: returns additional fields of a report, which always has {"pid", "version", "name", "news"}; `news`:
    whether a change caused the report before it was due. `report_every_s`: seconds between two reports.
    """

    def __init__(
        self,
        *,
        name: str,
        run_dir: Path,
        orphan_s: float,
        assign: Callable[[Json], Awaitable[None]],
        status: Callable[[], Json],
    ) -> None:
        self.name = name
        self.stop = Stop()
        self.report_every_s = REPORT_EVERY_S
        self._orphan_s = orphan_s
        self._assign = assign
        self._status = status
        self._control = ControlServer(run_dir / f"{name}.control", self._on_command, self.changed)
        self._commands: asyncio.Queue[Json] = asyncio.Queue(maxsize=64)
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Report a change before the next report is due."""
        self._changed.set()

    def _on_command(self, message: Json) -> None:
        if message.get("op") == "stop":
            self.stop.set()
        elif message.get("op") == "assign":
            while self._commands.full():
                self._commands.get_nowait()  # Each command is complete: only the latest one counts.
            self._commands.put_nowait(message)

    def claim(self) -> None:
        """Claim the name before `run` does, so that only one process of this name executes the code in between.

        Raises: NameTakenError.
        """
        self._control.claim()

    async def run(self) -> None:
        """Run the child. Raises: NameTakenError; OSError: the run directory cannot be used."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        await self._control.start()
        tasks = [
            asyncio.create_task(self._apply(), name="control-apply"),
            asyncio.create_task(self._report(), name="control-report"),
        ]
        stopped = asyncio.create_task(self.stop.wait(), name="control-stop")
        try:
            done, _ = await asyncio.wait((*tasks, stopped), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, stopped):
                task.cancel()
            await asyncio.gather(*tasks, stopped, return_exceptions=True)
            await self._control.close()

    async def _apply(self) -> None:
        while True:
            await self._assign(await self._commands.get())
            self.changed()

    async def _report(self) -> None:
        alone_since_ns = SYSTEM_CLOCK.monotonic_ns()
        while True:
            try:
                # wait_for may swallow a cancellation (Python 3.11).
                async with asyncio.timeout(until_tick_s(self.report_every_s, SYSTEM_CLOCK)):
                    await self._changed.wait()
                await asyncio.sleep(SOON_S)
            except TimeoutError:
                pass
            news = self._changed.is_set()
            self._changed.clear()
            if not self._control.is_reachable():
                logger.warning("%s: the run directory was removed; ending, to be restarted", self.name)
                self.stop.set()
            if self._control.connected:
                alone_since_ns = SYSTEM_CLOCK.monotonic_ns()
                about = {"name": self.name, "pid": os.getpid(), "version": __version__, "news": news}
                self._control.report({**about, **self._status()})
            elif (SYSTEM_CLOCK.monotonic_ns() - alone_since_ns) / 1e9 > self._orphan_s:
                logger.warning("%s: no engine for %g s, ending", self.name, self._orphan_s)
                self.stop.set()


def child_parser() -> argparse.ArgumentParser:
    """Return a parser with the options that the engine passes to every child."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--orphan-s", type=float, default=60)
    return parser


def run_loop(main: Callable[[], Awaitable[None]]) -> None:
    """Run a child's or worker's main coroutine, on uvloop if it is installed.

    `main`: called in the loop. If it raises NameTakenError, this process ends with NAME_TAKEN_STATUS.
    """
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    limit = LogLimit()
    for handler in logging.getLogger().handlers:
        handler.addFilter(limit)

    async def go() -> None:
        try:
            await main()
        except NameTakenError:
            logger.info("another process of this name runs already; ending")
            raise SystemExit(NAME_TAKEN_STATUS) from None

    try:
        import uvloop
    except ImportError:
        asyncio.run(go())
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(go())

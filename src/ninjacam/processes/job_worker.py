"""`python -m ninjacam.processes.job_worker`: runs exports, each in a separate process, takes snapshots of
events, has processors called for them, sends webhooks and notifications, and carries out rules.

Started only by the engine.
"""

import asyncio
import gc
import resource
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import django

from ninjacam.core.lifecycle import Stop
from ninjacam.core.limits import keep_files_private
from ninjacam.supervision.child import Child, child_parser, run_loop

if TYPE_CHECKING:
    from ninjacam.actions.export_jobs import ExportJobs
    from ninjacam.supervision.control import Json

IDLE_EVERY_S = 1.0
"""Maximum seconds until a new export starts. Waiting costs one query per second."""
STOP_S = 1.0
"""Seconds to stop. The engine waits for 1.2 s."""


def main(arguments: Sequence[str] | None = None) -> None:
    keep_files_private()
    options = child_parser().parse_args(arguments)
    django.setup()

    from ninjacam.actions.export_jobs import ExportJobs
    from ninjacam.conf import get_settings
    from ninjacam.core.limits import confine

    confine(memory_bytes=resource.RLIM_INFINITY)  # Its children may run user code.
    jobs = ExportJobs(get_settings())

    async def nothing(_: "Json") -> None:
        """Ignore the work of this child: the database lists its jobs."""

    async def run() -> None:
        stop = threading.Event()
        child = Child(
            name=options.name,
            run_dir=options.run_dir,
            orphan_s=options.orphan_s,
            assign=nothing,
            status=lambda: {"kind": "jobs", "jobs": jobs.pids()},
        )
        child.claim()
        # Not a daemon thread: its jobs end with it, and must be queued again first.
        thread = threading.Thread(target=_work, args=(jobs, stop, child.stop.set), name="export-jobs")
        courier_stop = Stop()
        courier = threading.Thread(target=_send, args=(courier_stop, child.stop.set), name="webhooks")
        # A daemon thread: a snapshot that is interrupted is taken again.
        threading.Thread(
            target=_take_snapshots, args=(stop, child.stop.set), name="snapshots", daemon=True
        ).start()
        caller = threading.Thread(
            target=_call_processors, args=(stop, child.stop.set), name="event-calls", daemon=True
        )
        for each in (thread, courier, caller):
            each.start()
        try:
            await child.run()
        finally:
            stop.set()
            courier_stop.set()
            await asyncio.gather(
                *(asyncio.to_thread(each.join, STOP_S) for each in (thread, courier, caller))
            )

    gc.freeze()
    run_loop(run)


def _work(jobs: "ExportJobs", stop: threading.Event, on_end: Callable[[], None]) -> None:
    from django.db import connections

    from ninjacam.actions.export_jobs import BUSY_EVERY_S

    try:
        while not stop.wait(BUSY_EVERY_S if jobs.busy else IDLE_EVERY_S):
            jobs.tick()
    finally:
        jobs.close()
        connections.close_all()
        on_end()  # After a bug, the engine starts another worker.


def _take_snapshots(stop: threading.Event, on_end: Callable[[], None]) -> None:
    from ninjacam.actions.snapshots import SnapshotTaker
    from ninjacam.conf import get_settings

    _tick_until(stop, SnapshotTaker(get_settings()).tick, on_end)


def _call_processors(stop: threading.Event, on_end: Callable[[], None]) -> None:
    from ninjacam.actions.event_calls import EventCaller

    caller = EventCaller(must_stop=stop.is_set)
    _tick_until(stop, caller.tick, on_end, close=caller.close)


def _tick_until(
    stop: threading.Event,
    tick: Callable[[], bool],
    on_end: Callable[[], None],
    close: Callable[[], None] = lambda: None,
) -> None:
    """Call `tick` until `stop`: again at once while it returns True, because something was due. Then `close`."""
    from django.db import DatabaseError, connections

    was_due = False
    try:
        while not stop.wait(0 if was_due else IDLE_EVERY_S):
            try:
                was_due = tick()
            except DatabaseError:  # The thread of the exports logs it.
                connections.close_all()
                was_due = False
    finally:
        close()
        connections.close_all()
        on_end()  # As in `_work`.


def _send(stop: Stop, on_end: Callable[[], None]) -> None:
    from ninjacam.actions.push_messages import PushMessages
    from ninjacam.actions.rule_actions import perform
    from ninjacam.conf import get_settings
    from ninjacam.webhooks.courier import Courier

    async def run() -> None:
        await Courier(stop, perform=perform, messages=PushMessages(get_settings())).run()

    try:
        asyncio.run(run())
    finally:
        on_end()  # As in `_work`.


if __name__ == "__main__":
    main()

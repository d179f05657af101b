"""Run exports and backtests: select the next one, start a process for it, handle its result. Tolerates an unavailable
database.

`actions.exports` and `actions.backtests` create them. `processes.job_worker` calls this module about once a second.
"""

import contextlib
import logging
import os
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.db import DatabaseError, DataError, IntegrityError, connections
from django.db.models import Q
from django.utils import timezone

from ninjacam.actions.backtests import trial_of
from ninjacam.actions.export_limits import lacks_room
from ninjacam.actions.export_options import speed_for
from ninjacam.conf import Settings
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import NinjacamError
from ninjacam.core.interpreter import python_command
from ninjacam.models import Export, ExportState, Segment
from ninjacam.models.segment import timeline
from ninjacam.recordings.export import DiskError, NothingRecordedError
from ninjacam.recordings.segments import INDEX_LATE_NS
from ninjacam.supervision.job_process import JobProcess, Outcome

logger = logging.getLogger("ninjacam.actions")

JOB_ARGV = tuple(python_command("ninjacam.processes.export_job"))
BUSY_EVERY_S = 0.25
HEARTBEAT_S = 1.0
DEAD_AFTER = timedelta(seconds=6)
"""Time without a heartbeat after which the process of a running export is considered dead."""
MAX_ATTEMPTS = 3
KEPT = timedelta(days=7)
BACKTEST_KEPT = timedelta(days=1)
ROW_KEPT = timedelta(days=30)
CLEAN_EVERY_S = 600.0
MAX_LISTED = 1000
_NAME = re.compile(
    r"(?P<pk>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-(?P<claim>[0-9a-f]{32})\.(?:mp4|json)(?P<part>\.part)?"
)


class WorkerDiedError(NinjacamError):
    code = "worker_died"

    def __init__(self) -> None:
        super().__init__(
            f"The process of this job crashed {MAX_ATTEMPTS} times. "
            "It may need too much memory; try a shorter span."
        )


class StalledError(NinjacamError):
    code = "stalled"

    def __init__(self) -> None:
        super().__init__(
            "The job made no progress for two minutes and was stopped. Check the code of its processor."
        )


class ResultRefusedError(NinjacamError):
    code = "result_refused"

    def __init__(self) -> None:
        super().__init__("The database refused the result of this job. The server's log contains the reason.")


class NoRoomError(NinjacamError):
    code = "disk_full"

    def __init__(self) -> None:
        super().__init__("The disk has no space for the result. Delete exports, or free space on the server.")


@dataclass(slots=True)
class _Run:
    export: Export
    process: JobProcess
    part: Path
    path: Path
    heard_ns: int = 0


LANES = ("copy", "drawn", "backtest")
_LANE_OF: dict[str, str] = {
    Export.Kind.COPY: "copy",
    Export.Kind.KEY_FRAMES: "copy",
    Export.Kind.BACKTEST: "backtest",
}
SLOTS = 2
"""Number of exports of one lane that run at once, for different users, so that users need not wait hours for another
user's export."""


def lane_of(kind: str) -> str:
    """Return the lane of a kind of export. Copies take seconds and must not wait for hours of encoding, and neither for
    backtests, which users watch.
    """
    return _LANE_OF.get(kind, "drawn")


class ExportJobs:
    """Runs exports. Thread: one, which must live at least as long as the processes that it starts."""

    def __init__(
        self, settings: Settings, *, argv: Sequence[str] = JOB_ARGV, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._settings = settings
        self._argv = argv
        self._clock = clock
        self._runs: dict[str, _Run] = {}
        self._served: dict[Any, int] = {}
        """User -> sequence number of the user's latest started export."""
        self._turn = 0
        self._clean_ns: int | None = None
        # Built once: building it each second would cost more than the rest of the check.
        self._any = Export.objects.active().order_by().values_list("pk")[:1].query.sql_with_params()
        self._away = False

    # --- called by the owner ---

    @property
    def busy(self) -> bool:
        return bool(self._runs)

    def pids(self) -> list[int]:
        return [run.process.pid for run in self._runs.values()]

    def tick(self) -> None:
        """Check running exports and start waiting ones. Call it each second, or more often while `busy`."""
        try:
            for lane in list(self._runs):
                self._follow_or_fail(lane)
            self._look()
            self._clean_sometimes()
            self._away = False
        except DatabaseError as exc:
            connections.close_all()
            if not self._away:
                logger.warning("the database does not respond; exports continue: %s", type(exc).__name__)
            self._away = True

    def run_one(self, pk: uuid.UUID) -> None:
        """Run this export, if it is still queued. Blocks until it has ended."""
        export = Export.objects.claim(pk, timezone.now())
        if export is not None:
            self._begin("one", export)
        while "one" in self._runs:
            time.sleep(BUSY_EVERY_S)
            try:
                self._follow("one")
            except DatabaseError:
                connections.close_all()

    def close(self) -> None:
        """Stop running exports. They are queued again, and the attempt does not count."""
        for run in self._runs.values():
            run.process.kill()
            _remove(run.part)
        runs, self._runs = self._runs, {}
        with contextlib.suppress(DatabaseError):
            for run in runs.values():
                self._held(run).move(ExportState.QUEUED, progress=0.0, attempts=run.export.attempts - 1)

    # --- waiting exports, and those whose worker died ---

    def _look(self) -> None:
        """Queue the exports of dead workers again, and start waiting ones while there are free slots."""
        with connections[Export.objects.db].cursor() as cursor:
            cursor.execute(*self._any)
            if cursor.fetchone() is None:
                return
        lanes = [lane for lane in LANES if self._free_slot(lane) is not None]
        kinds = [kind for kind in Export.Kind.values if lane_of(kind) in lanes]
        waiting = Q(state=ExportState.QUEUED, handed_over=False, kind__in=kinds)
        rows = Export.objects.filter(waiting | Q(state=ExportState.RUNNING)).order_by("created_at", "pk")
        dead_before = timezone.now() - DEAD_AFTER
        own = {run.export.claim for run in self._runs.values()}
        queued: list[Export] = []
        busy: set[tuple[str, Any]] = set()
        for export in rows[:MAX_LISTED]:
            if export.state == ExportState.QUEUED:
                queued.append(export)
                continue
            busy.add((lane_of(export.kind), export.created_by_id))
            dead = export.heartbeat_at is None or export.heartbeat_at < dead_before
            if dead and export.claim not in own:
                self._died(export)
        for lane in lanes:
            self._begin_waiting(lane, [each for each in queued if lane_of(each.kind) == lane], busy)

    def _begin_waiting(self, lane: str, queued: list[Export], busy: set[tuple[str, Any]]) -> None:
        """Start waiting exports. Users take turns: the user served longest ago is next. `busy`: (lane, user) of
        running exports."""
        # A stable sort keeps the oldest first.
        queued.sort(key=lambda export: self._served.get(export.created_by_id, 0))
        for export in queued:
            slot = self._free_slot(lane)
            if slot is None:
                return
            if (lane, export.created_by_id) in busy:
                continue
            claimed = Export.objects.claim(export.pk, timezone.now())
            if claimed is not None:
                busy.add((lane, export.created_by_id))
                self._turn += 1
                self._served[export.created_by_id] = self._turn
                while len(self._served) > MAX_LISTED:
                    del self._served[min(self._served, key=self._served.__getitem__)]
                self._begin(slot, claimed)

    def _free_slot(self, lane: str) -> str | None:
        return next((slot for n in range(SLOTS) if (slot := f"{lane}-{n}") not in self._runs), None)

    def _died(self, export: Export) -> None:
        held = Export.objects.held(export.pk, export.claim)
        if export.cancel_requested:
            held.move(ExportState.CANCELLED, finished_at=timezone.now())
        elif export.attempts < MAX_ATTEMPTS:
            logger.warning("export %s: its process died, it is queued again", export.pk)
            held.move(ExportState.QUEUED, progress=0.0, handed_over=False)
        else:
            self._failed(export, WorkerDiedError().as_dict())

    # --- running exports ---

    def _held(self, run: _Run) -> Any:
        return Export.objects.held(run.export.pk, run.export.claim)

    def _begin(self, lane: str, export: Export) -> None:
        path = export.path(self._settings.exports_dir)
        part = path.with_name(f"{path.name}.part")
        try:
            question = self._question(export, part)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            runs_user_code = bool(question.get("view")) or export.kind == Export.Kind.BACKTEST
            process = JobProcess(self._argv, question, bare=not runs_user_code, clock=self._clock)
        except NinjacamError as exc:
            self._failed(export, exc.as_dict())
            return
        except OSError as exc:
            self._failed(export, DiskError.of(exc.errno).as_dict())
            return
        self._runs[lane] = _Run(export, process, part, path, self._clock.monotonic_ns())

    def _failed(self, export: Export, error: dict[str, Any]) -> None:
        held = Export.objects.held(export.pk, export.claim)
        held.move(ExportState.FAILED, finished_at=timezone.now(), error=error)

    def _question(self, export: Export, part: Path) -> dict[str, Any]:
        """Return the fields of `recordings.export.ExportSpec`, or of `backtest.trial.TrialSpec`. Raises:
        NothingRecordedError, TooLittleRecordedError.
        """
        if export.kind == Export.Kind.BACKTEST:
            return trial_of(export, part, self._settings.recordings_dir)
        options = export.options
        rows = Segment.objects.overlapping([export.slug], export.start_ns - INDEX_LATE_NS, export.end_ns)
        root = self._settings.recordings_dir
        spec: dict[str, Any] = {
            "kind": export.kind,
            "camera": export.slug,
            "paths": [str(root / path) for path in rows.values_list("path", flat=True)],
            "start_ns": export.start_ns,
            "end_ns": export.end_ns,
            "output": str(part),
            "clock": bool(options.get("clock")),
            "zone": django_settings.TIME_ZONE,
            "view": options.get("view") or "",
            "width_px": options.get("width_px") or 0,
        }
        if export.kind in (Export.Kind.TIMELAPSE, Export.Kind.KEY_FRAMES):
            spec["fps"] = options["fps"]
            spec["speed"] = options["speed"] or speed_for(options["length_s"], _recorded_s(export))
        return spec

    def _follow(self, lane: str) -> None:
        """Check the running exports of a lane. Raises: DatabaseError: the result is written at the next call."""
        run = self._runs[lane]
        outcome = run.process.poll()
        if outcome is None:
            self._keep(lane, run)
        else:
            self._settle(run, outcome)
            del self._runs[lane]

    def _follow_or_fail(self, lane: str) -> None:
        """Check the running exports of a lane. A result that the database refuses must not stop other exports."""
        try:
            self._follow(lane)
        except (DataError, IntegrityError):
            run = self._runs.pop(lane)
            logger.exception("export %s: the database refused its result", run.export.pk)
            run.process.kill()
            _remove(run.part)
            _remove(run.path)
            self._failed(run.export, ResultRefusedError().as_dict())

    def _keep(self, lane: str, run: _Run) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - run.heard_ns >= HEARTBEAT_S * 1e9:
            run.heard_ns = now_ns
            self._held(run).update(heartbeat_at=timezone.now(), progress=run.process.progress)
            if lacks_room(self._settings):
                run.process.kill()
                _remove(run.part)
                self._failed(run.export, NoRoomError().as_dict())
                del self._runs[lane]
                return
        cancelled = self._held(run).values_list("cancel_requested", flat=True).first()
        if cancelled is False:
            return
        run.process.kill()
        _remove(run.part)
        if cancelled:  # Otherwise it was deleted, or assigned to another worker.
            self._held(run).move(ExportState.CANCELLED, finished_at=timezone.now())
        del self._runs[lane]

    def _settle(self, run: _Run, outcome: Outcome) -> None:
        if outcome.result is not None:
            self._offer(run, outcome.result)
        elif outcome.hung:
            self._failed(run.export, StalledError().as_dict())
        elif outcome.error is not None:
            self._failed(run.export, outcome.error)
        else:
            export = self._held(run).first()
            if export is not None:
                self._died(export)
        _remove(run.part)

    def _offer(self, run: _Run, result: dict[str, Any]) -> None:
        """Rename the complete and synced file, then update the row."""
        try:
            if run.part.exists():  # Otherwise it was already renamed, and the database was unavailable.
                run.part.rename(run.path)
            _sync(run.path.parent)
        except OSError as exc:
            self._failed(run.export, DiskError.of(exc.errno).as_dict())
            return
        now = timezone.now()
        done = self._held(run).move(
            ExportState.DONE,
            progress=1.0,
            finished_at=now,
            expires_at=now + (BACKTEST_KEPT if run.export.kind == Export.Kind.BACKTEST else KEPT),
            size_bytes=result["size_bytes"],
            sha256=result["sha256"],
        )
        if not done:
            _remove(run.path)

    # --- ended exports ---

    def _clean_sometimes(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if self._clean_ns is None or now_ns - self._clean_ns >= CLEAN_EVERY_S * 1e9:
            self._clean_ns = now_ns
            self.clean()

    def clean(self) -> None:
        """Delete expired files and then their rows, and remains of runs that died. Deletes no foreign files."""
        root, now = self._settings.exports_dir, timezone.now()
        expired = Export.objects.filter(state=ExportState.DONE, expires_at__lte=now).exclude(claim="")
        for export in expired[:MAX_LISTED]:
            _remove(export.path(root))
            Export.objects.filter(pk=export.pk, claim=export.claim).update(claim="")
        over = Export.objects.exclude(pk__in=Export.objects.active().values("pk")).filter(
            finished_at__lt=now - ROW_KEPT
        )
        over.exclude(state=ExportState.DONE, claim__gt="").delete()
        for name in _names(root):
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            row = Export.objects.filter(pk=match["pk"]).values_list("claim", "state").first()
            if row is None:
                # After a loss of the database, a complete file without a row may be the only copy.
                left = bool(match["part"])
            else:
                left = row[0] != match["claim"] or row[1] not in (ExportState.RUNNING, ExportState.DONE)
            if left:
                _remove(root / name)


def _recorded_s(export: Export) -> float:
    """Raises: NothingRecordedError."""
    spans = timeline([export.slug], export.start_ns, export.end_ns).spans.get(export.slug, [])
    if not spans:
        raise NothingRecordedError
    return sum(end_ns - start_ns for start_ns, end_ns in spans) / 1e9


def _names(root: Path) -> list[str]:
    try:
        return sorted(os.listdir(root))
    except OSError:
        return []


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync(directory: Path) -> None:
    """Sync the directory, so that the new name survives a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

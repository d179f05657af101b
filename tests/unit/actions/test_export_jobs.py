"""The worker: the exports it claims, and their results. Job processes are real, with a few lines of Python."""

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.db import DataError, OperationalError
from django.utils import timezone

from ninjacam.actions import export_limits
from ninjacam.actions.export_jobs import CLEAN_EVERY_S, DEAD_AFTER, MAX_ATTEMPTS, ROW_KEPT, ExportJobs
from ninjacam.conf import get_settings
from ninjacam.engine.retention import Disk
from ninjacam.models import Camera, Export, Segment
from ninjacam.testing.clock import FakeClock
from tests.harness.processes import is_alive, wait_until

pytestmark = pytest.mark.django_db
MAKES = (
    "import json, sys; q = json.load(sys.stdin); open(q['output'], 'w').write('abc');"
    "print(json.dumps({'result': {'size_bytes': 3, 'sha256': 'ab'}}))"
)
WAITS = "import json, sys, time; print('{\"progress\": 0.5}', flush=True); time.sleep(60)"
DIES = "import os; os.kill(os.getpid(), 9)"
FAILS = 'print(\'{"error": {"code": "disk_full", "message": "The disk is full.", "retryable": true}}\')'


def make(**values: Any) -> Export:
    defaults: dict[str, Any] = {"slug": "door", "start_ns": 10**18, "end_ns": 10**18 + 10**10, "kind": "copy"}
    return Export.objects.create(**{**defaults, **values})


class Bench:
    def __init__(self, root: Path) -> None:
        self.exports = root / "exports"
        self.clock = FakeClock()
        self.workers: list[ExportJobs] = []

    def worker(self, code: str) -> ExportJobs:
        worker = ExportJobs(get_settings(), argv=(sys.executable, "-c", code), clock=self.clock)
        self.workers.append(worker)
        return worker

    def names(self) -> list[str]:
        return sorted(path.name for path in self.exports.iterdir())


@pytest.fixture
def bench(run_dir: Path) -> Iterator[Bench]:
    bench = Bench(run_dir.parent)
    yield bench
    for worker in bench.workers:
        worker.close()


def until(worker: ExportJobs, export: Export, state: str) -> Export:
    def reached() -> bool:
        worker.tick()
        export.refresh_from_db()
        return export.state == state

    wait_until(reached, 20, f"{state}, not {export.state}")
    return export


def test_an_export_is_made_and_offered(bench: Bench) -> None:
    export = until(bench.worker(MAKES), make(), "done")
    assert (export.size_bytes, export.sha256, export.progress, export.attempts) == (3, "ab", 1, 1)
    assert export.expires_at is not None and timedelta(days=6.9) < export.expires_at - timezone.now()
    assert export.path(bench.exports).read_text() == "abc" and len(bench.names()) == 1


def test_the_name_of_an_offered_file_is_synced_to_the_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str], str]] = []

    def sync(descriptor: int) -> None:
        state = Export.objects.values_list("state", flat=True).get()
        synced.append((os.readlink(f"/proc/self/fd/{descriptor}"), bench.names(), state))

    monkeypatch.setattr(os, "fsync", sync)
    export = until(bench.worker(MAKES), make(), "done")
    assert synced == [(str(bench.exports), [export.path(bench.exports).name], "running")]


def test_the_process_receives_the_files_of_the_span(bench: Bench) -> None:
    for number in range(3):
        Segment.objects.create(
            slug="door", path=f"door/{number}.mp4", start_ns=10**18 + (number - 1) * 10**10,
            end_ns=10**18 + number * 10**10, size_bytes=1, codec="h264", width_px=640, height_px=360,
        )  # fmt: skip
    options = {"speed": None, "length_s": 2, "fps": 10, "width_px": 320, "clock": True}
    told = bench.exports.parent / "told.json"
    code = f"import sys; open({str(told)!r}, 'w').write(sys.stdin.read()); print('{{\"error\": {{}}}}')"
    export = until(bench.worker(code), make(kind="timelapse", options=options), "failed")
    root = str(get_settings().recordings_dir)
    question = json.loads(told.read_text())
    assert question.pop("output").endswith(f"{export.pk}-{export.claim}.mp4.part")
    assert question == {
        "kind": "timelapse", "camera": "door", "paths": [f"{root}/door/0.mp4", f"{root}/door/1.mp4"],
        "start_ns": export.start_ns, "end_ns": export.end_ns, "clock": True, "zone": settings.TIME_ZONE, "view": "",
        "width_px": 320, "fps": 10, "speed": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recorded_s", "length_s", "code", "says"),
    [
        (10, 5, "", ""),
        (10, 5.1, "too_little_recorded", "Ask for at most 5.0 s, or a"),
        (6, 3600, "too_little_recorded", "Ask for at most 3.0 s, or a"),
        (0, 1, "no_recording", "There are no recordings of this span"),
    ],
)
def test_a_timelapse_that_would_be_slow_is_refused(
    bench: Bench, recorded_s: int, length_s: float, code: str, says: str
) -> None:
    if recorded_s:
        Segment.objects.create(
            slug="door", path="door/0.mp4", start_ns=10**18, end_ns=10**18 + recorded_s * 10**9,
            size_bytes=1, codec="h264", width_px=640, height_px=360,
        )  # fmt: skip
    options = {"speed": None, "length_s": length_s, "fps": 60, "width_px": None, "clock": True}
    made = make(kind="timelapse", options=options)
    export = until(bench.worker(MAKES), made, "failed" if code else "done")
    if code:
        assert export.error is not None and says in export.error["message"]
        assert (export.error["code"], export.error["retryable"], export.attempts) == (code, False, 1)
        assert not bench.worker(MAKES).busy


def test_a_copy_does_not_wait_for_a_rendered_export(bench: Bench) -> None:
    worker = bench.worker(WAITS)
    drawn, copies = make(kind="burned"), [make(), make()]
    until(worker, drawn, "running")
    until(worker, copies[0], "running")
    for _ in range(120):  # more than the worker examines
        make(kind="burned", created_at=drawn.created_at)
    worker.tick()
    copies[1].refresh_from_db()
    assert copies[1].state == "queued" and len(worker.pids()) == 2
    Export.objects.filter(pk=copies[0].pk).update(cancel_requested=True)
    until(worker, copies[1], "running")


def make_backtest(**values: Any) -> Export:
    """A backtest of recordings that exist."""
    Camera.objects.get_or_create(slug="door", defaults={"url": "rtsp://10.0.0.5/"})
    Segment.objects.get_or_create(
        slug="door", path="door/a.mp4", start_ns=10**18, end_ns=10**18 + 10**10, size_bytes=1, codec="h264",
        width_px=2, height_px=2,
    )  # fmt: skip
    options = {
        "processor": "people",
        "before": {},
        "after": {"people": {"score": 1}},
        "changes": {"score": 1},
    }
    return make(kind="backtest", options=options, **values)


def test_a_backtest_does_not_wait_for_a_rendered_export_and_is_kept_for_a_day(bench: Bench) -> None:
    slow = bench.worker(WAITS)
    rendered = make(kind="burned")
    until(slow, rendered, "running")
    backtest = until(slow, make_backtest(), "running")
    slow.close()
    Export.objects.filter(kind="burned").delete()
    code = (
        "import json, os, sys; q = json.load(sys.stdin); assert q['zone'] and q['files'] and q['after'];"
        "open(q['output'], 'w').write(os.environ['NINJACAM_TEST_SETTING']);"
        "print(json.dumps({'result': {'size_bytes': 3, 'sha256': 'ab'}}))"
    )
    with mock.patch.dict(os.environ, {"NINJACAM_TEST_SETTING": "full"}):
        done = until(bench.worker(code), backtest, "done")
    assert done.expires_at is not None and timedelta(days=0.9) < done.expires_at - timezone.now() < timedelta(
        1
    )
    path = done.path(bench.exports)
    assert path.suffix == ".json" and path.read_text() == "full", "the settings of user code are there"
    Export.objects.update(expires_at=timezone.now())
    bench.worker(MAKES).clean()
    assert bench.names() == []


def test_a_backtest_whose_recordings_were_deleted_fails(bench: Bench) -> None:
    backtest = make_backtest()
    Segment.objects.all().delete()
    failed = until(bench.worker(MAKES), backtest, "failed")
    assert failed.error is not None and failed.error["code"] == "no_recording"


def test_users_take_turns_and_do_not_wait_for_the_long_export_of_another(
    bench: Bench, django_user_model: Any
) -> None:
    greedy, modest = (django_user_model.objects.create(username=name) for name in ("greedy", "modest"))
    many = [make(created_by=greedy) for _ in range(4)]
    one = make(created_by=modest)
    worker = bench.worker(WAITS)
    until(worker, one, "running")
    states = list(Export.objects.filter(created_by=greedy).values_list("state", flat=True))
    assert sorted(states) == ["queued"] * 3 + ["running"], "one slot, although two were free"
    more = make(created_by=modest)
    Export.objects.filter(pk__in=[one.pk, many[0].pk]).update(cancel_requested=True)
    until(worker, more, "running")
    until(worker, many[1], "running")


def test_an_export_stops_before_it_uses_reserved_space(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = bench.worker(WAITS)
    export = until(worker, make(), "running")
    monkeypatch.setattr(export_limits, "disk_of", lambda directory: Disk(100_000, 1_000))
    bench.clock.advance(1.1)
    until(worker, export, "failed")
    assert export.error is not None and export.error["code"] == "disk_full"
    assert not worker.busy and not worker.pids()


def test_progress_and_heartbeat_are_written(bench: Bench) -> None:
    worker = bench.worker(WAITS)
    export = until(worker, make(), "running")
    begun = export.heartbeat_at
    assert begun is not None

    def told() -> bool:
        bench.clock.advance(1.1)
        worker.tick()
        export.refresh_from_db()
        return export.progress == 0.5

    wait_until(told, 20, "progress")
    assert export.heartbeat_at is not None and export.heartbeat_at > begun


def test_a_cancelled_export_stops_at_once(bench: Bench) -> None:
    worker = bench.worker(WAITS)
    export = until(worker, make(), "running")
    (pid,) = worker.pids()
    Export.objects.update(cancel_requested=True)
    worker.tick()
    export.refresh_from_db()
    assert export.state == "cancelled" and export.finished_at and not is_alive(pid) and not worker.busy


def test_a_deleted_export_stops_at_once(bench: Bench) -> None:
    worker = bench.worker(WAITS)
    export = until(worker, make(), "running")
    (pid,) = worker.pids()
    export.delete()
    worker.tick()
    assert not is_alive(pid) and not worker.busy


def test_an_error_is_final_and_leaves_no_file(bench: Bench) -> None:
    code = f"import json, sys; open(json.load(sys.stdin)['output'], 'w'); {FAILS}"
    export = until(bench.worker(code), make(), "failed")
    assert export.error == {"code": "disk_full", "message": "The disk is full.", "retryable": True}
    assert export.attempts == 1 and bench.names() == []


def test_a_result_that_the_database_refuses_fails_only_its_own_export(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, other = make(), make(kind="timelapse", options={"speed": 2, "fps": 10, "width_px": 320})
    offer = ExportJobs._offer

    def refuse(jobs: ExportJobs, run: Any, result: dict[str, Any]) -> None:
        if run.export.pk == refused.pk:
            raise DataError("value out of range")
        offer(jobs, run, result)

    monkeypatch.setattr(ExportJobs, "_offer", refuse)
    worker = bench.worker(MAKES)
    until(worker, other, "done")
    until(worker, refused, "failed")
    assert refused.error is not None and refused.error["code"] == "result_refused"
    assert bench.names() == [other.path(bench.exports).name]


def test_a_process_that_dies_is_retried_three_times(bench: Bench) -> None:
    export = until(bench.worker(DIES), make(), "failed")
    assert export.attempts == MAX_ATTEMPTS
    assert export.error is not None and export.error["code"] == "worker_died"


def test_the_exports_of_a_dead_worker_are_made_by_the_next_one(bench: Bench) -> None:
    claimed = Export.objects.claim(make(handed_over=True).pk, timezone.now())  # even by a task
    assert claimed is not None
    claimed.path(bench.exports).parent.mkdir()
    left = claimed.path(bench.exports).with_suffix(".mp4.part")
    left.write_text("half")
    worker = bench.worker(MAKES)
    worker.tick()
    claimed.refresh_from_db()
    assert claimed.state == "running" and not worker.busy  # it may still run
    Export.objects.update(heartbeat_at=timezone.now() - DEAD_AFTER)
    export = until(worker, claimed, "done")
    assert export.attempts == 2 and export.path(bench.exports).read_text() == "abc"
    bench.clock.advance(CLEAN_EVERY_S)
    worker.tick()
    assert bench.names() == [export.path(bench.exports).name]


def test_an_export_cancelled_before_its_worker_died_is_not_made(bench: Bench) -> None:
    long_ago = timezone.now() - DEAD_AFTER
    export = make(state="running", claim="x", heartbeat_at=long_ago, cancel_requested=True)
    assert until(bench.worker(MAKES), export, "cancelled").finished_at


def test_exports_that_wait_for_a_task_are_left_to_it(bench: Bench) -> None:
    export = make(handed_over=True)
    worker = bench.worker(MAKES)
    worker.tick()
    export.refresh_from_db()
    assert export.state == "queued"
    worker.run_one(export.pk)
    export.refresh_from_db()
    assert export.state == "done"


def test_a_stop_queues_the_export_again_and_does_not_count_as_an_attempt(bench: Bench) -> None:
    worker = bench.worker(WAITS)
    export = until(worker, make(), "running")
    (pid,) = worker.pids()
    worker.close()
    export.refresh_from_db()
    assert (export.state, export.attempts) == ("queued", 0) and not is_alive(pid)


def test_the_result_is_saved_when_the_database_is_back(bench: Bench) -> None:
    worker = bench.worker(MAKES)
    export = make()
    worker.tick()
    (pid,) = worker.pids()
    wait_until(lambda: not is_alive(pid), 20, "the job's end")
    away = mock.patch.object(Export.objects, "held", side_effect=OperationalError("away"))
    with away, mock.patch("ninjacam.actions.export_jobs.connections.close_all"):
        for _ in range(3):
            worker.tick()
    assert worker.busy and "abc" in [path.read_text() for path in bench.exports.iterdir()]
    export = until(worker, export, "done")
    assert export.attempts == 1 and export.path(bench.exports).read_text() == "abc"


def test_a_run_presumed_dead_offers_nothing(bench: Bench) -> None:
    worker = bench.worker(MAKES)
    export = make()
    worker.tick()
    Export.objects.update(state="queued")
    other = Export.objects.claim(export.pk, timezone.now())
    assert other is not None

    def over() -> bool:
        worker.tick()
        return not worker.busy

    wait_until(over, 20, "its end")
    export.refresh_from_db()
    assert (export.state, export.claim) == ("running", other.claim)
    assert bench.names() == []


def test_expired_files_are_deleted_and_their_rows_later_and_unknown_files_stay(bench: Bench) -> None:
    now = timezone.now()
    done = make(state="done", claim="a" * 32, finished_at=now, expires_at=now - timedelta(seconds=1))
    kept = make(state="done", claim="b" * 32, finished_at=now, expires_at=now + timedelta(days=1))
    old = make(state="failed", finished_at=now - ROW_KEPT - timedelta(days=1))
    bench.exports.mkdir()
    for export in (done, kept):
        export.path(bench.exports).write_text("x")
    stranger = "1c9e6679-7425-40de-944b-e07fc1f90ae7-" + "c" * 32 + ".mp4"
    left = [f"{kept.pk}-{'d' * 32}.{ending}" for ending in ("mp4", "json", "json.part")]
    for name in ("holiday.mp4", stranger, f"{stranger}.part", *left):
        (bench.exports / name).write_text("x")
    bench.worker(MAKES).clean()
    assert bench.names() == sorted(["holiday.mp4", stranger, kept.path(bench.exports).name])
    done.refresh_from_db()
    assert done.state == "done" and done.claim == ""
    assert not Export.objects.filter(pk=old.pk).exists()
    Export.objects.filter(pk=done.pk).update(finished_at=now - ROW_KEPT - timedelta(days=1))
    bench.worker(MAKES).clean()
    assert list(Export.objects.all()) == [kept]


def test_a_directory_that_cannot_be_created_is_reported(bench: Bench) -> None:
    bench.exports.write_text("a file")
    export = until(bench.worker(MAKES), make(), "failed")
    assert export.error is not None and export.error["code"] == "disk"
    assert str(bench.exports) not in export.error["message"]


def test_waiting_costs_one_query(bench: Bench, django_assert_num_queries: Any) -> None:
    worker = bench.worker(MAKES)
    worker.tick()
    began_s = time.thread_time()
    with django_assert_num_queries(20):
        for _ in range(20):
            worker.tick()
    assert (time.thread_time() - began_s) / 20 < 0.01

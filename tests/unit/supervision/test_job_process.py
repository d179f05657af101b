"""Real job processes that run a few lines of Python."""

import os
import sys
import time
from pathlib import Path

import pytest

from ninjacam.supervision.job_process import SILENT_S, JobProcess, Outcome
from ninjacam.testing.clock import FakeClock
from tests.harness.processes import is_alive, wait_until


def job(code: str, *, bare: bool = True, clock: FakeClock | None = None) -> JobProcess:
    return JobProcess(
        [sys.executable, "-c", code], {"a": 1, "long": "x" * 200_000}, bare=bare, clock=clock or FakeClock()
    )


def ended(process: JobProcess) -> Outcome:
    return wait_until(process.poll, 20, "the job's end")


def test_a_job_receives_its_task_and_returns_its_result() -> None:
    process = job(
        "import json, sys; q = json.load(sys.stdin); print(json.dumps({'progress': 0.25}), flush=True);"
        "print('no json'); print('[1]'); print(json.dumps({'result': {'a': q['a'], 'n': len(q['long'])}}))"
    )
    assert ended(process) == Outcome(result={"a": 1, "n": 200_000})
    assert process.progress == 0.25 and process.poll() == Outcome(result={"a": 1, "n": 200_000})


def test_an_error_is_a_result_and_a_crash_is_not() -> None:
    assert ended(job('print(\'{"error": {"code": "x"}}\')')) == Outcome(error={"code": "x"})
    assert (
        ended(job("import os; print('{\"progress\": 1}', flush=True); os.kill(os.getpid(), 9)")) == Outcome()
    )
    assert ended(job("raise SystemExit(3)")) == Outcome()


def test_a_decoding_job_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NINJACAM_SECRET_KEY", "secret")
    code = "import os, json; print(json.dumps({'result': {'key': os.environ.get('NINJACAM_SECRET_KEY')}}))"
    assert ended(job(code)).result == {"key": None}
    assert ended(job(code, bare=False)).result == {"key": "secret"}


def test_a_job_without_progress_is_killed() -> None:
    clock = FakeClock()
    process = job("import time; time.sleep(60)", clock=clock)
    assert process.poll() is None
    clock.advance(SILENT_S + 1)
    assert process.poll() == Outcome(hung=True)
    assert not is_alive(process.pid)


def test_a_job_ends_with_its_parent(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = (
        "import sys, time, pathlib\n"
        "from ninjacam.core.limits import die_with_parent\n"
        "die_with_parent(int(sys.argv[-1]))\n"
        f"pathlib.Path({str(told)!r}).write_text(str(__import__('os').getpid()))\n"
        "time.sleep(60)\n"
    )
    parent = os.fork()
    if not parent:
        try:
            job(code)
            time.sleep(60)
        finally:
            os._exit(1)
    pid = int(wait_until(lambda: told.read_text() if told.exists() else "", 20, "the job"))
    os.kill(parent, 9)
    os.waitpid(parent, 0)
    wait_until(lambda: not is_alive(pid), 5, "the job's end")


FORKS = (
    "import os, sys, time\nchild = os.fork()\nif child == 0:\n    time.sleep(60)\n"
    "open({path!r}, 'w').write(f'{{child}} ')\n"
)


@pytest.mark.parametrize("how", ["killed", "crashed", "returned"])
def test_the_children_of_user_code_end_with_the_job(tmp_path: Path, how: str) -> None:
    path = tmp_path / "child"
    rest = {
        "killed": "time.sleep(60)",
        "crashed": "os.abort()",
        "returned": "print('{\"result\": {}}', flush=True)",
    }
    process = job(FORKS.format(path=str(path)) + rest[how])
    wait_until(lambda: path.exists() and path.read_text().endswith(" "), 20, "the job's child")
    child = int(path.read_text())
    if how == "killed":
        process.kill()
    else:
        assert ended(process) == Outcome(result={} if how == "returned" else None)
    wait_until(lambda: not is_alive(child), 5, "the end of its child")

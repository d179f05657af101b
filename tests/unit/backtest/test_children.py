"""The processes of a backtest."""

import sys
from pathlib import Path

import pytest

from ninjacam.backtest import children
from ninjacam.backtest.children import JobChildren
from ninjacam.backtest.job import Question
from ninjacam.core.errors import ProcessorError
from tests.harness.processes import wait_until


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_process_that_closes_its_output_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_for_a_test.py").write_text(f"""
import os, subprocess, time
child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
os.close(1)
time.sleep(1000)
""")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setattr(children, "MODULE", "made_for_a_test")
    jobs = JobChildren(
        Question("door", "it"), timeout_s=60, on_line=lambda *_: None, on_crash=lambda *_: None
    )
    with pytest.raises(ProcessorError, match="ended its process while its module was loaded"):
        jobs.start()
    jobs.close()
    for pid in map(int, (tmp_path / "pids").read_text().split()):
        wait_until(lambda pid=pid: not is_running(pid), 5, "the end of the process")  # type: ignore[misc]

"""Crash records: the thread that ended a process."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ninjacam.supervision.crash_record import RunningFile, crash_path, read_last_words, running_words

DUMP = """Fatal Python error: Segmentation fault

Thread 0x00007f0000000001 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 324 in wait

Current thread 0x{ident:016x}{name} (most recent call first):
  File "{file}", line 7 in find
  File "/usr/lib/python3.11/threading.py", line 982 in run

Extension modules: cv2 (total: 1)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file written by a worker in which this thread and another one ran user code."""
    path = tmp_path / "vision-1.running"
    file = RunningFile(path)
    file.enter(file.take_slot(), running_words("door", "mine"))
    other = threading.Thread(target=lambda: file.enter(file.take_slot(), running_words("yard", "other")))
    other.start()
    other.join()
    return path


def dump(path: Path, ident: int, *, file: str = "/srv/cameras.py", name: str = "") -> None:
    crash_path(path).write_text(DUMP.format(ident=ident, file=file, name=name))


@pytest.mark.parametrize("name", ["", " [view-door/mine]"])  # Python 3.14 has names
def test_the_thread_that_received_the_signal_is_the_culprit(path: Path, name: str) -> None:
    dump(path, threading.get_ident(), name=name)
    words = read_last_words(path)
    assert words.running == [("door", "mine")]
    assert words.traceback.splitlines()[0] == '  File "/srv/cameras.py", line 7 in find'
    assert "Extension" not in words.traceback


def test_without_a_known_thread_all_running_views_are_suspects(path: Path) -> None:
    everybody = {("door", "mine"), ("yard", "other")}
    assert set(read_last_words(path).running) == everybody
    dump(path, 4711)  # a thread started by user code
    assert set(read_last_words(path).running) == everybody
    crash_path(path).write_bytes(b"\xff\x00 Current thread nonsense")
    assert set(read_last_words(path).running) == everybody


def test_a_crash_in_our_own_thread_is_attributed_to_no_view(path: Path) -> None:
    ours = Path(RunningFile.__init__.__code__.co_filename).parents[1] / "vision" / "pipeline.py"
    dump(path, 4711, file=str(ours))
    assert read_last_words(path).running == []


def test_a_worker_that_was_stopped_is_attributed_to_no_view(tmp_path: Path) -> None:
    """Its threads may still be in user code when it exits."""
    path = tmp_path / "vision-1.running"
    code = textwrap.dedent(f"""
        import os
        from pathlib import Path
        from ninjacam.supervision.crash_record import RunningFile, running_words

        file = RunningFile(Path({str(path)!r}))
        file.watch_ends()
        file.enter(file.take_slot(), running_words("door", "mine"))
        if {{in_order}}:
            file.end_in_order()
        os._exit(0)
    """)
    subprocess.run([sys.executable, "-c", code.format(in_order=False)], check=True)
    assert read_last_words(path).running == [("door", "mine")]
    subprocess.run([sys.executable, "-c", code.format(in_order=True)], check=True)
    assert read_last_words(path).running == []


def test_a_new_worker_starts_without_the_record_of_the_previous_one(path: Path) -> None:
    dump(path, threading.get_ident())
    RunningFile(path)
    assert read_last_words(path) == ([], "")


def test_a_missing_record_or_one_of_another_version_is_attributed_to_no_view(tmp_path: Path) -> None:
    assert read_last_words(tmp_path / "none").running == []
    old = tmp_path / "old.running"
    old.write_bytes(bytes(100))
    assert read_last_words(old).running == []

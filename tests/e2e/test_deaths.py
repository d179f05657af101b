"""The processes of a recording product are killed repeatedly at random moments, concurrently.

`tests/trials/test_deaths.py` runs the same test for longer.
"""

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ninjacam.recordings.reader import read_recording
from tests.harness.cameras import FakeCamera
from tests.harness.processes import is_alive, wait_until
from tests.harness.recorded import assert_consecutive, assert_decodes, end_ns_of, files_of, stamps
from tests.harness.server import Product

SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")
LOOP = 250
KILLS = 3


class Killer(threading.Thread):
    """Kills `times` incarnations of a process, each at a random moment.

    `kills`: the wall clock before and after each kill, in ns, because a busy machine may interrupt this thread in
    between.
    """

    def __init__(self, kind: str, find: Callable[[], int | None], seed: int, times: int) -> None:
        super().__init__(name=f"killer-{kind}", daemon=True)
        self.kind = kind
        self.kills: list[tuple[int, int]] = []
        self.error: BaseException | None = None
        self._find = find
        self._times = times
        self._dice = random.Random(seed)

    def run(self) -> None:
        last = 0
        try:
            while len(self.kills) < self._times:
                pid = wait_until(partial(self._another, last), 30, f"another {self.kind}")
                time.sleep(self._dice.uniform(0, 3))
                last = pid
                before_ns = time.time_ns()
                with contextlib.suppress(ProcessLookupError):  # another engine has already ended it
                    os.kill(pid, signal.SIGKILL)
                    self.kills.append((before_ns, time.time_ns()))
        except BaseException as error:
            self.error = error

    def _another(self, last: int) -> int | None:
        pid = self._find()
        return pid if pid is not None and pid != last and is_alive(pid) else None


@pytest.mark.ffmpeg
def test_killing_each_process_costs_no_more_than_its_restart(tmp_path: Path) -> None:
    lost_s = kill_each_process(tmp_path, KILLS)
    assert max(lost_s, default=0) < 3, "what was being collected, while four processes start at once"


def kill_each_process(tmp_path: Path, times: int) -> list[float]:
    """Check the recording of a product whose processes are killed.

    Returns: the losses at kills of the capture process.
    """
    root = tmp_path / "data" / "recordings"
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data", workers=2) as product:

        def first(kind: str) -> Callable[[], int | None]:
            return lambda: next(iter(product.pids(kind)), None)

        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        killers = [
            Killer("capture", first("capture"), 1, times),
            Killer("vision", first("vision"), 2, times),
            Killer("engine", product.engine_pid, 3, times),
            Killer("web worker", lambda: next(iter(product.web_pids()), None), 4, times),
        ]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join(600)
        assert [(killer.kind, len(killer.kills), killer.error) for killer in killers] == [
            (killer.kind, times, None) for killer in killers
        ]
        product.wait_for_state("door", timeout_s=40)
        back_ns = time.time_ns()
        wait_until(lambda: end_ns_of(root) > back_ns + 3_000_000_000, 20, "recording", processes=[product])
        wait_until(
            lambda: "match the index" in product.cli("fsck", check=False),
            30,
            "an index of all files but the one that is written",
            processes=[product],
        )
        assert product.terminate(10) < 5
        output = product.output
    segments = files_of(root)
    kills = killers[0].kills
    lost_s = []
    for before, after in itertools.pairwise(segments):
        missing_s = (after.start_ns - before.end_ns) / 1e9
        # After connecting, a camera sends up to a second at once, so a file may end later than its last frame arrived.
        within = [
            from_ns
            for from_ns, until_ns in kills
            if before.end_ns - 1_500_000_000 <= until_ns and from_ns <= after.start_ns + 500_000_000
        ]
        is_full = before.end_ns - before.start_ns > 59_000_000_000
        assert within or (is_full and missing_s < 1), (
            f"nothing was killed after {before.path}: {missing_s:.1f} s; "
            f"{[(killer.kind, killer.kills) for killer in killers]}\n{output}"
        )
        if missing_s > 1:
            lost_s.append((within[0] - before.end_ns) / 1e9)
    print("lost at each death of capture, s:", [round(each, 2) for each in lost_s])
    for segment in segments:
        assert read_recording(root / segment.path).size_bytes == (root / segment.path).stat().st_size
        assert_decodes(root / segment.path)
        assert_consecutive(stamps([root / segment.path]), LOOP)
    return lost_s

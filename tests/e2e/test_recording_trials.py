"""The hard trials of recording: each process killed twenty times, the wall clock set by an hour, the database away."""

import contextlib
import itertools
import os
import random
import signal
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.segments import Segment
from tests.harness.cameras import FakeCamera
from tests.harness.processes import is_alive, wait_until
from tests.harness.recorded import assert_consecutive, assert_decodes, stamps
from tests.harness.server import Product

SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")
LOOP = 250
KILLS = 20
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class Killer(threading.Thread):
    """Kills each incarnation of a process at a random moment of its life. `kills`: wall clock, ns."""

    def __init__(self, kind: str, find: Callable[[], int | None], seed: int) -> None:
        super().__init__(name=f"killer-{kind}", daemon=True)
        self.kind = kind
        self.kills: list[int] = []
        self.error: BaseException | None = None
        self._find = find
        self._dice = random.Random(seed)

    def run(self) -> None:
        last = 0
        try:
            while len(self.kills) < KILLS:
                pid = wait_until(lambda last=last: self._another(last), 30, f"another {self.kind}")  # type: ignore[misc]
                time.sleep(self._dice.uniform(0, 3))
                last = pid
                with contextlib.suppress(ProcessLookupError):  # another engine has ended it by then
                    os.kill(pid, signal.SIGKILL)
                    self.kills.append(time.time_ns())
        except BaseException as error:
            self.error = error

    def _another(self, last: int) -> int | None:
        pid = self._find()
        return pid if pid is not None and pid != last and is_alive(pid) else None


def rfc3339(hours: float) -> str:
    """So many hours from now."""
    return quote((datetime.now(UTC) + timedelta(hours=hours)).isoformat())


def files_of(root: Path) -> list[Segment]:
    found = [read_segment(root / path, root=root) for path in iter_paths(root)]
    return sorted(found, key=lambda each: each.start_ns)


@pytest.mark.ffmpeg
def test_each_process_is_killed_twenty_times_and_nothing_but_the_restarts_is_missing(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data", workers=2) as product:

        def first(kind: str) -> Callable[[], int | None]:
            return lambda: next(iter(product.pids(kind)), None)

        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        killers = [
            Killer("capture", first("capture"), 1),
            Killer("vision", first("vision"), 2),
            Killer("engine", product.engine_pid, 3),
            Killer("web worker", lambda: next(iter(product.web_pids()), None), 4),
        ]
        for killer in killers:
            killer.start()
        for killer in killers:
            killer.join(600)
        assert [(killer.kind, len(killer.kills), killer.error) for killer in killers] == [
            (killer.kind, KILLS, None) for killer in killers
        ]
        product.wait_for_state("door", timeout_s=40)
        back_ns = time.time_ns()
        wait_until(
            lambda: files_of(root)[-1].end_ns > back_ns + 3_000_000_000, 20, "recording", processes=[product]
        )
        wait_until(
            lambda: "as the index has them" in product.cli("fsck", check=False),
            30,
            "an index of all files but the one that is written",
            processes=[product],
        )
        assert product.terminate(10) < 5
    segments = files_of(root)
    kills = killers[0].kills
    lost_s = []
    for before, after in itertools.pairwise(segments):
        missing_s = (after.start_ns - before.end_ns) / 1e9
        # A camera sends up to a second at once when it is connected, which ends after the moment in which it came.
        within = [at for at in kills if before.end_ns - 1_500_000_000 <= at <= after.start_ns + 500_000_000]
        is_full = before.end_ns - before.start_ns > 59_000_000_000
        assert within or (is_full and missing_s < 1), (
            f"nobody was killed after {before.path}: {missing_s:.1f} s"
        )
        if missing_s > 1:
            lost_s.append((within[0] - before.end_ns) / 1e9)
    print("lost at each death of capture, s:", [round(each, 2) for each in lost_s])
    assert statistics.median(lost_s) < 1.1, "what was being collected, and no more"
    assert max(lost_s) < 3, "the same, while four processes start at once"
    for segment in segments:
        assert read_recording(root / segment.path).size_bytes == (root / segment.path).stat().st_size
        assert_decodes(root / segment.path)
        assert_consecutive(stamps([root / segment.path]), LOOP)


def unbroken(paths: list[Path]) -> None:
    """These files, in the order in which they were written, hold each picture once."""
    for path in paths:
        assert_decodes(path)
    assert_consecutive(stamps(paths), LOOP)


def by_writing(root: Path) -> list[Path]:
    return sorted((root / path for path in iter_paths(root)), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.ffmpeg
@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (apt install faketime).")
def test_a_wall_clock_that_is_set_by_an_hour_loses_no_picture(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    offset = tmp_path / "offset"
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data", environment=environment) as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")

        def listed(hours: int) -> bool:
            """Whether the index reaches up to now, on a clock that is that many hours ahead."""
            rows = product.client.get(
                f"/api/v1/recordings?camera=door&start={rfc3339(hours - 0.25)}&end={rfc3339(hours + 0.25)}"
            )
            assert rows.status == 200, rows.text
            ends = [datetime.fromisoformat(row["end"]).timestamp() for row in rows.json()["items"]]
            return bool(ends) and max(ends) > time.time() + hours * 3600 - 4

        for hours in (0, 1, 0):
            set_s = time.time()
            offset.write_text(f"+{hours * 3600}")
            wait_until(
                lambda hours=hours, set_s=set_s: time.time() > set_s + 4 and listed(hours),  # type: ignore[misc]
                30,
                f"recordings on a clock {hours} h ahead",
                processes=[product],
            )
        assert camera.state()["connects"] == 1, "nobody has to connect anew because a clock was set"
        assert product.terminate(10) < 5
    paths = by_writing(root)
    assert len(paths) >= 3
    unbroken(paths)


@pytest.mark.ffmpeg
def test_a_database_that_is_away_for_half_a_minute_costs_no_picture_and_no_row(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data") as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        with closing(sqlite3.connect(tmp_path / "data/ninjacam.sqlite3", timeout=20)) as database:
            database.execute("BEGIN EXCLUSIVE")  # nobody else can write, and who tries waits and fails
            time.sleep(30)
            database.rollback()
        back_ns = time.time_ns()

        def caught_up() -> bool:
            rows = product.client.get("/api/v1/recordings?camera=door").json()["items"]
            ends = [datetime.fromisoformat(row["end"]).timestamp() for row in rows]
            return bool(ends) and max(ends) * 1e9 > back_ns

        wait_until(caught_up, 30, "the index", processes=[product])
        assert camera.state()["connects"] == 1
        product.client.request("PATCH", "/api/v1/cameras/door", json_body={"record": "off"})

        def listed() -> list[tuple[str, int, int, int]]:
            with closing(sqlite3.connect(tmp_path / "data/ninjacam.sqlite3", timeout=20)) as database:
                columns = "path, start_ns, end_ns, size_bytes"
                return list(database.execute(f"SELECT {columns} FROM ninjacam_segment WHERE NOT open"))

        def written() -> list[tuple[str, int, int, int]]:
            return [(each.path, each.start_ns, each.end_ns, each.size_bytes) for each in files_of(root)]

        wait_until(
            lambda: sorted(listed()) == sorted(written()), 20, "a row of each file", processes=[product]
        )
        assert product.terminate(10) < 5
    unbroken(by_writing(root))


def test_four_web_workers_and_the_engine_write_to_sqlite_at_once(tmp_path: Path) -> None:
    slugs = [f"cam-{number}" for number in range(8)]
    with FakeCamera(*SMALL, mounts=8) as camera, Product(tmp_path / "data", workers=4) as product:
        for number, slug in enumerate(slugs):
            answer = product.client.post(
                "/api/v1/cameras", json_body={"slug": slug, "url": camera.url(number), "record": "always"}
            )
            assert answer.status == 201, answer.text
        statuses: list[int] = []
        over = threading.Event()

        def write(slug: str) -> None:
            client = product.client
            for number in itertools.count():
                if over.is_set():
                    return
                change = {"name": f"number {number}"}
                statuses.append(client.request("PATCH", f"/api/v1/cameras/{slug}", json_body=change).status)
                # What reads and then writes in one transaction.
                another = {"slug": f"{slug}-{number}", "url": camera.url(), "enabled": False}
                statuses.append(client.post("/api/v1/cameras", json_body=another).status)
                statuses.append(client.request("DELETE", f"/api/v1/cameras/{slug}-{number}").status)

        writers = [threading.Thread(target=write, args=(slug,), daemon=True) for slug in slugs]
        for writer in writers:
            writer.start()
        errors = []
        begun_s = time.monotonic()
        while time.monotonic() < begun_s + 10:
            errors.append(product.status()["recordings"].get("error"))
            time.sleep(0.2)
        over.set()
        for writer in writers:
            writer.join(30)
        assert set(statuses) == {200, 201, 204} and len(statuses) > 100
        assert set(errors) == {None}, "the engine wrote its rows meanwhile"
        assert "locked" not in product.output

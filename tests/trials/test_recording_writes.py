"""Stress tests of recording: the wall clock changes by an hour, the database is unavailable, many writers."""

import itertools
import sqlite3
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest

from ninjacam.recordings.layout import iter_paths
from ninjacam.site.environment import SQLITE_OPTIONS
from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import fair_s
from tests.harness.processes import wait_until
from tests.harness.recorded import assert_consecutive, assert_decodes, files_of, stamps
from tests.harness.server import Product

SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")
LOOP = 250
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def rfc3339(hours: float) -> str:
    """Return the time `hours` from now."""
    return quote((datetime.now(UTC) + timedelta(hours=hours)).isoformat())


def unbroken(paths: list[Path]) -> None:
    """Require that these files, in the order of writing, contain each frame once."""
    for path in paths:
        assert_decodes(path)
    assert_consecutive(stamps(paths), LOOP)


def by_writing(root: Path) -> list[Path]:
    return sorted((root / path for path in iter_paths(root)), key=lambda path: path.stat().st_mtime_ns)


@pytest.mark.ffmpeg
@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (apt install faketime).")
def test_a_wall_clock_set_by_an_hour_loses_no_frame(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    offset = tmp_path / "offset"
    offset.write_text("+0")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # without the cache, each read of a clock reads the file
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        # By default, a thread that waits for the GIL spins, and all processes need ten times the CPU time.
        "FAKETIME_FORCE_MONOTONIC_FIX": "0",
    }
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data", environment=environment) as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")

        def listed(hours: int) -> bool:
            """Return whether the index is up to date on a clock that is that many hours ahead."""
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
        assert camera.state()["connects"] == 1, f"setting a clock causes no reconnect\n{product.tail()}"
        assert product.terminate(10) < 5
    paths = by_writing(root)
    assert len(paths) >= 3
    unbroken(paths)


@pytest.mark.ffmpeg
def test_a_database_locked_until_writes_fail_loses_no_frame_and_no_row(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data") as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        with closing(sqlite3.connect(tmp_path / "data/ninjacam.sqlite3", timeout=20)) as database:
            database.execute("BEGIN EXCLUSIVE")  # Writes wait for it and fail at their timeout.
            time.sleep(SQLITE_OPTIONS["timeout"] + 3)
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


def test_four_web_workers_and_the_engine_write_to_sqlite_at_the_same_time(tmp_path: Path) -> None:
    slugs = [f"cam-{number}" for number in range(8)]
    with FakeCamera(*SMALL, streams=8) as camera, Product(tmp_path / "data", workers=4) as product:
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
                # Operations that read and then write in one transaction.
                another = {"slug": f"{slug}-{number}", "url": camera.url(), "enabled": False}
                statuses.append(client.post("/api/v1/cameras", json_body=another).status)
                statuses.append(client.request("DELETE", f"/api/v1/cameras/{slug}-{number}").status)

        writers = [threading.Thread(target=write, args=(slug,), daemon=True) for slug in slugs]
        for writer in writers:
            writer.start()
        errors = []
        begun_s = fair_s()
        while fair_s() < begun_s + 10:
            errors.append(product.status()["recordings"].get("error"))
            time.sleep(0.2)
        over.set()
        for writer in writers:
            writer.join(30)
        assert set(statuses) == {200, 201, 204} and len(statuses) > 100
        assert set(errors) == {None}, "the engine wrote its rows meanwhile"
        assert "locked" not in product.output

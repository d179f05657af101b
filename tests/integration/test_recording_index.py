"""Recording, index and retention of the running product: real processes, a camera, real files.

Files are about a minute long. Switching the recording off and on again ends one sooner.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_segment
from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import spell
from tests.harness.processes import kill, wait_until
from tests.harness.recordings import FPS, NOON_NS, encode_stamped, write_files
from tests.harness.server import Product

SMALL = ("--size", "320x240", "--bitrate", "400000", "--gop", "25", "--gop-at-once")
BUDGET_BYTES = 3_000_000
PADDING = b"\x80" * 40_000
"""Makes a frame larger; decoders ignore it."""


class Scene:
    def __init__(self, product: Product, camera: FakeCamera) -> None:
        self.product = product
        self.camera = camera
        self.root = product.data / "recordings"

    def database(self) -> "closing[sqlite3.Connection]":
        return closing(sqlite3.connect(self.product.data / "ninjacam.sqlite3", timeout=20))

    def rows(self, slug: str = "door") -> list[tuple[str, int, int, int, bool]]:
        """Return (path, start, end, size, open)."""
        with self.database() as database:
            query = (
                "SELECT path, start_ns, end_ns, size_bytes, open FROM ninjacam_segment "
                "WHERE slug = ? ORDER BY start_ns"
            )
            return [(p, a, b, size, bool(o)) for p, a, b, size, o in database.execute(query, (slug,))]

    def spans(self, slug: str = "door") -> list[tuple[float, float]]:
        """Return Unix times."""
        answer = self.product.client.get(f"/api/v1/timeline?camera={slug}")
        assert answer.status == 200, answer.text
        told: list[dict[str, str]] = answer.json()["cameras"][0]["spans"]
        return [
            (
                datetime.fromisoformat(each["start"]).timestamp(),
                datetime.fromisoformat(each["end"]).timestamp(),
            )
            for each in told
        ]

    def record(self, mode: str, slug: str = "door") -> None:
        answer = self.product.client.request("PATCH", f"/api/v1/cameras/{slug}", json_body={"record": mode})
        assert answer.status == 200, answer.text

    def wait_for_recording(self, after_s: float = 0, slug: str = "door", timeout_s: float = 20) -> None:
        """Wait until the timeline extends beyond `after_s`."""

        def reached() -> bool:
            spans = self.spans(slug)
            return bool(spans) and spans[-1][1] > after_s

        wait_until(reached, timeout_s, f"a recording of {slug} after {after_s}", processes=[self.product])

    def closed_as_on_disk(self) -> bool:
        """Return whether each closed file has a row with its values."""
        rows = {row[0]: row for row in self.rows()}
        for path in iter_paths(self.root, "door"):
            try:
                on_disk = read_segment(self.root / path, root=self.root)
            except DecodeError:
                continue  # just begun
            row = rows.get(path)
            if time.time() - (self.root / path).stat().st_mtime < 3:
                continue
            if row is None or row[:4] != (path, on_disk.start_ns, on_disk.end_ns, on_disk.size_bytes):
                return False
        return True


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("data")
    environment = {"NINJACAM_RETENTION": f"bytes={BUDGET_BYTES},free_bytes=0"}
    with FakeCamera(*SMALL) as camera, Product(data, environment=environment) as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        yield Scene(product, camera)


def test_a_recording_is_on_the_timeline_while_it_is_being_made(scene: Scene) -> None:
    with spell() as passed:
        scene.wait_for_recording(time.time() + 3)
        (span,) = scene.spans()
        late_s = time.time() - span[1]
    assert late_s < 4 * passed.slowdown
    ((path, *_, is_open),) = scene.rows()
    assert is_open and (scene.root / path).is_file()


def test_live_video_continues_and_a_new_file_begins_when_recording_is_switched(scene: Scene) -> None:
    before = scene.camera.state()["connects"]
    scene.record("off")
    wait_until(lambda: not any(row[4] for row in scene.rows()), 10, "the file ends")
    assert scene.closed_as_on_disk()
    ended_s = scene.spans()[-1][1]
    wait_until(lambda: time.time() > ended_s + 2.5, 5, "more than what spans may miss")
    scene.record("always")
    scene.wait_for_recording(time.time() + 1)
    assert len(scene.rows()) == 2 and len(scene.spans()) == 2
    assert scene.camera.state()["connects"] == before


def test_nothing_is_lost_while_the_database_is_away(scene: Scene) -> None:
    def recordings() -> dict[str, Any]:
        told: dict[str, Any] = scene.product.status()["recordings"]
        return told

    def does() -> str:
        return str(scene.product.status()["cameras"]["door"]["recording"]["state"])

    with scene.database() as database:
        database.execute("ALTER TABLE ninjacam_segment RENAME TO away")
        database.commit()
        try:
            wait_until(lambda: recordings()["error"] is not None, 10, "the engine notices")
            wait_until(lambda: recordings()["waiting"] > 0, 10, "rows wait; none while they are tried")
            scene.record("off")
            wait_until(lambda: does() == "off", 10, "a file ends, and is not reported again")
            scene.record("always")
            wait_until(lambda: does() == "recording", 10, "another file")
        finally:
            database.execute("ALTER TABLE away RENAME TO ninjacam_segment")
            database.commit()
    back_s = time.time()
    wait_until(lambda: recordings()["error"] is None, 10, "the engine notices")
    scene.wait_for_recording(back_s)
    *_, ended, _ = scene.rows()
    found = read_segment(scene.root / ended[0], root=scene.root)
    assert ended == (found.path, found.start_ns, found.end_ns, found.size_bytes, False)


def test_recording_outlives_the_engine(scene: Scene) -> None:
    (capture,) = scene.product.pids("capture")
    engine = scene.product.engine_pid()
    spans = len(scene.spans())
    kill(engine)
    killed_s = time.time()
    wait_until(lambda: scene.product.engine_pid() != engine, 20, "another engine", processes=[scene.product])
    scene.wait_for_recording(killed_s + 3)
    assert scene.product.pids("capture") == [capture]
    assert len(scene.spans()) == spans  # no gap


def test_after_capture_was_killed_the_rows_match_the_files(scene: Scene) -> None:
    (capture,) = scene.product.pids("capture")
    with spell() as passed:
        kill(capture)
        killed_s = time.time()
        scene.wait_for_recording(killed_s + 2)
    *_, before, after = scene.rows()
    assert after[1] - before[2] < 6e9 * passed.slowdown and killed_s * 1e9 - before[2] < 2.5e9
    wait_until(scene.closed_as_on_disk, 20, "rows as the files", processes=[scene.product])
    wait_until(lambda: [row[4] for row in scene.rows()][:-1].count(True) == 0, 20, "closed rows")


def test_the_index_is_rebuilt_from_the_files(scene: Scene) -> None:
    scene.record("off")
    wait_until(lambda: not any(row[4] for row in scene.rows()), 10, "the file ends")
    time.sleep(5.5)  # until the index is idle
    before = scene.rows()
    with scene.database() as database:
        database.execute("DELETE FROM ninjacam_segment")
        database.commit()
    assert f"{len(before)} recordings indexed" in scene.product.cli("index", "--rebuild")
    assert scene.rows() == before
    scene.record("always")
    assert "recordings match the index" in scene.product.cli("fsck")


def test_retention_keeps_the_budget_and_unknown_files(scene: Scene) -> None:
    stranger = scene.root / "door" / "2020-01-01" / "00" / "00-00.mp4"
    stranger.parent.mkdir(parents=True)
    stranger.write_bytes(b"not ours, and old")
    scene.record("off")
    wait_until(lambda: not any(row[4] for row in scene.rows()), 10, "the file ends")
    an_hour_ago_ns = time.time_ns() - 3600 * 10**9
    padded = [
        packet._replace(data=packet.data + PADDING, captured_ns=packet.captured_ns - NOON_NS + an_hour_ago_ns)
        for packet in encode_stamped(4 * FPS)
    ]
    # Read before the index contains them: retention may delete files as soon as it does.
    oldest = str(write_files(scene.root, padded, 1)[0].path.relative_to(scene.root))
    total_bytes = sum(each.stat().st_size for each in scene.root.rglob("*.mp4"))
    assert total_bytes > BUDGET_BYTES + len(PADDING) * FPS
    scene.product.cli("index", "--rebuild")
    scene.record("always")

    def within() -> bool:
        rows = scene.rows()
        return (
            oldest not in [row[0] for row in rows] and sum(row[3] for row in rows) < BUDGET_BYTES + 1_000_000
        )

    wait_until(within, 60, "retention", processes=[scene.product])
    assert not (scene.root / oldest).exists() and stranger.exists()
    assert all((scene.root / row[0]).exists() for row in scene.rows())
    wait_until(lambda: scene.product.status()["recordings"]["deleted"], 10, "the status reports it")
    assert scene.product.status()["recordings"]["failed"] == ""


def test_the_recordings_of_a_deleted_camera_stay(scene: Scene) -> None:
    before = scene.rows()
    assert scene.product.client.request("DELETE", "/api/v1/cameras/door").status == 204
    wait_until(lambda: not scene.product.status()["cameras"], 10, "the camera is gone")
    wait_until(lambda: not any(row[4] for row in scene.rows()), 25, "the scan after capture has ended")
    assert len(scene.spans()) >= 1 and len(scene.rows()) >= len(before) - 1
    assert all((scene.root / row[0]).exists() for row in scene.rows())

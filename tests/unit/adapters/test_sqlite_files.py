"""Commits of a real SQLite database are detected from its files."""

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam.adapters.sqlite_files import SETTLED_NS, SqliteFiles
from ninjacam.testing.clock import FakeClock

LATER_NS = time.time_ns() + 3600 * 10**9  # later than the slowest run of all tests


@pytest.fixture(params=["WAL", "DELETE"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "db.sqlite3")
    connection.execute(f"PRAGMA journal_mode={request.param}")
    connection.execute("CREATE TABLE camera (slug TEXT)")
    connection.commit()
    yield connection
    connection.close()


def test_a_commit_is_a_change(tmp_path: Path, database: sqlite3.Connection) -> None:
    files = SqliteFiles(str(tmp_path / "db.sqlite3"), FakeClock(wall_ns=LATER_NS))
    assert not files.are_unchanged(), "nothing is known yet"
    files.note()
    assert files.are_unchanged()
    database.execute("SELECT * FROM camera").fetchall()
    assert files.are_unchanged()
    database.execute("INSERT INTO camera VALUES ('door')")
    database.commit()
    assert not files.are_unchanged()


def test_a_file_that_was_just_written_is_not_trusted(tmp_path: Path, database: sqlite3.Connection) -> None:
    clock = FakeClock(wall_ns=time.time_ns())
    files = SqliteFiles(str(tmp_path / "db.sqlite3"), clock)
    files.note()
    assert not files.are_unchanged(), "a second commit may leave the same time"
    clock.advance(2 * SETTLED_NS / 1e9)
    files.note()
    assert files.are_unchanged()


def test_a_file_from_the_future_is_not_trusted(tmp_path: Path, database: sqlite3.Connection) -> None:
    path = tmp_path / "db.sqlite3"
    os.utime(path, ns=(2 * LATER_NS, 2 * LATER_NS))
    files = SqliteFiles(str(path), FakeClock(wall_ns=LATER_NS))
    files.note()
    assert not files.are_unchanged()


def test_another_database_in_its_place_is_a_change(tmp_path: Path, database: sqlite3.Connection) -> None:
    path = tmp_path / "db.sqlite3"
    files = SqliteFiles(str(path), FakeClock(wall_ns=LATER_NS))
    files.note()
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    copy.rename(path)
    assert not files.are_unchanged()

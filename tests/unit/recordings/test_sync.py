"""The files that are synced to disk, and their order, observed at the system calls."""

import os
from pathlib import Path

import pytest

from ninjacam.recordings.sync import DiskSync


def test_a_new_file_is_synced_with_its_directories_once_and_then_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda it: synced.append(os.readlink(f"/proc/self/fd/{it}")))
    hour = tmp_path / "door" / "2026-11-22" / "08"
    hour.mkdir(parents=True)
    path = hour / "00-00.mp4"
    path.write_bytes(b"x")
    names = [str(each) for each in (path, hour, hour.parent, hour.parent.parent, tmp_path)]
    for is_new, expected in ((True, names), (False, names[:1])):
        synced.clear()
        sync = DiskSync(tmp_path)
        sync.schedule(path, is_new)
        sync.close()
        assert sync._thread is not None
        sync._thread.join(5)
        assert synced == expected

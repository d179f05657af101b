import json
import os
import time
from pathlib import Path

import pytest

from ninjacam.models import Camera
from ninjacam.queries.status import Status, StatusReader


def write(path: Path, **values: object) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"updated_ns": time.time_ns(), **values}))
    os.replace(draft, path)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "null"])
def test_a_missing_or_broken_report_means_that_no_engine_runs(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "status.json"
    if content is not None:
        path.write_text(content)
    assert not StatusReader(path).read().engine_running


def test_the_file_is_parsed_again_only_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "status.json"
    file, parsed = StatusReader(path), 0
    loads = json.loads

    def count(text: bytes) -> object:
        nonlocal parsed
        parsed += 1
        return loads(text)

    monkeypatch.setattr("ninjacam.queries.status.json.loads", count)
    write(path, cameras={"door": {"state": "live"}})
    assert [file.read().cameras["door"]["state"] for _ in range(3)] == ["live"] * 3
    write(path, cameras={"door": {"state": "failed"}})
    assert file.read().cameras["door"]["state"] == "failed"
    assert parsed == 2


def test_an_unchanged_report_becomes_stale(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write(path)
    file = StatusReader(path)
    assert file.read().engine_running
    assert not file.read(now_ns=time.time_ns() + 6 * 10**9).engine_running


def test_a_camera_that_the_engine_has_not_reported_yet_is_connecting() -> None:
    status = Status(engine_running=True)
    assert status.camera(Camera(slug="new"), details=True)["state"] == "connecting"
    assert status.camera(Camera(slug="new", enabled=False), details=True)["state"] == "disabled"


def test_a_view_that_fails_to_load_is_still_listed() -> None:
    status = Status(
        processors=({"name": "edges", "cameras": ["*"]}, {"name": "clock", "cameras": ["gate-*"]}),
        views={"door": {"": {}, "edges": {}, "lost": {"error": {"message": "It does not load."}}}},
    )
    assert [view["name"] for view in status.views_of("door")] == ["edges", "lost"]
    assert [view["name"] for view in status.views_of("gate-1")] == ["edges", "clock"]

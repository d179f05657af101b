"""The frame of a failure, with a test that repeats it."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Zone
from ninjacam.core.errors import DecodeError, ProcessorError
from ninjacam.core.processors import ProcessorRegistry, Registration
from ninjacam.testing import frame
from ninjacam.vision import failure_cases
from ninjacam.vision.code import ModuleFile, ProcessorCode
from ninjacam.vision.failure_cases import KEEP_EVERY_NS, FailureCases, failure_path

CODE = """
from pydantic import BaseModel, SecretStr

from ninjacam import Frame, Processor, processor


class Limits(BaseModel):
    below: int = 300


class Account(BaseModel):
    pin: SecretStr | None = None
    api_key: str = ""
    url: str = ""
    passes: int = 0


@processor
def asks(frame: Frame, options: Account):
    raise ValueError("no answer")


@processor("bright-spots")
def spots(frame: Frame, options: Limits):
    assert frame.image.max() < options.below, "too bright"
    assert "yard" in frame.zones


@processor
class Total(Processor):
    Options = Limits

    def setup(self, camera, options):
        self.options = options

    def process(self, frame: Frame):
        assert frame.image.max() < self.options.below, "too bright"
        return []
"""
IMAGE = np.random.default_rng(1).integers(0, 250, (90, 160, 3), np.uint8)
YARD = Zone("yard", "zone", [(0, 0), (1, 0), (1, 1)])


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Registration]:
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    (tmp_path / "kept_cameras.py").write_text(CODE)
    code = ProcessorCode([ModuleFile("kept_cameras", tmp_path / "kept_cameras.py")], into=fresh)
    code.refresh()
    return {name: entry for name, entry in code.current.items() if isinstance(entry, Registration)}


def keep(run_dir: Path, entry: Registration, values: dict[str, Any], *, number: int = 0) -> Path:
    made = frame(IMAGE, camera="gate", number=number, zones=[YARD])
    error = ProcessorError("it: AssertionError: too bright", traceback="Traceback ...")
    FailureCases(run_dir).keep(entry, made, lambda: IMAGE, error, values)
    return failure_path(run_dir, "gate", entry.name)


@pytest.mark.parametrize("name", ["bright-spots", "total"])
@pytest.mark.parametrize(("below", "status"), [(100, 1), (300, 0)])
def test_the_test_repeats_the_failure(
    tmp_path: Path, entries: dict[str, Registration], name: str, below: int, status: int
) -> None:
    """It passes once the processor accepts the frame: here, with other values of its options."""
    kept = keep(tmp_path, entries[name], {"below": below})
    assert kept.stat().st_mode & 0o077 == 0 or kept.parent.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(io.BytesIO(kept.read_bytes())) as archive:
        archive.extractall(tmp_path / "out")
    folder = tmp_path / "out" / f"{name.replace('-', '_')}_failure"
    image = cv2.imread(str(folder / "frame.png"))
    assert image is not None and (image == IMAGE).all()
    assert "too bright" in (folder / "traceback.txt").read_text()
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            str(folder),
            str(folder),
        ],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == status, run.stdout
    assert ("too bright" in run.stdout) == bool(status)


def test_failures_that_follow_at_once_are_not_kept(tmp_path: Path, entries: dict[str, Registration]) -> None:
    cases = FailureCases(tmp_path)
    kept = failure_path(tmp_path, "gate", "total")
    error = ProcessorError("it: no")
    for number in range(int(KEEP_EVERY_NS / 40e6) + 1):
        cases.keep(entries["total"], frame(IMAGE, camera="gate", number=number), lambda: IMAGE, error, {})
        if number == 0:
            first = kept.stat().st_ino
        elif number < 100:
            assert kept.stat().st_ino == first
    assert kept.stat().st_ino != first
    assert [*kept.parent.iterdir()] == [kept]


def test_secrets_are_not_kept(tmp_path: Path, entries: dict[str, Registration]) -> None:
    values = {"pin": "0815", "api_key": "4711", "url": "https://ada:lovelace@host/x", "passes": 3}
    made = frame(IMAGE, camera="gate")
    error = ProcessorError("asks: no https://ada:lovelace@host/x", traceback="at rtsp://ada:lovelace@host/x")
    FailureCases(tmp_path).keep(entries["asks"], made, lambda: IMAGE, error, values)
    with zipfile.ZipFile(failure_path(tmp_path, "gate", "asks")) as archive:
        texts = [archive.read(name).decode() for name in archive.namelist() if not name.endswith(".png")]
    written = "\n".join(texts)
    assert not any(secret in written for secret in ("0815", "4711", "lovelace"))
    assert (
        "'passes': 3" in written
        and "https://***@host/x" in written
        and "secrets, which are not kept" in written
    )


def test_the_oldest_files_are_removed(
    tmp_path: Path, entries: dict[str, Registration], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_cases, "MAX_KEPT", 3)
    cases, error = FailureCases(tmp_path), ProcessorError("it: no")

    def keep_of(camera: str) -> list[str]:
        cases.keep(entries["total"], frame(IMAGE, camera=camera), lambda: IMAGE, error, {})
        for at, path in enumerate(
            sorted((tmp_path / "failures").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        ):
            os.utime(path, ns=(at, at))
        return sorted(path.name for path in (tmp_path / "failures").iterdir())

    names = [keep_of(camera) for camera in "abcde"][-1]
    assert names == ["c@total.zip", "d@total.zip", "e@total.zip"]
    monkeypatch.setattr(failure_cases, "MAX_KEPT_BYTES", 10)
    assert keep_of("f") == ["f@total.zip"]


def test_a_frame_that_cannot_be_converted_does_not_hide_the_failure(
    tmp_path: Path, entries: dict[str, Registration], caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> Any:
        raise DecodeError("no image")

    made = frame(IMAGE, camera="gate")
    FailureCases(tmp_path).keep(entries["total"], made, fail, ProcessorError("it: no"), {})
    assert "the failure of total cannot be kept: no image" in caplog.text


def test_a_full_disk_harms_nothing(
    tmp_path: Path, entries: dict[str, Registration], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "failures").write_text("not a directory")
    keep(tmp_path, entries["total"], {})
    assert "the failure of total cannot be kept" in caplog.text

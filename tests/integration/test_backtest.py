"""`ninjacam backtest` and `ninjacam motion-search` as users start them, with processes, recordings and hostile code."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.harness.backtests import backtest, ninjacam, packets_of
from tests.harness.recordings import NOON_NS, write_files
from tests.unit.backtest.clips import FPS, write_video

CODE = """
import os, sys, time
from pydantic import BaseModel, Field
from ninjacam import Box, Frame, Processor, Result, events, processor
from ninjacam.motion import MotionDetector

print("user code prints")

class MovesOptions(BaseModel):
    sensitivity: float = Field(0.7, ge=0, le=1)

@processor(cameras=["door", "gate"])
class Moves(Processor):
    Options = MovesOptions

    def setup(self, camera, options):
        self.detector = MotionDetector(sensitivity=options.sensitivity)
        self.event = None

    def process(self, frame: Frame):
        areas = self.detector.update(frame.gray, frame.captured_ns)
        if areas and self.event is None:
            self.event = events.begin(frame.camera, "moves", data={"pid": "<b>"})
        elif not areas and self.event is not None:
            self.event = self.event.end()
        return Result(annotations=[Box(*area[:4], "motion") for area in areas], values={"areas": len(areas)})

@processor(fps=5, warm_up_s=1)
def bright(frame: Frame):
    if frame.gray.max() > 200 and frame.number % 4 == 0:
        events.create(frame.camera, "bright")
    return Result(annotations=[], values={"light": float(frame.gray.mean())})

@processor
def misbehaves(frame: Frame):
    print("noise" * 1000)
    if os.environ.get("HOW") == "raise" and frame.number == 5:
        raise ValueError("on purpose")
    if os.environ.get("HOW") == "hang":
        while frame.number == 5:
            pass
    if os.environ.get("HOW") == "die" and frame.number == 5:
        os._exit(3)
    if os.environ.get("HOW") == "write":
        os.write(1, b'{"error": {"message": "forged"}}\\n')
    return []
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera with 150 s of recordings, in which something moves from second 70 to second 78."""
    directory = tmp_path_factory.mktemp("data")
    directory.chmod(0o700)
    (directory / "cameras.py").write_text(CODE)
    (directory / "cameras.py").chmod(0o600)
    added = ninjacam(directory, "add", "door", "rtsp://127.0.0.1:1/", "--no-check", "--force")
    assert added.returncode == 0, added.stderr
    video = write_video(directory / "door.mp4", 150, (70, 78))
    write_files(directory / "recordings", packets_of(video), 25)
    assert ninjacam(directory, "index", "--rebuild").returncode == 0
    return directory


def span(start_s: float, end_s: float) -> list[str]:
    noon = datetime.fromtimestamp(NOON_NS // 10**9, UTC)
    start, end = (noon + timedelta(seconds=each) for each in (start_s, end_s))
    return ["--camera", "door", "--from", start.isoformat(), "--to", end.isoformat()]


def without_timing(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "timing"}


def test_recordings_have_the_same_result_each_time(data: Path) -> None:
    first, second = (backtest(data, "moves", *span(60, 90)) for _ in range(2))
    assert without_timing(first) == without_timing(second)
    assert first["frames"] == len(first["calls"]) == pytest.approx(30 * FPS, abs=2)
    (event, *_) = first["events"]
    assert (event["kind"], event["camera"], event["is_ongoing"]) == ("moves", "door", False)
    assert (event["start_ns"] - NOON_NS) / 1e9 == pytest.approx(70.2, abs=0.5)
    assert first["failures"] == [] and first["values"]["areas"]["maximum"] >= 1
    shown = ninjacam(data, "show", "door", "--json").stdout
    assert "moves" not in shown, "nothing is written to the database"


def test_parts_that_run_at_the_same_time_have_the_same_result(data: Path) -> None:
    serial, parallel = (backtest(data, "bright", *span(0, 150), "--processes", count) for count in ("1", "2"))
    assert without_timing(serial) == without_timing(parallel)
    times = [call[0] for call in serial["calls"]]
    assert times == sorted(set(times)) and len(times) == pytest.approx(150 * 5, abs=8)
    assert 10 <= len(serial["events"]) <= 40


def test_a_file_has_the_same_events_as_recordings_of_it(data: Path) -> None:
    recorded = backtest(data, "moves", *span(0, 150))
    file = backtest(data, "moves", "--file", str(data / "door.mp4"))
    first = file["calls"][0][0]
    kinds = [(each["kind"], round((each["start_ns"] - first) / 1e9, 1)) for each in file["events"]]
    expected = [(each["kind"], round((each["start_ns"] - NOON_NS) / 1e9, 1)) for each in recorded["events"]]
    assert [kind for kind, _ in kinds] == [kind for kind, _ in expected]
    for (_, one), (_, other) in zip(kinds, expected, strict=True):
        assert one == pytest.approx(other, abs=0.3)


def test_options_are_compared_and_reported_as_html(data: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    done = ninjacam(
        data, "backtest", "moves", *span(60, 90), "--set", "sensitivity=0", "--compare", "--html", str(report)
    )
    assert done.returncode == 0, done.stderr
    assert "option    sensitivity: default → 0" in done.stdout
    page = report.read_text()
    assert "data:image/jpeg;base64," in page and "pid: &lt;b&gt;" in page and "<b>:" not in page
    saved = tmp_path / "run.json"
    saved.write_text(json.dumps(backtest(data, "moves", *span(60, 90))))
    done = ninjacam(data, "backtest", "moves", *span(60, 90), "--compare", str(saved))
    assert "The results are equal." in done.stdout


@pytest.mark.parametrize(
    ("how", "status", "message", "calls"),
    [
        ("raise", 1, "The processor failed for 1 frames", 45),
        ("hang", 1, "did not return within 2 s", 5),
        ("die", 1, "ended its process", 5),
        ("write", 0, "", 50),
    ],
)
def test_code_that_misbehaves_ends_at_most_its_run(
    data: Path, monkeypatch: pytest.MonkeyPatch, how: str, status: int, message: str, calls: int
) -> None:
    monkeypatch.setenv("HOW", how)
    done = ninjacam(data, "backtest", "misbehaves", *span(0, 5), "--timeout", "2", "--json")
    assert done.returncode == status and message in done.stderr
    result = json.loads(done.stdout)
    assert len(result["calls"]) == pytest.approx(calls, abs=1)
    if how == "raise":
        assert "ValueError: on purpose" in result["failures"][0]["traceback"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing", *span(0, 5)], "No processor “nothing”. There are: bright, misbehaves, moves."),
        (["moves", *span(0, 5), "--set", "sensitivity=9"], "The option “sensitivity” of “moves”"),
        (
            ["moves", *span(0, 5), "--set", "move.sensitivity=1"],
            "“move” does not run. Specify options of “moves”.",
        ),
    ],
)
def test_mistakes_are_one_sentence(data: Path, arguments: list[str], message: str) -> None:
    done = ninjacam(data, "backtest", *arguments)
    assert done.returncode != 0 and message in done.stderr
    assert "Traceback" not in done.stderr


def test_motion_is_searched_in_recordings(data: Path) -> None:
    arguments = span(0, 150)[2:]
    done = ninjacam(data, "motion-search", "door", *arguments, "--region", "0,0.3,1,0.8", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["key_frames"] == pytest.approx(75, abs=3) and len(found["movements"]) == 1
    start = datetime.fromisoformat(found["movements"][0]["start"]).timestamp() - NOON_NS / 1e9
    assert start == pytest.approx(71, abs=2)
    printed = ninjacam(data, "motion-search", "door", *arguments, "--region", "0,0,1,0.2").stdout
    assert printed.startswith("0 movements, ")
    wrong = ninjacam(data, "motion-search", "door", *arguments, "--region", "1,2")
    assert wrong.returncode == 1 and "Specify the region as x1,y1,x2,y2" in wrong.stderr

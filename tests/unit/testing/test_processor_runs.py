"""Users run their processors over clips in their own tests."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from ninjacam import Box, Frame, Processor, Result, Zone, events, processor
from ninjacam.core.errors import DecodeError, InvalidError, ProcessorError
from ninjacam.core.processors import ProcessorRegistry
from ninjacam.motion import MotionDetector
from ninjacam.testing import iter_processor, run_processor
from tests.unit.backtest.clips import FPS, write_video


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninjacam.core.processors.registry", ProcessorRegistry())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds; something moves from second 4 to second 7."""
    return write_video(tmp_path_factory.mktemp("clips") / "v.mp4", 10, (4, 7))


class MoveOptions(BaseModel):
    sensitivity: float = Field(0.7, ge=0, le=1)


class Moves(Processor):
    """An event for each movement."""

    Options = MoveOptions

    def setup(self, camera: str, options: MoveOptions) -> None:
        self.detector = MotionDetector(sensitivity=options.sensitivity)
        self.event: events.OngoingEvent | None = None

    def process(self, frame: Frame) -> Result:
        areas = self.detector.update(frame.gray, frame.captured_ns)
        if areas and self.event is None:
            self.event = events.begin(frame.camera, "moves")
        elif not areas and self.event is not None:
            self.event.end()
            self.event = None
        boxes = [Box(*area[:4], "motion") for area in areas]
        return Result(annotations=boxes, values={"areas": len(areas)}, data=frame.number)


def test_a_clip_yields_events_values_and_annotations(clip: Path) -> None:
    run = run_processor(Moves, clip, camera="gate")
    assert run.count_events("moves") == len(run.events) >= 1
    assert (run.events[0].start_ns / 1e9) % 60 == pytest.approx(4.1, abs=0.3)
    assert all(event.end_ns is not None and event.camera == "gate" for event in run.events)
    assert [each.number for each in run.frames] == list(range(10 * FPS))
    assert run.values("areas")[:30] == [0] * 30 and max(run.values("areas")) >= 1
    moving = [each for each in run.frames if each.boxes]
    assert 4 <= moving[0].at_s <= 4.5 and moving[0].boxes[0].label == "motion"
    assert moving[0].captured_at.isoformat().startswith("2026-01-01T00:00:04")
    assert any(each.events for each in run.frames) and run.frames[5].data == 5 and run.errors == []


def test_two_runs_have_the_same_result(clip: Path) -> None:
    assert run_processor(Moves, clip) == run_processor(Moves, clip)


def test_a_part_of_the_clip_can_be_run(clip: Path) -> None:
    run = run_processor(Moves, clip, start_s=1.5, end_s=2.5)
    assert [round(each.at_s, 1) for each in run.frames] == [1.5 + n / 10 for n in range(10)]
    assert run.events == []


def test_options_and_zones_are_those_of_the_test(clip: Path) -> None:
    seen = []

    def look(frame: Frame, options: MoveOptions) -> list[Any]:
        seen.append((options.sensitivity, list(frame.zones)))
        return []

    zone = Zone("path", "zone", [(0, 0), (1, 0), (1, 1)])
    run_processor(look, clip, options={"sensitivity": 0.2}, zones=[zone], end_s=0.1)
    assert seen == [(0.2, ["path"])]
    with pytest.raises(InvalidError, match="sensitivity"):
        run_processor(look, clip, options={"sensitivity": 2})


def test_decorated_processors_run_with_their_frame_rate_and_chain(clip: Path) -> None:
    @processor(fps=5)
    def first(frame: Frame, options: MoveOptions) -> Result:
        return Result(data=options.sensitivity)

    @processor(after="first")
    def second(frame: Frame) -> Result:
        return Result(values={"seen": frame.results["first"].data})

    for each in (second, "second"):
        run = run_processor(each, clip, options={"first.sensitivity": 0.25})
        assert run.values("seen") == [0.25] * (10 * FPS // 2)


def test_exceptions_fail_the_test_unless_the_run_shall_continue(clip: Path) -> None:
    def fail(frame: Frame) -> list[Any]:
        if frame.number == 3:
            raise ValueError("no")
        return []

    with pytest.raises(ProcessorError, match="ValueError: no") as caught:
        run_processor(fail, clip)
    assert isinstance(caught.value.__cause__, ValueError)
    run = run_processor(fail, clip, continue_after_errors=True)
    assert len(run.errors) == 1 and run.frames[3].error is not None and len(run.frames) > 80


def test_images_are_yielded_and_not_kept(clip: Path) -> None:
    def draw(frame: Frame) -> Any:
        return frame.image

    shapes = [each.image.shape for each in iter_processor(draw, clip, end_s=0.3)]
    assert shapes == [(180, 320, 3)] * 3
    assert all(each.image is None for each in run_processor(draw, clip, end_s=0.3).frames)


def test_events_that_the_test_creates_between_frames_are_not_collected(clip: Path) -> None:
    frames = iter_processor(Moves, clip)
    next(frames)
    assert events._sink is None
    frames.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ["nothing", 5])
def test_what_is_not_a_processor_is_an_error(clip: Path, wrong: Any) -> None:
    with pytest.raises(InvalidError):
        run_processor(wrong, clip)


def test_a_missing_clip_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="No file"):
        run_processor(Moves, tmp_path / "missing.mp4")


def test_an_option_of_a_processor_that_does_not_run_is_an_error(clip: Path) -> None:
    """It is an error of the arguments, so the frames need not be read to see it."""
    with pytest.raises(InvalidError, match=r"“move\.sensitivity”: specify options of moves only"):
        iter_processor(Moves, clip, options={"move.sensitivity": 0.1})
    assert run_processor(Moves, clip, options={"moves.sensitivity": 0.1}, end_s=1).errors == []

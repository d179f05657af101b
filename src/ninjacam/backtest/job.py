"""Runs a processor over a part of a video in this process, and reports what happens as JSON objects, one a line.

| key | of | value |
|---|---|---|
| `call` | a frame | {"at", "us", "digest", "labels", "values"}; the last two if there are any |
| `event` | a new or changed event | {"index", …}, see `CollectedEvent` |
| `failure` | an exception of user code | {"processor", "at", "number", "message", "traceback"} |
| `alive` | while no calls are reported | the time of the frame |
| `done` | the end of a part | {"frames", "skipped", "dropped_events"} |
"""

import base64
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from av.video.reformatter import VideoReformatter

from ninjacam.backtest.chain import ChainRun, Failure, FrameOutcome, OptionValues
from ninjacam.backtest.events import EventCollector
from ninjacam.backtest.reading import ReadAhead, RecordedFrame, iter_frames
from ninjacam.backtest.video import VideoPart
from ninjacam.core.annotations import encode_annotation_set
from ninjacam.core.errors import DecodeError
from ninjacam.core.processors import Registration
from ninjacam.core.zones import Zone, Zones
from ninjacam.vision.drawing import draw_annotations
from ninjacam.vision.images import DecodedFrame, check_image, encode_jpeg

Report = Callable[[dict[str, Any]], None]
PICTURE_WIDTH_PX, PICTURE_QUALITY = 480, 75
MAX_PICTURES = 300
"""Maximum number of events with a picture, of each part."""
MAX_FAILURES = 1_000
"""Maximum number of failures that a part reports; others are counted by their absence of results."""
ALIVE_EVERY = 250
"""Number of frames after which a process that calls nothing reports that it works."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a process is for. `camera`: "": the first one that the processor names. `zones`: of the camera.
    `with_pictures`: of events.
    """

    camera: str
    processor: str
    with_pictures: bool = False
    zones: tuple[Zone, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Question":
        """Raises: InvalidError: a zone cannot be used."""
        return cls(**{**values, "zones": tuple(Zone(**each) for each in values["zones"])})


@dataclass(frozen=True, slots=True)
class Task:
    """A part of a run. `run`, `index`: the numbers of the run and of its part."""

    run: int
    index: int
    part: VideoPart
    options: OptionValues

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Task":
        part = values["part"]
        return cls(**{**values, "part": VideoPart(**{**part, "paths": tuple(part["paths"])})})


class PartRun:
    """Runs one part. `collector`: receives the events."""

    def __init__(
        self, question: Question, chain: Sequence[Registration], collector: EventCollector, report: Report
    ) -> None:
        self._question = question
        self._chain = chain
        self._collector = collector
        self._report = report
        self._reformatter = VideoReformatter()
        self._first_event = 0
        self._pictures = 0
        self._frames = 0
        self._skipped = 0
        self._failures = 0

    def run(self, task: Task) -> None:
        """Raises: InvalidError, ProcessorError, DecodeError."""
        zones = Zones(self._question.zones)
        enter = self._collector.enter
        run = ChainRun(self._question.camera, self._chain, task.options, zones=zones, on_call=enter)
        frames = iter_frames(task.part, examines=run.examines, skips_still=run.skips_still, zones=zones)
        last: RecordedFrame | None = None
        try:
            with closing(ReadAhead(frames)) as ahead:
                for last in ahead:
                    self._take(run.process(last))
        finally:
            for failure in run.close():
                self._report_failure(failure, last)
        self._report_events(None)
        done = {"frames": self._frames, "skipped": self._skipped, "dropped_events": self._collector.dropped}
        self._report({"done": done})

    def _take(self, outcome: FrameOutcome) -> None:
        recorded = outcome.recorded
        if recorded.is_warm_up:
            # Its events and results are those of the part before.
            self._collector.take_changed()
            self._first_event = len(self._collector.events)
            self._report({"alive": recorded.captured_ns})
            return
        self._frames += 1
        for failure in outcome.failures:
            self._report_failure(failure, recorded)
        if outcome.returned is None:
            self._skipped += 1
            if self._skipped % ALIVE_EVERY == 0:
                self._report({"alive": recorded.captured_ns})
        else:
            self._report({"call": _describe_call(outcome)})
        if self._collector.changed:
            self._report_events(outcome)

    def _report_failure(self, failure: Failure, recorded: RecordedFrame | None) -> None:
        self._failures += 1
        if self._failures > MAX_FAILURES:
            return
        self._report(
            {
                "failure": {
                    "processor": failure.processor,
                    "at": recorded.captured_ns if recorded else 0,
                    "number": recorded.number if recorded else 0,
                    "message": failure.error.message,
                    "traceback": failure.error.traceback,
                }
            }
        )

    def _report_events(self, outcome: FrameOutcome | None) -> None:
        seen = set(self._collector.seen)
        jpeg = ""
        if outcome is not None and seen and self._question.with_pictures and self._pictures < MAX_PICTURES:
            self._pictures += 1
            jpeg = self._draw(outcome)
        for index in self._collector.take_changed():
            if index < self._first_event:
                continue  # Of the warm-up.
            event = self._collector.events[index]
            if jpeg and index in seen:
                event.jpeg = jpeg
            self._report({"event": {"index": index, **event.as_dict()}})

    def _draw(self, outcome: FrameOutcome) -> str:
        """Return the frame with its annotations as base64 of a JPEG image; "": it cannot be converted."""
        source = DecodedFrame(outcome.recorded.frame, self._reformatter)
        try:
            image = source.bgr(min(PICTURE_WIDTH_PX, source.width))
        except DecodeError:
            return ""
        if outcome.returned is not None and outcome.returned.annotation_set:
            draw_annotations(image, outcome.returned.annotation_set, self._question.processor)
        return base64.b64encode(encode_jpeg(image, PICTURE_QUALITY)).decode()


def _describe_call(outcome: FrameOutcome) -> dict[str, Any]:
    """Return the line of one call. The digest is that of all that the processor returned."""
    returned, frame = outcome.returned, outcome.frame
    assert returned is not None
    assert frame is not None
    digest = 0
    found: dict[str, Any] = {"at": outcome.recorded.captured_ns, "us": outcome.took_ns // 1000}
    if returned.annotation_set is not None:
        digest = zlib.crc32(encode_annotation_set("", 0, returned.annotation_set))
        labels = Counter(map(_label_of, returned.annotation_set))
        if labels:
            found["labels"] = dict(sorted(labels.items()))
    if returned.values:
        values = dict(sorted(returned.values.items()))
        found["values"] = values
        digest = zlib.crc32(repr(values).encode(), digest)
    image = returned.image
    if image is None and returned.annotation_set is None and frame.drawn:
        image = check_image(frame.image)
    if image is not None:
        digest = zlib.crc32(image, digest)
    found["digest"] = digest
    return found


def _label_of(annotation: dict[str, Any]) -> str:
    """Return the label that is counted. Texts differ from frame to frame, so these are counted as such."""
    kind = str(annotation["type"])
    return kind if kind == "text" else str(annotation.get("label") or kind)

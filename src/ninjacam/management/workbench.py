"""What the interpreter of `ninjacam shell` offers: frames of a camera, and processors called with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ninjacam import events
from ninjacam.backtest.chain import ChainRun, FrameOutcome, find_chain, unregistered
from ninjacam.backtest.events import CollectedEvent, EventCollector
from ninjacam.backtest.loading import load_processors
from ninjacam.backtest.reading import RecordedFrame
from ninjacam.conf import get_settings
from ninjacam.core.annotations import Annotation, to_annotation_set
from ninjacam.core.errors import InvalidError, StreamUnavailableError
from ninjacam.core.frames import Frame
from ninjacam.core.processors import Registration
from ninjacam.core.zones import Zones
from ninjacam.models import Camera
from ninjacam.processes.processor_modules import processor_modules
from ninjacam.vision.attention import Attention
from ninjacam.vision.drawing import draw_annotations
from ninjacam.vision.images import DecodedFrame
from ninjacam.vision.live_frames import LiveFrame, LiveFrames

MAX_FRAMES = 100
"""Maximum number of frames of one run. All are in memory."""
MAX_IDLE_FRAMES = 250
"""Maximum number of successive frames for which a processor is not due. One with fps=0.1 needs that many."""


@dataclass(frozen=True, slots=True)
class Called:
    """What a processor returned for one frame. `took_ms`: milliseconds of the call."""

    frame: Frame
    annotations: tuple[Annotation, ...]
    values: Mapping[str, float]
    data: Any
    image: Any
    events: tuple[CollectedEvent, ...]
    took_ms: float
    processor: str = field(repr=False)

    def __repr__(self) -> str:
        found = [f"frame {self.frame.number}", f"{self.took_ms:.1f} ms"]
        found += [f"{name}={value:g}" for name, value in self.values.items()]
        found += [repr(each) for each in self.annotations[:10]]
        found += ["…"] if len(self.annotations) > 10 else []
        found += [f"event {each.kind} {each.label}".strip() for each in self.events]
        found += [f"image of shape {self.image.shape}"] if self.image is not None else []
        return f"<{', '.join(found)}>"

    def draw(self) -> Any:
        """Return the image that a viewer would see: uint8, (height, width, 3) BGR or (height, width) gray."""
        if self.image is not None:
            return self.image
        image = self.frame.image.copy()
        drawn = to_annotation_set(self.annotations, self.frame.width, self.frame.height)
        draw_annotations(image, drawn, self.processor)
        return image


class Workbench:
    """The functions of the interpreter, for one camera. Thread: one."""

    def __init__(self, camera: Camera, frames: LiveFrames) -> None:
        self._camera = camera
        self._frames = frames
        self._zones = Zones(camera.drawn_zones())

    def grab(self) -> Frame:
        """Return the camera's newest frame. Raises: StreamUnavailableError."""
        live = self._frames.take()
        decoded = DecodedFrame(live.frame, VideoReformatter())
        return Frame(
            camera=self._camera.slug,
            number=live.number,
            pts_s=live.pts_s,
            captured_ns=live.captured_ns,
            received_ns=live.received_ns,
            width=decoded.width,
            height=decoded.height,
            load_bgr=decoded.bgr,
            load_gray=decoded.gray,
            zones=self._zones,
        )

    def run(
        self, processor: Any, frames: int = 1, options: Mapping[str, Any] | None = None
    ) -> "Called | list[Called]":
        """Call a processor, and those before it in its chain, with the next frames of the camera.

        `processor`: a name, whose code is loaded as it is saved now; a function; or a class. `options`: instead of
        those of the camera. Its `fps` and its chain apply. Events are in the result, and not written.
        Returns: one result, or a list if `frames` is above 1. Raises: ProcessorError: your code raised an exception,
        which is its cause; InvalidError; StreamUnavailableError.
        """
        if not 1 <= frames <= MAX_FRAMES:
            raise InvalidError.of("frames", f"Use 1 to {MAX_FRAMES} frames.")
        collector = EventCollector()
        with events.sent_to(collector.put):
            chain = self._find_chain(processor)
            name = chain[-1].name
            stored = self._camera.processor_options or {}
            values = {**stored, name: {**stored.get(name, {}), **(options or {})}}
            chain_run = ChainRun(
                self._camera.slug,
                chain,
                {
                    each.name: values.get(each.name, {})
                    for each in chain
                    if each.options is not None or each.name == name
                },
                zones=self._zones,
                on_call=collector.enter,
            )
            try:
                found = [
                    _to_called(outcome, collector, name) for outcome in self._iter_outcomes(chain_run, frames)
                ]
            finally:
                chain_run.close()
        return found[0] if frames == 1 else found

    def save(self, what: "Frame | Called | Any", path: str | Path = "frame.jpg") -> Path:
        """Write an image. `what`: a frame, an array (uint8, BGR or gray), or a result of `run`.

        Raises: InvalidError: it is none of these, or the file cannot be written.
        """
        image = what.image if isinstance(what, Frame) else what.draw() if isinstance(what, Called) else what
        if not isinstance(image, np.ndarray):
            raise InvalidError.of("what", "Specify a frame, an array, or one result of run().")
        written = Path(path).absolute()
        try:
            is_written = cv2.imwrite(str(written), image)
        except cv2.error as exc:
            raise InvalidError.of("path", f"The image cannot be written: {exc}") from exc
        if not is_written:
            raise InvalidError.of("path", f"{written} cannot be written.")
        return written

    def _find_chain(self, processor: Any) -> list[Registration]:
        """Raises: InvalidError, ProcessorError."""
        slug = self._camera.slug
        if isinstance(processor, str):
            current = load_processors(processor_modules(get_settings()), processor, slug)
            return find_chain(current, processor, slug)
        return [unregistered(processor)]

    def _iter_outcomes(self, chain_run: ChainRun, count: int) -> Iterator[FrameOutcome]:
        """Yield the outcomes of frames for which the processor was called. Raises: ProcessorError."""
        attention = Attention() if chain_run.examines else None
        idle = 0
        while count:
            outcome = chain_run.process(self._to_recorded(self._frames.take(), attention))
            if outcome.failures:
                raise outcome.failures[0].error
            if outcome.returned is not None:
                count, idle = count - 1, 0
                yield outcome
            elif (idle := idle + 1) >= MAX_IDLE_FRAMES:
                raise StreamUnavailableError(f"The processor was not due in {idle} frames.")

    def _to_recorded(self, live: LiveFrame, attention: Attention | None) -> RecordedFrame:
        """Processors that wait for motion receive each frame, with the areas that move."""
        areas: tuple[Any, ...] = ()
        if attention is not None:
            attention.look(DecodedFrame(live.frame, VideoReformatter()), live.received_ns, self._zones)
            areas = attention.areas
        return RecordedFrame(live.frame, live.number, live.captured_ns, live.pts_s, areas)


def _to_called(outcome: FrameOutcome, collector: EventCollector, name: str) -> Called:
    returned, frame = outcome.returned, outcome.frame
    assert returned is not None
    assert frame is not None
    result = returned.result
    return Called(
        frame,
        tuple(result.annotations or ()) if result is not None else (),
        dict(returned.values),
        result.data if result is not None else None,
        returned.image,
        tuple(collector.events[index] for index in collector.take_changed()),
        outcome.took_ns / 1e6,
        name,
    )

"""The ready-made processor `tampering`: one event when the camera is moved, and one when it is out of focus.

Not here: black, covered and frozen images, which are findings about the camera's health (docs/camera-health.md).
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
from pydantic import BaseModel, Field

from ninjacam import Frame, Processor, Result, events, processor
from ninjacam.processors.scene_match import Look, look_at, match, sharpness

MIN_STILL = 8.0
"""Match of successive frames, in standard deviations, from which the image has edges, and nothing fills it that moves.
"""
SHARP_AGAIN = 1.25
"""Factor between the sharpness at which the image is out of focus and the one at which it is sharp again."""
LEARN_S = 300.0
"""Time constant in which the reference follows the scene."""
END_AFTER_NS = 5_000_000_000
COLORFUL, COLORLESS = 5.0, 2.5
"""Mean difference of color components above which the image is in color, and below which it is gray."""


class TamperingOptions(BaseModel):
    min_shift: float = Field(
        3, ge=1, le=20, description="Smallest shift of the image that counts, in percent of its width."
    )
    min_sharpness: float = Field(
        50, ge=10, le=90, description="Sharpness below which it is out of focus, in percent of the usual."
    )
    after_s: float = Field(15, ge=2, le=600, description="Seconds that it must last to be an event.")
    accept_after_s: float = Field(
        600, ge=30, le=86_400, description="Seconds after which the changed image is the usual one."
    )


@dataclass(slots=True)
class _Reference:
    """How the scene usually looks: by day or, without colors, by night."""

    edges: Any
    sharpness: float | None
    seen_ns: int


@processor("tampering", when="motion", fps=1, width_px=640)
class Tampering(Processor):
    """The camera has been moved or is out of focus. For cameras that do not turn by themselves."""

    Options = TamperingOptions

    def setup(self, camera: str, options: TamperingOptions) -> None:
        self.options = options
        self.moved = _Alarm(camera, "camera_moved", options)
        self.defocused = _Alarm(camera, "camera_defocused", options)
        self.references: dict[bool, _Reference] = {}  # Is in color -> how it usually looks.
        self.is_colored = True
        self.previous: Look | None = None
        self.last_ns = 0
        state = self.load_state()
        if state:  # The previous worker has ended during an event.
            for key in state["keys"]:
                events.resume(camera, key).end(_to_time(state["last_ns"]))
            self.save_state(None)

    def process(self, frame: Frame) -> Result:
        look, values = look_at(frame.gray), {}
        previous, self.previous = self.previous, look
        has_flipped = self._flips_color(frame.image)
        if previous is None or has_flipped or match(previous.edges, look.edges, 0.01).here < MIN_STILL:
            return Result(annotations=[])  # Unknown: it is dark, covered or changing.
        sharp = sharpness(previous, look)
        reference = self.references.get(self.is_colored)
        if reference is None:
            self.references[self.is_colored] = _Reference(look.edges, sharp, frame.captured_ns)
            return Result(annotations=[])
        if sharp is not None and reference.sharpness:
            values["sharpness"] = 100 * sharp / reference.sharpness
        found = match(reference.edges, look.edges, self.options.min_shift / 100)
        self._judge(frame, found.is_here, values.get("sharpness"))
        if self.moved.since_ns is None and self.defocused.since_ns is None:
            self._learn(reference, look, sharp, frame)
        return Result(annotations=[], values=values)

    def _judge(self, frame: Frame, is_here: bool, sharp: float | None) -> None:
        limit = self.options.min_sharpness * (1 if self.defocused.since_ns is None else SHARP_AGAIN)
        is_blurred = None if sharp is None else sharp < min(limit, 99)
        had_event = self.moved.event is not None or self.defocused.event is not None
        self.moved.update(not is_here, frame)
        self.defocused.update(is_blurred if is_here else None, frame)  # Another place has another sharpness.
        if self.moved.lasts_long(frame) or self.defocused.lasts_long(frame):
            for alarm in (self.moved, self.defocused):
                alarm.stop(frame.captured_ns)
            self.references.clear()
        keys = [alarm.event.key for alarm in (self.moved, self.defocused) if alarm.event is not None]
        if keys or had_event:
            self.last_ns = frame.captured_ns
            self.save_state({"keys": keys, "last_ns": self.last_ns} if keys else None)
        for alarm in (self.moved, self.defocused):
            alarm.begin()  # Afterwards: the state must contain each event that was begun.

    def _learn(self, reference: _Reference, look: Look, sharp: float | None, frame: Frame) -> None:
        elapsed_s = max(0, frame.captured_ns - reference.seen_ns) / 1e9
        share = 1 - math.exp(-elapsed_s / LEARN_S)
        reference.seen_ns = frame.captured_ns
        reference.edges = cv2.addWeighted(reference.edges, 1 - share, look.edges, share, 0)
        if sharp is not None:
            usual = sharp if reference.sharpness is None else reference.sharpness
            reference.sharpness = (1 - share) * usual + share * sharp

    def _flips_color(self, image: Any) -> bool:
        """Return whether the camera has switched between day and night, which changes the image but not the place."""
        few = cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA).astype(np.int16)
        color = float(np.abs(few[..., 0] - few[..., 1]).mean() + np.abs(few[..., 2] - few[..., 1]).mean())
        was_colored = self.is_colored
        self.is_colored = color > (COLORLESS if was_colored else COLORFUL)
        return self.is_colored != was_colored

    def close(self) -> None:
        if self.moved.event is not None or self.defocused.event is not None:
            self.save_state(None)
        for alarm in (self.moved, self.defocused):
            alarm.stop(self.last_ns)


class _Alarm:
    """A condition that is an event when it lasts. `since_ns`: when it began; None: it is not there."""

    def __init__(self, camera: str, kind: str, options: TamperingOptions) -> None:
        self.camera, self.kind, self.options = camera, kind, options
        self.event: events.OngoingEvent | None = None
        self.has_begun = False
        self.since_ns: int | None = None
        self.over_since_ns: int | None = None

    def update(self, is_on: bool | None, frame: Frame) -> None:
        """None: unknown, which changes nothing."""
        now_ns = frame.captured_ns
        if is_on:
            self.over_since_ns = None
            self.since_ns = now_ns if self.since_ns is None else self.since_ns
            if self.event is None and now_ns - self.since_ns >= self.options.after_s * 1e9:
                key = f"{self.kind}-{self.camera}-{self.since_ns}"
                self.event, self.has_begun = events.resume(self.camera, key), False
        elif is_on is not None and self.since_ns is not None:
            self.over_since_ns = now_ns if self.over_since_ns is None else self.over_since_ns
            if self.event is None or now_ns - self.over_since_ns >= END_AFTER_NS:
                self.stop(self.over_since_ns)

    def begin(self) -> None:
        """Create the event, if there is a new one."""
        if self.event is not None and self.since_ns is not None and not self.has_begun:
            self.has_begun = True
            start = _to_time(self.since_ns)
            events.begin(self.camera, self.kind, start=start, key=self.event.key)

    def lasts_long(self, frame: Frame) -> bool:
        since_ns = frame.captured_ns if self.since_ns is None else self.since_ns
        return frame.captured_ns - since_ns >= self.options.accept_after_s * 1e9

    def stop(self, at_ns: int) -> None:
        event, self.event, self.since_ns, self.over_since_ns = self.event, None, None, None
        if event is not None:
            event.end(_to_time(at_ns))


def _to_time(time_ns: Any) -> datetime:
    return datetime.fromtimestamp(time_ns / 1e9, UTC)

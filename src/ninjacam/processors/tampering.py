"""The ready-made processor `tampering`: one event when the camera is moved, and one when it is out of focus.

Not here: black, covered and frozen images, which are findings about the camera's health (docs/camera-health.md).
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from pydantic import BaseModel, Field

from ninjacam import Frame, Processor, Result, processor
from ninjacam.processors.saved_events import SavedEvents
from ninjacam.processors.scene_match import Look, look_at, match, sharpness

MIN_STILL = 8.0
"""Match of successive frames, in standard deviations, from which the image has edges, and nothing fills it that moves.
"""
SHARP_AGAIN = 1.25
"""Factor between the sharpness at which the image is out of focus and the one at which it is sharp again."""
LEARN_S = 300.0
"""Time constant in which the reference follows the scene."""
END_AFTER_NS = 5_000_000_000
MAX_STEP_NS = 20_000_000_000
"""Maximum time between two comparisons that counts: meanwhile, the camera may have been disconnected. Still scenes have
a frame every 10 s.
"""
MAX_UNKNOWN_STEP_NS = 2_000_000_000
"""The same if there were frames that cannot be compared: a night without light is not time that counts."""
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


class _Moment(NamedTuple):
    """The time of a comparison. `counted_ns`: the time since the first one that counts, which never runs backwards."""

    captured_ns: int
    counted_ns: int


@dataclass(slots=True)
class _Reference:
    """How the scene usually looks: by day or, without colors, by night. `seen_ns`: when, as time that counts."""

    edges: Any
    sharpness: float | None
    seen_ns: int


@processor("tampering", when="motion", fps=1, width_px=640)
class Tampering(Processor):
    """The camera has been moved or is out of focus. For cameras that do not turn by themselves."""

    Options = TamperingOptions

    def setup(self, camera: str, options: TamperingOptions) -> None:
        self.options = options
        self.events = SavedEvents(self)
        self.moved = _Alarm(self.events, "camera_moved", options)
        self.defocused = _Alarm(self.events, "camera_defocused", options)
        self.references: dict[bool, _Reference] = {}  # Is in color -> how it usually looks.
        self.is_colored = True
        self.previous: Look | None = None
        self.now = _Moment(0, 0)
        self.max_step_ns = 0

    def process(self, frame: Frame) -> Result:
        look, values = look_at(frame.gray), {}
        previous, self.previous = self.previous, look
        has_flipped = self._flips_color(frame.image)
        if previous is None or has_flipped or match(previous.edges, look.edges, 0.01).here < MIN_STILL:
            self.max_step_ns = min(self.max_step_ns, MAX_UNKNOWN_STEP_NS)
            return Result(annotations=[])  # Unknown: it is dark, covered or changing.
        sharp = sharpness(previous, look)
        reference = self.references.get(self.is_colored)
        is_changed = self.moved.since is not None or self.defocused.since is not None
        if reference is None:
            # While the image is changed, it cannot become the usual one by night or by day.
            if not is_changed:
                self.references[self.is_colored] = _Reference(look.edges, sharp, self.now.counted_ns)
            self.max_step_ns = min(self.max_step_ns, MAX_UNKNOWN_STEP_NS)
            return Result(annotations=[])
        self._advance(frame.captured_ns)
        if sharp is not None and reference.sharpness:
            values["sharpness"] = 100 * sharp / reference.sharpness
        found = match(reference.edges, look.edges, self.options.min_shift / 100)
        self._judge(found.is_here, values.get("sharpness"))
        if self.moved.since is None and self.defocused.since is None:
            self._learn(reference, look, sharp)
        return Result(annotations=[], values=values)

    def _advance(self, captured_ns: int) -> None:
        step_ns = min(max(0, captured_ns - self.now.captured_ns), self.max_step_ns)
        self.now, self.max_step_ns = _Moment(captured_ns, self.now.counted_ns + step_ns), MAX_STEP_NS

    def _judge(self, is_here: bool, sharp: float | None) -> None:
        limit = self.options.min_sharpness * (1 if self.defocused.since is None else SHARP_AGAIN)
        is_blurred = None if sharp is None else sharp < min(limit, 99)
        if self.moved.lasts_long(self.now) or self.defocused.lasts_long(self.now):
            for alarm in (self.moved, self.defocused):
                alarm.stop(self.now)
            self.references.clear()
            return
        self.moved.update(not is_here, self.now)
        self.defocused.update(is_blurred if is_here else None, self.now)  # Another place, another sharpness.
        self.events.note(self.now.captured_ns)

    def _learn(self, reference: _Reference, look: Look, sharp: float | None) -> None:
        share = 1 - math.exp(-(self.now.counted_ns - reference.seen_ns) / 1e9 / LEARN_S)
        reference.seen_ns = self.now.counted_ns
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
        for alarm in (self.moved, self.defocused):
            alarm.stop(self.now)


class _Alarm:
    """A condition that is an event when it lasts. `since`: when it began; None: it is not there."""

    def __init__(self, saved: SavedEvents, kind: str, options: TamperingOptions) -> None:
        self._saved = saved
        self._kind, self._options = kind, options
        self.since: _Moment | None = None
        self._over_since: _Moment | None = None

    def update(self, is_on: bool | None, now: _Moment) -> None:
        """None: unknown, which changes nothing."""
        if is_on:
            self._over_since = None
            self.since = self.since or now
            lasts_ns = now.counted_ns - self.since.counted_ns
            if self._kind not in self._saved and lasts_ns >= self._options.after_s * 1e9:
                start_ns, now_ns = self.since.captured_ns, now.captured_ns
                self._saved.begin(self._kind, self._kind, start_ns=start_ns, now_ns=now_ns)
        elif is_on is not None and self.since is not None:
            self._over_since = self._over_since or now
            over_ns = now.counted_ns - self._over_since.counted_ns
            if self._kind not in self._saved or over_ns >= END_AFTER_NS:
                self.stop(self._over_since)

    def lasts_long(self, now: _Moment) -> bool:
        """Return whether it has an event, and the changed image is now the usual one."""
        if self.since is None or self._kind not in self._saved:
            return False
        return now.counted_ns - self.since.counted_ns >= self._options.accept_after_s * 1e9

    def stop(self, at: _Moment) -> None:
        self.since = self._over_since = None
        self._saved.end(self._kind, at.captured_ns)

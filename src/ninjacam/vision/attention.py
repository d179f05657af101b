"""Whether the scene of a stream moves, for processors that wait for motion.

Not here: finding what moves (`ninjacam.motion`).
"""

from typing import TYPE_CHECKING

from ninjacam.core.errors import DecodeError
from ninjacam.core.frames import Area
from ninjacam.core.zones import Zones
from ninjacam.vision.motion_gate import MotionGate

if TYPE_CHECKING:
    from ninjacam.motion import MotionDetector
    from ninjacam.vision.images import DecodedFrame

HOLD_NS = 5_000_000_000
"""Nanoseconds after the last motion until the scene is still."""
CHECK_NS = 1_500_000_000
"""Nanoseconds of frames to examine when a single frame has changed."""
LOOK_EVERY_NS = 90_000_000
"""Minimum time between frames to examine: ten frames per second are enough."""
IDLE_EVERY_NS = 10_000_000_000
"""Interval of single frames that processors receive while the scene is still, for example to find a parked car."""
SENSITIVITY = 0.7


class Attention:
    """`areas`: what moves in the last frame that was examined. Thread: the decoding thread; times are monotonic."""

    def __init__(self) -> None:
        self.gate = MotionGate()
        self.areas: tuple[Area, ...] = ()
        self.is_awake = False
        """Whether processors that wait for motion receive the present frame."""
        self._detector: MotionDetector | None = None
        self._looked_ns = 0
        self._moved_ns = -HOLD_NS
        self._offered_ns = -IDLE_EVERY_NS

    def look(self, frame: "DecodedFrame", received_ns: int, zones: Zones | None = None) -> None:
        """Examine a frame, unless the last one was a moment ago. Motion in masks of `zones` does not count."""
        if 0 <= received_ns - self._looked_ns < LOOK_EVERY_NS:
            return
        self._looked_ns = received_ns
        if self._detector is None:
            from ninjacam.motion import MotionDetector  # This imports OpenCV.

            self._detector = MotionDetector(sensitivity=SENSITIVITY)
            # Whether something moves is unknown at first. After a restart, visits continue if their objects are seen.
            self._moved_ns = received_ns
            self.gate.open_until(received_ns + HOLD_NS)
        try:
            luma = frame.gray()
            ignored = None
            if zones is not None and any(zone.kind == "mask" for zone in zones.values()):
                ignored = zones.of_size(luma.shape[1], luma.shape[0]).masked
            self.areas = tuple(self._detector.update(luma, received_ns, ignored))
        except DecodeError:
            return
        if self.areas:
            self._moved_ns = received_ns
            self.gate.open_until(received_ns + HOLD_NS)
        elif self._detector.has_changed:
            self.gate.open_until(received_ns + CHECK_NS)
        is_due = received_ns - self._offered_ns >= IDLE_EVERY_NS
        self.is_awake = is_due or received_ns - self._moved_ns < HOLD_NS
        if self.is_awake:
            self._offered_ns = received_ns

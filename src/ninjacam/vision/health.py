"""How a view fares: its present error, its failures so far, and when a failure is worth a line in the log."""

import logging
from dataclasses import dataclass
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProcessorError

logger = logging.getLogger("ninjacam.vision")

LOG_EVERY_NS = 1_000_000_000
"""Different errors of one view are logged at most so often."""
LOG_SAME_EVERY_NS = 60_000_000_000
"""The same error again is logged at most so often, with the number of failures."""


@dataclass(slots=True)
class ViewHealth:
    """Of one view of one camera. Written by the view's thread, read by the loop.

    `error`: what is wrong now. `failures`, `last_error`, `last_failed_ns` (wall clock): what went wrong since the
    processor's code was loaded, also if it works by now.
    """

    error: ProcessorError | None = None
    next_try_ns: int = 0
    cost_ns: float = 0.0
    frames: int = 0
    last_image: Any = None
    failures: int = 0
    last_error: ProcessorError | None = None
    last_failed_ns: int = 0
    code: object = None
    _logged: str = ""
    _logged_ns: int = -LOG_SAME_EVERY_NS
    _logged_failures: int = 0

    def begin(self, code: object) -> None:
        """The processor is called as `code` defines it: failures of other code are forgotten."""
        if code is not self.code:
            self.code = code
            self.failures = self._logged_failures = 0
            self.last_error, self.last_failed_ns, self._logged = None, 0, ""

    def failed(self, camera: str, error: ProcessorError, clock: Clock) -> None:
        """Count a failure, and log it unless it was logged recently."""
        self.failures += 1
        self.last_error, self.last_failed_ns = error, clock.wall_ns()
        now_ns = clock.monotonic_ns()
        pause_ns = LOG_SAME_EVERY_NS if error.message == self._logged else LOG_EVERY_NS
        if now_ns - self._logged_ns < pause_ns:
            return
        count = self.failures - self._logged_failures
        times = f" ({count} failures since the last such message)" if count > 1 else ""
        logger.warning("%s: %s%s\n%s", camera, error.message, times, error.traceback.rstrip())
        self._logged, self._logged_ns, self._logged_failures = error.message, now_ns, self.failures

    def report(self) -> dict[str, Any]:
        """As it goes into the worker's status."""
        return {
            "ms_per_frame": round(self.cost_ns / 1e6, 3),
            "failures": self.failures,
            "last_error": self.last_error.as_dict() if self.last_error is not None else None,
            "last_failed_us": self.last_failed_ns // 1000,
        }

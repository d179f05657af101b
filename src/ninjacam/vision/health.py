"""The health of a view: its current error, its past failures, and when to log a failure."""

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProcessorError

logger = logging.getLogger("ninjacam.vision")

LOG_EVERY_NS = 1_000_000_000
"""Minimum seconds between log lines about different errors of one view."""
MAX_DURATIONS = 256
"""Number of the latest calls that percentiles are made of."""
LOG_SAME_EVERY_NS = 60_000_000_000
"""Minimum seconds between log lines about the same error, which contain the number of failures."""


@dataclass(slots=True)
class ViewHealth:
    """For one view of one camera. Written by the view's thread, read by the loop.

    `error`: the current error. `failures`, `last_error`, `last_failed_ns` (wall clock): failures since the
    processor's code was loaded, even if it works now. `frames`, `dropped`: frames that were made, and those that had to
    be left out because the processor is slow. `option_problems`: name of an option -> why its value is not used.
    `values`: the numbers that the processor last returned, by name.
    """

    error: ProcessorError | None = None
    next_try_ns: int = 0
    cost_ns: float = 0.0
    frames: int = 0
    dropped: int = 0
    last_image: Any = None
    failures: int = 0
    last_error: ProcessorError | None = None
    last_failed_ns: int = 0
    code: object = None
    option_problems: dict[str, str] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    _logged: str = ""
    _logged_ns: int = -LOG_SAME_EVERY_NS
    _logged_failures: int = 0
    _durations_ns: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_DURATIONS))

    def took(self, duration_ns: int) -> None:
        """Note the time of one call of the processor."""
        self.cost_ns += (duration_ns - self.cost_ns) / 8
        self._durations_ns.append(duration_ns)

    def _percentiles_ms(self, *percents: int) -> list[float]:
        durations = sorted(self._durations_ns.copy()) or [0]
        return [round(durations[len(durations) * percent // 100] / 1e6, 3) for percent in percents]

    def begin(self, code: object) -> None:
        """The processor is called as defined by `code`: forget failures of other code."""
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
        """Return it as part of the worker's status."""
        ms_p50, ms_p95 = self._percentiles_ms(50, 95)
        return {
            "ms_per_frame": round(self.cost_ns / 1e6, 3),
            "ms_p50": ms_p50,
            "ms_p95": ms_p95,
            "frames": self.frames,
            "dropped": self.dropped,
            "failures": self.failures,
            "last_error": self.last_error.as_dict() if self.last_error is not None else None,
            "last_failed_us": self.last_failed_ns // 1000,
            "option_problems": self.option_problems,
            "values": dict(self.values),
        }

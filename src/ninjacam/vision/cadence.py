"""Limits frames per second: by the host's clock where frames are live, by their own times where they are recorded."""

from dataclasses import dataclass


@dataclass(slots=True)
class Cadence:
    """Chooses which frames are due."""

    due_ns: int = 0

    def is_due(self, fps: float, now_ns: int) -> bool:
        """Return whether a frame is due, and count it. `fps`: 0: no limit."""
        if not fps:
            return True
        period_ns = int(1e9 / fps)
        if now_ns < self.due_ns <= now_ns + period_ns:
            return False
        # A later time is due, too: recorded clocks are set back, and the frame rate may have been raised.
        self.due_ns += period_ns
        if not now_ns - period_ns // 2 <= self.due_ns <= now_ns + period_ns:
            self.due_ns = now_ns + period_ns  # After a pause, no frames are made up for.
        return True

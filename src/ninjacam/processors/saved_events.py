"""The ongoing events of a processor, kept over restarts. Not a processor.

An event whose worker has died would last for a day. So each change of the ongoing events is saved before the event is
begun or ended, and `ninjacam.processor_writer` writes both together. The next instance ends what the previous one left.
"""

from collections.abc import Hashable
from datetime import datetime
from typing import Any
from uuid import uuid4

from ninjacam import Processor, events
from ninjacam.core.errors import InvalidError
from ninjacam.core.times import to_datetime
from ninjacam.tracking.capture_clock import MAX_CAPTURED_NS, NS_PER_S

SAVE_EVERY_NS = 2 * NS_PER_S
"""Interval in which the time of the last frame is saved, with which events end after a crash."""
MAX_SAVED = 1000
"""Maximum number of events in a state, which must not be larger than 256 KB. Of more, the latest are saved."""


class SavedEvents:
    """The ongoing events of a processor by a name of your choice.

    Create it in `setup`, which may block: it ends the events that the previous instance has left. No event ends before
    it begins, also if the clock was set back.
    """

    def __init__(self, processor: Processor) -> None:
        self._processor = processor
        self._events: dict[Hashable, tuple[events.OngoingEvent, int]] = {}
        self._last_ns = 0
        self._timer = SaveTimer()
        state = processor.load_state()
        if state:
            end_saved(processor.camera, state)
            processor.save_state(None)

    def __len__(self) -> int:
        return len(self._events)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._events

    @property
    def names(self) -> list[Hashable]:
        """The names of the ongoing events, oldest first."""
        return list(self._events)

    def begin(
        self, name: Hashable, kind: str, *, start_ns: int, now_ns: int, **fields: Any
    ) -> events.OngoingEvent:
        """Begin an event. `now_ns`: capture time of the frame; a start after it is from before the clock was set back.
        Others: as for `events.begin`.
        """
        start_ns = min(start_ns, now_ns)
        # If the processor is removed from the camera, its events are found by the beginning of their keys.
        key = f"{self._processor.name}-{uuid4().hex}"
        event = events.resume(self._processor.camera, key)
        self._events[name] = event, start_ns
        self._save(now_ns)
        events.begin(self._processor.camera, kind, start=to_datetime(start_ns), key=key, **fields)
        return event

    def update(self, name: Hashable, **fields: Any) -> None:
        """Change an event, as `OngoingEvent.update` does."""
        self._events[name][0].update(**fields)

    def note(self, now_ns: int) -> None:
        """Call it for each frame in which the events continue: they end with it if the worker dies."""
        if self._events and self._timer.is_due(now_ns):
            self._save(now_ns)

    def end(self, name: Hashable, end_ns: int, **fields: Any) -> None:
        """End an event, as `OngoingEvent.end` does. One that has not begun is ignored."""
        if name in self._events:
            event, start_ns = self._events.pop(name)
            self._save(self._last_ns)
            event.end(to_datetime(max(start_ns, end_ns)), **fields)

    def _save(self, now_ns: int) -> None:
        self._last_ns = now_ns
        self._timer.restart(now_ns)
        keys = [event.key for event, _ in self._events.values()][-MAX_SAVED:]
        self._processor.save_state({"keys": keys, "last_ns": now_ns} if keys else None)


class SaveTimer:
    """Whether a state that changes all the time should be saved. Times are capture times, which may be set back."""

    __slots__ = ("_saved_ns",)

    def __init__(self) -> None:
        self._saved_ns = 0

    def is_due(self, now_ns: int) -> bool:
        return not 0 <= now_ns - self._saved_ns <= SAVE_EVERY_NS

    def restart(self, now_ns: int) -> None:
        self._saved_ns = now_ns


def end_saved(camera: str, state: Any) -> None:
    """End the events of a state: `keys`, and `last_ns`, the time of the last frame, without which they end now.

    What cannot be used is ignored: the state may be of another version, or of another processor of this name.
    """
    saved = state if isinstance(state, dict) else {}
    keys, last_ns = saved.get("keys"), saved.get("last_ns")
    is_time = isinstance(last_ns, int) and not isinstance(last_ns, bool) and 0 < last_ns <= MAX_CAPTURED_NS
    at: datetime | None = to_datetime(last_ns) if is_time and isinstance(last_ns, int) else None
    for key in keys if isinstance(keys, list) else []:
        try:
            event = events.resume(camera, key)
        except (InvalidError, TypeError):
            continue
        event.end(at)

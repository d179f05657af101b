"""Collects the numbers that processors return, in slots of 10 seconds. `ninjacam.processor_writer` stores them."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

SLOT_S = 10
SLOT_NS = SLOT_S * 10**9
MAX_NAMES = 32
"""Maximum number of names of one processor and camera."""
MAX_SLOTS = 2000
"""Maximum number of slots that wait for the database: of one processor, those of five hours."""
MAX_NUMBER = 1e290
"""Numbers beyond are not collected: the sum of those of a month must be finite."""


class SlotKey(NamedTuple):
    """`start_s`: the start of the slot, in seconds since 1970."""

    camera: str
    processor: str
    start_s: int


@dataclass(slots=True)
class Summary:
    """Summarizes the numbers of a time span. `total`: their sum."""

    minimum: float
    maximum: float
    total: float
    count: int

    def merge(self, other: "Summary") -> None:
        """Add the numbers of the other one."""
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.total += other.total
        self.count += other.count


Slots: TypeAlias = dict[SlotKey, dict[str, Summary]]
"""The summary of each name, by slot."""


class ValueCollector:
    """The slots that are not written yet. Thread: any."""

    def __init__(self) -> None:
        self._slots: Slots = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._slots)

    def add(self, camera: str, processor: str, captured_ns: int, values: Mapping[str, float]) -> bool:
        """Add the values of one frame. Return whether they are the first ones that wait. Called for each frame.

        `captured_ns`: wall clock. More than MAX_NAMES names in a slot, and numbers beyond MAX_NUMBER, are left out.
        """
        key = SlotKey(camera, processor, captured_ns // SLOT_NS * SLOT_S)
        with self._lock:
            is_first = not self._slots
            slot = self._slot(key)
            for name, value in values.items():
                if not -MAX_NUMBER <= value <= MAX_NUMBER:
                    continue
                found = slot.get(name)
                if found is not None:
                    if value < found.minimum:
                        found.minimum = value
                    if value > found.maximum:
                        found.maximum = value
                    found.total += value
                    found.count += 1
                elif len(slot) < MAX_NAMES:
                    slot[name] = Summary(value, value, value, 1)
            return is_first

    def _slot(self, key: SlotKey) -> dict[str, Summary]:
        """Return a slot. If there are too many, drop the oldest one. Call it with the lock."""
        slot = self._slots.get(key)
        if slot is None:
            if len(self._slots) >= MAX_SLOTS:
                del self._slots[min(self._slots, key=lambda each: each.start_s)]
            slot = self._slots[key] = {}
        return slot

    def take(self) -> Slots:
        """Return what waits, which the caller writes. A slot may be returned in several parts."""
        with self._lock:
            slots, self._slots = self._slots, {}
        return slots

    def give_back(self, slots: Slots) -> None:
        """Keep these slots for the next attempt, because the database is unavailable."""
        with self._lock:
            newer, self._slots = self._slots, slots
            for key, summaries in newer.items():
                slot = self._slot(key)
                for name, summary in summaries.items():
                    if name in slot:
                        slot[name].merge(summary)
                    elif len(slot) < MAX_NAMES:
                        slot[name] = summary


AddValues: TypeAlias = Callable[[str, str, int, Mapping[str, float]], object]
"""Takes a camera, a processor, the time of capture (wall clock, ns) and the values of a frame. Never blocks."""
_add: AddValues | None = None


def keep_values_with(add: AddValues | None) -> None:
    """Set what receives the values of this process. None: nothing. Call it from entry points only."""
    global _add
    _add = add


def add_values(camera: str, processor: str, captured_ns: int, values: Mapping[str, float]) -> None:
    if _add is not None:
        _add(camera, processor, captured_ns, values)

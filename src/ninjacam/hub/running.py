"""The last words of a vision worker: which user code each of its threads was in when it died.

A small memory-mapped file `<run>/<name>.running`. Writing it costs a microsecond a frame and needs no call into the
kernel; the page survives the process, whatever killed it. Slots of 128 bytes: length, then "slug\\0view" in UTF-8; a
module that is being loaded stands there as the view "saved_ns module" of no camera.
"""

import mmap
import os
from pathlib import Path

SLOT_BYTES = 128
SLOTS = 64
LEFT_OUT = "NINJACAM_LEFT_OUT"
"""In a worker's environment: the modules that it does not load, as JSON {"saved_ns module": why}."""


class RunningFile:
    """The writer's end. Each thread owns one slot."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, SLOT_BYTES * SLOTS)
            self._map = mmap.mmap(descriptor, SLOT_BYTES * SLOTS)
        finally:
            os.close(descriptor)
        self._free = list(range(SLOTS))

    def take_slot(self) -> int:
        """A slot for a thread; the last one is shared when all are taken."""
        return self._free.pop() if self._free else 0

    def give_back(self, slot: int) -> None:
        self.leave(slot)
        if slot not in self._free:
            self._free.append(slot)

    def enter(self, slot: int, words: bytes) -> None:
        """`words`: `running_words(slug, view)`, at most 127 bytes."""
        at = slot * SLOT_BYTES
        self._map[at + 1 : at + 1 + len(words)] = words
        self._map[at] = len(words)

    def leave(self, slot: int) -> None:
        self._map[slot * SLOT_BYTES] = 0


def running_words(slug: str, view: str) -> bytes:
    return f"{slug}\0{view}".encode()[: SLOT_BYTES - 1]


def loading_name(module: str, saved_ns: int) -> str:
    """Of a module as it was saved at that wall time: saved again, it is another."""
    return f"{saved_ns} {module}"


def read_running(path: Path) -> list[tuple[str, str]]:
    """(slug, view) of each thread that was in user code, ("", `loading_name`) where it loaded a module. Empty where
    there is no file."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    found = []
    for at in range(0, len(data) - SLOT_BYTES + 1, SLOT_BYTES):
        words = data[at + 1 : at + 1 + data[at]].decode(errors="replace")
        slug, separator, view = words.partition("\0")
        if separator:
            found.append((slug, view))
    return found

"""The crash record of a vision worker: the user code that each of its threads ran when it died, and the thread that
caused it.

`<run>/<name>.running` is a small memory-mapped file. Writing it costs a microsecond per frame and needs no system
call; the page survives the process, however it ends. Slots of 128 bytes: length, thread, "slug\\0view" in UTF-8; a
module that is being loaded is recorded as the view "saved_ns module" of no camera. After the slots: the thread that
ended the process by `os._exit`.

faulthandler writes to `<run>/<name>.crash` on a fatal signal: the tracebacks of all threads, and which of them
received the signal.
"""

import faulthandler
import mmap
import os
import re
import struct
import threading
from pathlib import Path
from typing import NamedTuple, NoReturn

SLOT_BYTES = 128
SLOTS = 64
LEFT_OUT = "NINJACAM_LEFT_OUT"
"""Environment variable of a worker: the modules that it must not load, as JSON {"saved_ns module": reason}.
"""
MAX_CRASH_BYTES = 256 << 10
MAX_TRACEBACK_CHARS = 4_000
_THREAD = struct.Struct("<Q")
_WORDS_AT = 1 + _THREAD.size
_ENDED_AT = SLOT_BYTES * SLOTS
_FILE_BYTES = _ENDED_AT + _THREAD.size
_IN_ORDER = (1 << 64) - 1
"""Value in place of a thread if the process ended on request."""
_CURRENT = re.compile(r"^Current thread 0x([0-9a-f]+).*\n((?:  .*\n?)*)", re.MULTILINE)
_OURS = str(Path(__file__).parents[1])


class RunningFile:
    """The writer's end. Each thread owns one slot. Keeps `path` and the crash file open."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.ftruncate(descriptor, _FILE_BYTES)
            self._map = mmap.mmap(descriptor, _FILE_BYTES)
        finally:
            os.close(descriptor)
        self._crash_path = crash_path(path)
        self._crash_path.unlink(missing_ok=True)
        self._free = list(range(SLOTS))
        self._in_order = False

    def watch_ends(self) -> None:
        """Record the thread that ends this process, by a fatal signal or by `os._exit`. Applies to the whole
        process."""
        descriptor = os.open(self._crash_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        # faulthandler keeps the descriptor, which is never closed.
        faulthandler.enable(descriptor, all_threads=True)
        end, pid = os._exit, os.getpid()

        def record_and_end(status: int) -> NoReturn:
            if os.getpid() == pid and not self._in_order:  # Not a fork of it.
                _THREAD.pack_into(self._map, _ENDED_AT, threading.get_ident())
            end(status)

        os._exit = record_and_end

    def end_in_order(self) -> None:
        """Record that this process ends on request: user code that still runs is not the cause."""
        self._in_order = True
        _THREAD.pack_into(self._map, _ENDED_AT, _IN_ORDER)

    def take_slot(self) -> int:
        """Return a slot for a thread. The last one is shared when all are taken."""
        return self._free.pop() if self._free else 0

    def give_back(self, slot: int) -> None:
        self.leave(slot)
        if slot not in self._free:
            self._free.append(slot)

    def enter(self, slot: int, words: bytes) -> None:
        """Record that the calling thread is in user code. `words`: `running_words(slug, view)`."""
        at = slot * SLOT_BYTES
        _THREAD.pack_into(self._map, at + 1, threading.get_ident())
        self._map[at + _WORDS_AT : at + _WORDS_AT + len(words)] = words
        self._map[at] = len(words)

    def leave(self, slot: int) -> None:
        self._map[slot * SLOT_BYTES] = 0


def running_words(slug: str, view: str) -> bytes:
    return f"{slug}\0{view}".encode()[: SLOT_BYTES - _WORDS_AT]


def loading_name(module: str, saved_ns: int) -> str:
    """Return the identifier of a module as saved at that wall time. A later version has another identifier."""
    return f"{saved_ns} {module}"


def crash_path(path: Path) -> Path:
    return path.with_suffix(".crash")


class LastWords(NamedTuple):
    """The result of reading a crash record. `running`: (slug, view) of the threads that may have ended the process,
    ("", `loading_name`) if a thread loaded a module. `traceback`: of the thread that received the fatal signal, or
    ""."""

    running: list[tuple[str, str]]
    traceback: str = ""


def read_last_words(path: Path) -> LastWords:
    """Return the views that may have ended the process that wrote `path`: one thread if it is known, else all that
    ran user code.

    The list is empty if our own code crashed, if the process was asked to end, or if there is no file.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return LastWords([])
    if len(data) != _FILE_BYTES:
        return LastWords([])  # Another version wrote it.
    running = _read_slots(data)
    everybody = [who for _, who in running]
    (ended_by,) = _THREAD.unpack_from(data, _ENDED_AT)
    if ended_by == _IN_ORDER:
        return LastWords([])
    traceback = ""
    if not ended_by:
        ended_by, traceback = _read_crash(crash_path(path))
    guilty = [who for thread, who in running if thread == ended_by]
    if not guilty and _OURS in traceback:
        return LastWords([], traceback)
    # An unknown thread that is not ours: user code or a library has started it.
    return LastWords(guilty or everybody, traceback)


def _read_slots(data: bytes) -> list[tuple[int, tuple[str, str]]]:
    found = []
    for at in range(0, _ENDED_AT, SLOT_BYTES):
        words = data[at + _WORDS_AT : at + _WORDS_AT + data[at]].decode(errors="replace")
        slug, separator, view = words.partition("\0")
        if separator:
            found.append((_THREAD.unpack_from(data, at + 1)[0], (slug, view)))
    return found


def _read_crash(path: Path) -> tuple[int, str]:
    """Return the thread that received the fatal signal, 0 if unknown, and its traceback."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CRASH_BYTES).decode(errors="replace")
    except OSError:
        return 0, ""
    found = list(_CURRENT.finditer(text))[-1:]
    return (int(found[0][1], 16), found[0][2][:MAX_TRACEBACK_CHARS]) if found else (0, "")

"""Syncs written fragments to disk within about a second, so that they survive a power failure.

Uses a separate thread, because syncing may be slow and must not delay other work. Writes to the same file that occur
meanwhile are synced together, once. Not here: writing (`ninjacam.recordings.files`).
"""

import logging
import os
import threading
from pathlib import Path

logger = logging.getLogger("ninjacam.recordings")


class DiskSync:
    """Syncs files. `schedule` never blocks. Thread: any. `root`: directories above it are not synced."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._dirty: dict[Path, bool] = {}
        """File -> whether its name is new, too."""
        self._work = threading.Event()
        self._failing = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def close(self) -> None:
        """Accept no more files: the thread ends when all are synced."""
        self._closed = True
        self._work.set()

    def schedule(self, path: Path, is_new: bool) -> None:
        """Schedule a file that has grown. `is_new`: it did not exist before."""
        with self._lock:
            self._dirty[path] = is_new or self._dirty.get(path, False)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="recordings-sync", daemon=True)
                self._thread.start()
        self._work.set()

    def _run(self) -> None:
        while self._dirty or not self._closed:
            self._work.wait()
            self._work.clear()
            with self._lock:
                dirty, self._dirty = self._dirty, {}
            for path, is_new in dirty.items():
                self._sync(path, is_new)

    def _sync(self, path: Path, is_new: bool) -> None:
        try:
            sync_file(path)
            if is_new:
                for directory in path.relative_to(self._root).parents:
                    sync_file(self._root / directory)
        except FileNotFoundError:
            pass  # Retention has deleted it, or the disk was removed, which the writer reports.
        except OSError as exc:
            if not self._failing:
                logger.error("recordings: the disk does not confirm what is written: %s", exc.strerror)  # noqa: TRY400
            self._failing = True
        else:
            self._failing = False


def sync_file(path: Path) -> None:
    """Sync the contents and length of a file, or the names in a directory. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)

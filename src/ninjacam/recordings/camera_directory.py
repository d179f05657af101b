"""A camera's recording directory, held open so that renaming the camera cannot redirect it."""

import os
from pathlib import Path

from ninjacam.core.clock import Clock
from ninjacam.recordings.layout import open_directory

RENAMED_S = 10.0
"""Seconds for which a camera still records to its renamed directory. The engine detects the new name within a
second, and recordings until then must not go to another camera that takes the old name."""


class CameraDirectory:
    """A descriptor of the directory `<root>/<slug>`, opened at the first use. Thread: the writer's."""

    def __init__(self, root: Path, slug: str, clock: Clock) -> None:
        self._path = root / slug
        self._clock = clock
        self._descriptor = -1
        self._renamed_ns: int | None = None
        """Monotonic time at which the directory was first found renamed."""

    def open(self) -> int:
        """Return a descriptor of the camera's original directory, even if it was renamed. Raises: OSError."""
        if self._descriptor >= 0 and not self._is_current():
            now_ns = self._clock.monotonic_ns()
            if self._renamed_ns is None:
                self._renamed_ns = now_ns
            is_removed = os.fstat(self._descriptor).st_nlink == 0
            if is_removed or now_ns - self._renamed_ns > RENAMED_S * 1e9:
                self.close()
        if self._descriptor < 0:
            self._descriptor = open_directory(self._path.parent, self._path.name)
            self._renamed_ns = None
        return self._descriptor

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        self.close()

"""Writes the host's status to one small file that any process of the host can read: `<run>/status.json`."""

import json
import os
from pathlib import Path
from typing import Any


class StatusWriter:
    """Replaces the file atomically, so that a reader gets either the old or the new content."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fresh = path.with_name(f".{path.name}.new")

    def write(self, status: dict[str, Any]) -> None:
        """Write the status, and create the directory if it is missing. Raises: OSError: the disk is full, or the
        directory cannot be created."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(status, separators=(",", ":")))  # json.dump takes 3 times the CPU.
        self._fresh.replace(self.path)

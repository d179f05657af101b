"""Keeps the states of processors in the database. A thread writes them, so a slow database delays no frame."""

import json
import logging
import threading
from typing import Any

from django.db import DatabaseError, close_old_connections, connections

from ninjacam.core.errors import InvalidError
from ninjacam.models import Camera, ProcessorState

logger = logging.getLogger("ninjacam.vision")

MAX_BYTES = 256 << 10
WRITE_EVERY_S = 1.0
"""A state that is saved with each frame is written this often."""


class DatabaseStates:
    """Implements `core.processor_states.StateStore`. Call `close` at the end."""

    def __init__(self, *, write_every_s: float = WRITE_EVERY_S) -> None:
        self._write_every_s = write_every_s
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], str] = {}
        self._has_work = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state-writer", daemon=True)
        self._thread.start()

    def load(self, camera: str, processor: str) -> Any:
        """Return the state that was saved last, or None, also if the database is unavailable."""
        with self._lock:
            waiting = self._waiting.get((camera, processor))
        if waiting is not None:
            return json.loads(waiting)
        close_old_connections()
        try:
            found = ProcessorState.objects.filter(camera__slug=camera, processor=processor)
            return found.values_list("state", flat=True).first()
        except DatabaseError:
            logger.warning("%s: the state of %s cannot be read; it starts without one", camera, processor)
            return None
        finally:
            connections.close_all()

    def save(self, camera: str, processor: str, state: Any) -> None:
        """Raises: InvalidError."""
        try:
            encoded = json.dumps(state, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidError.of("state", f"The state cannot be converted to JSON: {exc}.") from exc
        if len(encoded) > MAX_BYTES:
            raise InvalidError.of("state", f"The state is larger than {MAX_BYTES >> 10} KB.")
        with self._lock:
            self._waiting[camera, processor] = encoded
        self._has_work.set()

    def close(self, timeout_s: float) -> None:
        """Wait up to this time until all states are written."""
        self._closing.set()
        self._has_work.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._has_work.wait()
            self._closing.wait(self._write_every_s)
            self._has_work.clear()
            self._write_all()
        self._write_all()

    def _write_all(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        close_old_connections()
        try:
            for (camera, processor), encoded in waiting.items():
                _write(camera, processor, json.loads(encoded))
        except DatabaseError:
            connections.close_all()
            with self._lock:
                self._waiting = waiting | self._waiting  # The newer ones count.
            self._has_work.set()


def _write(camera: str, processor: str, state: Any) -> None:
    """Raises: DatabaseError."""
    row = Camera.objects.filter(slug=camera).first()
    if row is not None:
        ProcessorState.objects.update_or_create(camera=row, processor=processor, defaults={"state": state})

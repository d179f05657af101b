"""Writes what the processors of a vision worker create: events, their changes, and states. A slow database delays no
frame, because a thread of its own writes.

States are written before later events of their camera: whatever a processor saves before it begins an event is there
after a restart if the event is.
"""

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
)

from ninjacam.actions.events import EventChange, EventInput, change_event, create_event, event_rates
from ninjacam.auth import LocalOperator
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import InvalidError, LimitError, NinjacamError
from ninjacam.models import Camera, ProcessorState

logger = logging.getLogger("ninjacam.events")

MAX_WAITING: Final = 200
"""Maximum number of events of one vision worker that wait for the database. Others are dropped, counted and logged."""
MAX_STATE_BYTES = 256 << 10
SAVE_EVERY_S = 1.0
"""A state that is saved with each frame is written this often, unless an event needs it."""
LOG_EVERY_NS = 1_000_000_000
RETRY_S = 1.0

Item: TypeAlias = EventInput | EventChange
Write: TypeAlias = Callable[[str, Item], None]


class ProcessorWriter:
    """A sink for `ninjacam.events`, and a `StateStore`. `put` and `save` never wait. Call `close` at the end."""

    def __init__(
        self, write: Write | None = None, *, retry_s: float = RETRY_S, save_every_s: float = SAVE_EVERY_S
    ) -> None:
        self._write = write or _write_event
        self._retry_s = retry_s
        self._save_every_s = save_every_s
        self._waiting: queue.Queue[tuple[str, Item] | None] = queue.Queue(2 * MAX_WAITING)
        self._states: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._logged_ns = -LOG_EVERY_NS
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="processor-writer", daemon=True)
        self._thread.start()

    def put(self, camera: str, item: Item) -> None:
        # Leaves room for changes: without its end, an event would last for a day.
        may_wait = self._waiting.qsize() < MAX_WAITING or isinstance(item, EventChange)
        with contextlib.suppress(queue.Full):
            if may_wait:
                self._waiting.put_nowait((camera, item))
                return
        self._drop(camera, item, "the database is too slow")

    def load(self, camera: str, processor: str) -> Any:
        """Return the state that was saved last, or None, also if the database is unavailable. May block."""
        with self._lock:
            waiting = self._states.get((camera, processor))
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
        """Raises: InvalidError: it is not JSON, or too large."""
        try:
            encoded = json.dumps(state, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidError.of("state", f"The state cannot be converted to JSON: {exc}.") from exc
        if len(encoded) > MAX_STATE_BYTES:
            raise InvalidError.of("state", f"The state is larger than {MAX_STATE_BYTES >> 10} KB.")
        with self._lock:
            is_first = not self._states
            self._states[camera, processor] = encoded
        if is_first:
            with contextlib.suppress(queue.Full):  # The thread has work, so it is awake.
                self._waiting.put_nowait(_WAKE)

    def close(self, timeout_s: float) -> None:
        """Wait up to this time until everything is written."""
        self._closing.set()
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            item = self._next()
            if item is None:
                self._written(self._write_states)
                return
            camera, event = item
            if item is _WAKE:
                continue
            while not self._written(lambda camera=camera, event=event: self._write_one(camera, event)):  # type: ignore[misc]
                if self._closing.wait(self._retry_s):
                    return

    def _next(self) -> tuple[str, Item] | None:
        """Return the next event. Writes states while there is none for a while."""
        while True:
            with self._lock:
                has_states = bool(self._states)
            try:
                return self._waiting.get(timeout=self._save_every_s if has_states else None)
            except queue.Empty:
                self._written(self._write_states)

    def _write_one(self, camera: str, item: Item) -> None:
        self._write_states(camera)
        try:
            self._write(camera, item)
        except (OperationalError, InterfaceError):
            raise
        except (NinjacamError, DatabaseError) as exc:
            self._drop(camera, item, str(exc))

    def _write_states(self, of_camera: str = "") -> None:
        """Write the states that wait, of all cameras or of one.

        Raises: OperationalError, InterfaceError: the database is unavailable; what is not written remains.
        """
        with self._lock:
            waiting = {key: text for key, text in self._states.items() if of_camera in ("", key[0])}
        for key, encoded in waiting.items():
            try:
                _write_state(*key, json.loads(encoded))
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:  # It must not hold up the states of others.
                logger.exception("%s: the state of %s cannot be written", *key)
            with self._lock:
                if self._states.get(key) is encoded:
                    del self._states[key]

    def _written(self, write: Callable[[], None]) -> bool:
        """Return False if the database is unavailable, to try again."""
        close_old_connections()
        try:
            write()
        except (OperationalError, InterfaceError):
            connections.close_all()
            return False
        return True

    def _drop(self, camera: str, item: Item, why: str) -> None:
        self.dropped += 1
        now_ns = SYSTEM_CLOCK.monotonic_ns()
        if now_ns - self._logged_ns >= LOG_EVERY_NS:
            self._logged_ns = now_ns
            kind = item.kind if isinstance(item, EventInput) else "a change of one"
            logger.warning("%s: an event (%s) is dropped (%d so far): %s", camera, kind, self.dropped, why)


_WAKE: tuple[str, Item] = ("", EventChange(""))


def _write_event(camera: str, item: Item) -> None:
    """Raises: NinjacamError, DatabaseError."""
    if isinstance(item, EventChange):
        change_event(camera, item)
        return
    per_minute = get_settings().events_per_minute
    if event_rates(per_minute).take(("processor", camera)):
        raise LimitError(
            f"Processors create too many events of {camera!r}: the limit is {per_minute} per minute."
        )
    actor = LocalOperator()
    actor.name = "processor"
    create_event(actor, camera, item)


def _write_state(camera: str, processor: str, state: Any) -> None:
    """None: there is no state any more. Raises: DatabaseError."""
    row = Camera.objects.filter(slug=camera).first()
    if row is None:
        return
    if state is None:
        ProcessorState.objects.filter(camera=row, processor=processor).delete()
    else:
        ProcessorState.objects.update_or_create(camera=row, processor=processor, defaults={"state": state})

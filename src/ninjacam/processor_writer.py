"""Writes what the processors of a vision worker create: events, their changes, states and values. A slow database
delays no frame, because a thread of its own writes.

An event is written in one transaction with the states that its camera's processors have saved before it, and later
states are written after it. So a process that is killed at any moment leaves states and events that match: the state
with which an event begins is there if the event is, and the one without it only if the event has its end.
"""

import contextlib
import json
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connections,
    transaction,
)

from ninjacam.actions.events import EventChange, EventInput, change_event, create_event, event_rates
from ninjacam.auth import LocalOperator
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import InvalidError, LimitError, NinjacamError
from ninjacam.core.processor_values import Slots, ValueCollector
from ninjacam.models import Camera, ProcessorState, ValueSeries, ValueSlot
from ninjacam.models.event import PROCESSOR
from ninjacam.models.foreign_keys import check_foreign_keys

logger = logging.getLogger("ninjacam.events")

MAX_WAITING: Final = 200
"""Maximum number of events and changes of one vision worker that wait for the database. Others are dropped, counted and
logged, but not ends.
"""
MAX_ENDS: Final = 4000
"""Maximum number of ends that wait besides them. More are only possible if ends have no beginnings."""
MAX_CARRIED_BYTES: Final = 16 << 20
"""Maximum size of the states that waiting events carry. Of more, the newest one is written after the events."""
MAX_STATE_BYTES = 256 << 10
SAVE_EVERY_S = 1.0
"""A state that is saved with each frame is written this often, unless an event needs it."""
WRITE_VALUES_EVERY_S = 10.0
LOG_EVERY_NS = 1_000_000_000
RETRY_S = 1.0

Item: TypeAlias = EventInput | EventChange
Write: TypeAlias = Callable[[str, Item], None]
_Key: TypeAlias = tuple[str, str]
"""The slug of a camera and the name of a processor."""


class _Waiting(NamedTuple):
    """An event that waits. `states`: (camera, processor) -> the state as JSON, as it was when the event was created."""

    camera: str
    item: Item
    states: Mapping[_Key, str]


class ProcessorWriter:
    """A sink for `ninjacam.events` and for values, and a `StateStore`. `put`, `save` and `add_values` never wait. Call
    `close` at the end.
    """

    def __init__(
        self,
        write: Write | None = None,
        *,
        retry_s: float = RETRY_S,
        save_every_s: float = SAVE_EVERY_S,
        write_values_every_s: float = WRITE_VALUES_EVERY_S,
    ) -> None:
        self._write = write or _write_event
        self._retry_s = retry_s
        self._save_every_s = save_every_s
        self._write_values_every_s = write_values_every_s
        self._values = ValueCollector()
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(MAX_WAITING + MAX_ENDS)
        self._states: dict[_Key, str] = {}
        """The newest states that are not written yet, as JSON."""
        self._free: set[_Key] = set()
        """Those of them that no waiting event carries."""
        self._count_of: Counter[str] = Counter()
        """The number of waiting events of each camera."""
        self._carried_bytes = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._logged_ns = -LOG_EVERY_NS
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="processor-writer", daemon=True)
        self._thread.start()

    def put(self, camera: str, item: Item) -> None:
        # Leaves room for ends: without its end, an event would last for a day.
        is_end = isinstance(item, EventChange) and item.end_ns is not None
        with self._lock:
            if self._waiting.qsize() < MAX_WAITING or is_end:
                states = self._states_of(camera)
                with contextlib.suppress(queue.Full):
                    self._waiting.put_nowait(_Waiting(camera, item, states))
                    self._count_of[camera] += 1
                    self._free.difference_update(states)
                    self._carried_bytes += _size_of(states)
                    return
        self._drop(camera, item, "the database is too slow")

    def _states_of(self, camera: str) -> dict[_Key, str]:
        """Return the states that the next event of a camera carries. Call it with the lock."""
        states = {key: self._states[key] for key in self._free if key[0] == camera}
        return states if self._carried_bytes + _size_of(states) <= MAX_CARRIED_BYTES else {}

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
            self._free.add((camera, processor))
        if is_first:
            self._wake()

    def add_values(self, camera: str, processor: str, captured_ns: int, values: Mapping[str, float]) -> None:
        """Add the values of one frame, captured at this time of the wall clock."""
        if self._values.add(camera, processor, captured_ns, values):
            self._wake()

    def _wake(self) -> None:
        """Let the thread find that states or values wait."""
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
        wrote_ns = wrote_values_ns = SYSTEM_CLOCK.monotonic_ns()
        while True:
            waiting = self._next()
            if waiting is not None and waiting is not _WAKE:
                while not self._written(partial(self._write_one, waiting)):
                    if self._closing.wait(self._retry_s):
                        return
                self._note_written(waiting)
            now_ns = SYSTEM_CLOCK.monotonic_ns()
            if waiting is None or now_ns - wrote_ns >= self._save_every_s * 1e9:
                wrote_ns = now_ns
                self._written(self._write_free_states)
            if self._values and (
                waiting is None or now_ns - wrote_values_ns >= self._write_values_every_s * 1e9
            ):
                wrote_values_ns = now_ns
                self._written(self._write_values)
            if waiting is None:
                return

    def _next(self) -> _Waiting | None:
        """Return the next event, or _WAKE if there is none for a while and states or values wait."""
        with self._lock:
            has_states = bool(self._states)
        timeout_s = self._save_every_s if has_states else self._write_values_every_s if self._values else None
        try:
            return self._waiting.get(timeout=timeout_s)
        except queue.Empty:
            return _WAKE

    def _write_one(self, waiting: _Waiting) -> None:
        """Write an event with its states, or neither. Raises: OperationalError, InterfaceError: try again."""
        with transaction.atomic():
            self._write_states(waiting.states)
            try:
                with transaction.atomic():
                    self._write(waiting.camera, waiting.item)
            except (OperationalError, InterfaceError):
                raise
            except (NinjacamError, DatabaseError) as exc:
                self._drop(waiting.camera, waiting.item, str(exc))
            except Exception as exc:  # The fields are those of user code. Other events must not be lost.
                logger.exception("%s: an event cannot be written", waiting.camera)
                self._drop(waiting.camera, waiting.item, f"{type(exc).__name__}: {exc}")

    def _note_written(self, waiting: _Waiting) -> None:
        with self._lock:
            self._count_of[waiting.camera] -= 1
            if not self._count_of[waiting.camera]:
                del self._count_of[waiting.camera]
            self._carried_bytes -= _size_of(waiting.states)
        self._forget(waiting.states)

    def _write_free_states(self) -> None:
        """Write the states of cameras that no event of the same camera must precede.

        Raises: OperationalError, InterfaceError: the database is unavailable; what is not written remains.
        """
        with self._lock:
            states = {key: self._states[key] for key in self._free if key[0] not in self._count_of}
        for key, encoded in states.items():
            self._write_states({key: encoded})
            self._forget({key: encoded})

    def _write_states(self, states: Mapping[_Key, str]) -> None:
        """Raises: OperationalError, InterfaceError."""
        for key, encoded in states.items():
            try:
                with transaction.atomic():
                    _write_state(*key, json.loads(encoded))
                    check_foreign_keys()
            except (OperationalError, InterfaceError):
                raise
            except DatabaseError:  # It must not hold up the states of others.
                logger.exception("%s: the state of %s cannot be written", *key)

    def _write_values(self) -> None:
        """Raises: OperationalError, InterfaceError: the database is unavailable; what is not written remains."""
        slots = self._values.take()
        by_processor: dict[_Key, Slots] = {}
        for key, summaries in slots.items():
            by_processor.setdefault((key.camera, key.processor), {})[key] = summaries
        for (camera, processor), some in by_processor.items():
            try:
                with transaction.atomic():
                    _write_slots(camera, processor, some)
                    check_foreign_keys()
            except (OperationalError, InterfaceError):
                self._values.give_back(slots)
                raise
            except DatabaseError:  # It must not hold up the values of others.
                logger.exception("%s: the values of %s cannot be written", camera, processor)
            for key in some:
                del slots[key]

    def _forget(self, states: Mapping[_Key, str]) -> None:
        """Forget states that are written, unless newer ones wait."""
        with self._lock:
            for key, encoded in states.items():
                if self._states.get(key) is encoded:
                    del self._states[key]
                    self._free.discard(key)

    def _written(self, write: Callable[[], None]) -> bool:
        """Return False if the database is unavailable, to try again."""
        close_old_connections()
        try:
            write()
        except (OperationalError, InterfaceError):
            connections.close_all()
            return False
        except DatabaseError:
            # The database refused the transaction as a whole. Later events must not be lost.
            logger.exception("what processors created cannot be written")
            connections.close_all()
        return True

    def _drop(self, camera: str, item: Item, why: str) -> None:
        self.dropped += 1
        now_ns = SYSTEM_CLOCK.monotonic_ns()
        if now_ns - self._logged_ns >= LOG_EVERY_NS:
            self._logged_ns = now_ns
            kind = item.kind if isinstance(item, EventInput) else "a change of one"
            logger.warning("%s: an event (%s) is dropped (%d so far): %s", camera, kind, self.dropped, why)


_WAKE = _Waiting("", EventChange(""), {})


def _size_of(states: Mapping[_Key, str]) -> int:
    return sum(len(encoded) for encoded in states.values())


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
    actor.name = PROCESSOR
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


def _write_slots(camera: str, processor: str, slots: Slots) -> None:
    """Raises: DatabaseError."""
    row = Camera.objects.filter(slug=camera).first()
    if row is None:
        return
    names = {name for summaries in slots.values() for name in summaries}
    series = ValueSeries.objects.of_names(row, processor, names)
    ValueSlot.objects.put(series, {key.start_s: summaries for key, summaries in slots.items()})

"""Creating events from your own code: processors, views, management commands, tasks.

    from ninjacam import events

    events.create("gate", "visitor", label="Ada", duration_s=20, data={"badge": 17})

    visit = events.begin("gate", "visitor")
    visit.end(label="Ada")

Not here: events of the API and the engine (`ninjacam.actions.events`, `ninjacam.engine.events`).
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.sightings import Sighting

__all__ = ["OngoingEvent", "Sighting", "begin", "create", "resume"]

if TYPE_CHECKING:
    from ninjacam.actions.events import EventChange, EventInput
    from ninjacam.models import Event

_KIND = re.compile(r"[a-z0-9_]{1,32}\Z")
_LABEL = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{0,200}\Z")

_KEY = re.compile(r"[!-~]{1,100}\Z")

Sink: TypeAlias = Callable[[str, "EventInput | EventChange"], None]
_sink: Sink | None = None


def create(
    camera: str,
    kind: str,
    *,
    label: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    duration_s: float | None = None,
    ongoing: bool = False,
    data: dict[str, Any] | None = None,
    record: bool = True,
    protected: bool = False,
    sighting: Sighting | None = None,
) -> "Event | None":
    """Create an event of a camera. Does not check permissions, because your code may do everything.

    `camera`: its slug (`frame.camera`). `kind`: a word of your choice, a-z, 0-9 and _, at most 32 characters.
    `label`: a line of text. `start`: aware; None: now. Specify only one of `end`, `duration_s` and `ongoing`;
    without them, the event is a moment. `data`: at most 4,096 bytes of JSON. `record`: the camera records the event,
    if it records events. `protected`: retention keeps the event and its recordings. `sighting`: when and where its
    object is seen best.

    In a processor, this returns None at once: another thread writes the event shortly afterwards, so a slow database
    does not delay frames. At most `EVENTS_PER_MINUTE` events of a camera are written, and 200 events and updates wait;
    others are dropped and logged, but not ends. An export that runs the processor over recordings creates no events.
    Elsewhere, it writes the event in the caller's thread and transaction, and returns it.

    Raises: InvalidError: a value is invalid. Outside of processors also NotFoundError: no such camera, and
    LimitError: it has too many ongoing events.
    """
    from ninjacam.actions.events import EventInput

    _check(kind, label, data)
    event_input = EventInput(
        kind=kind,
        label=label,
        start_ns=SYSTEM_CLOCK.wall_ns() if start is None else _to_ns("start", start),
        end_ns=None if end is None else _to_ns("end", end),
        duration_ns=None if duration_s is None else int(duration_s * 1e9),
        ongoing=ongoing,
        data=data or {},
        triggers_recording=record,
        protected=protected,
        sighting=sighting,
    )
    if _sink is None:
        return _write(camera, event_input, "code")
    _sink(camera, event_input)
    return None


@dataclass(frozen=True, slots=True)
class OngoingEvent:
    """An event that has begun. `key`: save it if your code continues the event after a restart (`resume`)."""

    camera: str
    key: str

    def update(
        self,
        *,
        label: str | None = None,
        data: dict[str, Any] | None = None,
        sighting: Sighting | None = None,
    ) -> None:
        """Change what is not None. `data`: is added to that of the event. Raises: InvalidError."""
        self._send(None, label, data, sighting)

    def end(
        self,
        at: datetime | None = None,
        *,
        label: str | None = None,
        data: dict[str, Any] | None = None,
        sighting: Sighting | None = None,
    ) -> None:
        """End the event. `at`: aware; None: now. The others: as in `update`. Raises: InvalidError."""
        end_ns = SYSTEM_CLOCK.wall_ns() if at is None else _to_ns("at", at)
        self._send(end_ns, label, data, sighting)

    def _send(
        self,
        end_ns: int | None,
        label: str | None,
        data: dict[str, Any] | None,
        sighting: Sighting | None,
    ) -> None:
        from ninjacam.actions.events import EventChange, change_event

        _check("event", label or "", data)
        change = EventChange(self.key, label, end_ns, data, sighting)
        if _sink is None:
            change_event(self.camera, change)
        else:
            _sink(self.camera, change)


def begin(
    camera: str,
    kind: str,
    *,
    label: str = "",
    start: datetime | None = None,
    data: dict[str, Any] | None = None,
    record: bool = True,
    protected: bool = False,
    sighting: Sighting | None = None,
    key: str = "",
) -> OngoingEvent:
    """Create an event that lasts until its `end` is called; the camera records it for at most a day.

    `key`: up to 100 characters of ASCII without spaces; an event with this key is not created twice. "": a new one.
    Other parameters, what happens in a processor, and exceptions: as for `create`.
    """
    from ninjacam.actions.events import EventInput

    _check(kind, label, data)
    key = key or uuid4().hex
    resume(camera, key)
    event_input = EventInput(
        kind=kind,
        label=label,
        start_ns=SYSTEM_CLOCK.wall_ns() if start is None else _to_ns("start", start),
        ongoing=True,
        data=data or {},
        triggers_recording=record,
        protected=protected,
        sighting=sighting,
        key=key,
    )
    if _sink is None:
        _write(camera, event_input, "code")
    else:
        _sink(camera, event_input)
    return OngoingEvent(camera, key)


def resume(camera: str, key: str) -> OngoingEvent:
    """Return the event with this key, to continue it after a restart. Raises: InvalidError: it cannot be a key."""
    from ninjacam.core.errors import InvalidError

    if not _KEY.match(key):
        raise InvalidError.of("key", "Invalid key. Use 1 to 100 characters of ASCII without spaces.")
    return OngoingEvent(camera, key)


def _check(kind: str, label: str, data: dict[str, Any] | None) -> None:
    """Raises: InvalidError."""
    from ninjacam.core.errors import InvalidError

    if not _KIND.match(kind):
        raise InvalidError.of(
            "kind", f"Invalid kind {kind[:40]!r}. Use 1 to 32 characters of a-z, 0-9 and _."
        )
    if not _LABEL.match(label):
        raise InvalidError.of(
            "label",
            "Invalid label. Use one line of at most 200 characters, without control characters.",
        )
    try:
        json.dumps(data)
    except (TypeError, ValueError) as exc:
        raise InvalidError.of(
            "data", f"The data cannot be converted to JSON: {exc}. Convert NumPy arrays and numbers first."
        ) from exc


def send_to(sink: Sink | None) -> None:
    """Send events of `create` in this process to `sink` instead of the database. For entry points."""
    global _sink
    _sink = sink


@contextmanager
def sent_to(sink: Sink) -> Iterator[None]:
    """Send events to `sink` instead of the database, for the duration of a `with` block."""
    send_to(sink)
    try:
        yield
    finally:
        send_to(None)


def discard(camera: str, item: "EventInput | EventChange") -> None:
    """A sink that drops all events."""


def _write(camera: str, event_input: "EventInput", source: str) -> "Event":
    """Raises: NinjacamError, DatabaseError."""
    from ninjacam.actions.events import create_event
    from ninjacam.auth import LocalOperator

    actor = LocalOperator()
    actor.name = source
    return create_event(actor, camera, event_input)


def _to_ns(name: str, time: datetime) -> int:
    from ninjacam.core.errors import InvalidError

    if time.tzinfo is None:
        raise InvalidError.of(
            name, f"The {name} has no time zone. Use frame.captured_at or django.utils.timezone.now()."
        )
    return int(time.timestamp() * 1e6) * 1000

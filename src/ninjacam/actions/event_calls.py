"""Calls processors with `when="events"` for events, in the jobs process, and has the snapshots mapped to vectors for
the search by words. Both run in a child of it.

A row of `EventCall` waits for each event and processor, so neither a restart nor a crash loses a call. The result and
the end of the row are written in one transaction, so a result is stored once.
"""

import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from django.db import transaction
from django.db.models import Exists, F, Min, OuterRef

from ninjacam.actions.event_call_process import CallProcess, CallProcessEndedError, CallStoppedError, Json
from ninjacam.actions.events import store_result
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import NinjacamError, ProcessorError
from ninjacam.core.ready_made import is_ready_made
from ninjacam.core.times import to_datetime
from ninjacam.inference.search_models import SearchModel, find_search_model
from ninjacam.models import CallState, Camera, Event, EventCall, EventEmbedding, Snapshot
from ninjacam.models.event_call import EMBEDDING, LEASE_NS, MAX_WAITING, UNKNOWN
from ninjacam.models.profile import find_active
from ninjacam.models.snapshot import snapshot_path
from ninjacam.queries.status import Status, read_status

logger = logging.getLogger("ninjacam.events")

MAX_PER_EVENT = 8
"""Maximum number of processors that are called for one event, so that the event's data stays small."""
RENEW_NS = 10 * 10**9
MAX_ATTEMPTS = 3
PAUSE_NS = 30 * 10**9
"""Nanoseconds until a call is repeated after its first failure. They double each time."""
MAX_PAUSE_NS = 600 * 10**9
RESTART_NS = 3 * 10**9
"""Nanoseconds until the processors are looked for again, if no vision worker runs at present."""
LOOK_AGAIN_NS = 60 * 10**9
"""The same if a module does not load."""
GIVE_UP_NS = 3600 * 10**9
"""Nanoseconds after the capture of a snapshot, after which processors that are still not loaded are not called."""
MAX_PAIRS = 1000
BACKLOG = 20
"""Number of earlier events whose vectors are requested at once, after another model was installed."""
BACKLOG_EVERY_NS = 10 * 10**9
BACKLOG_AGAIN_NS = 600 * 10**9
"""Nanoseconds until earlier events are looked through again."""

Pair = tuple[str, str]
"""The slug of a camera and the name of a processor."""


def request_event_calls(event: Event, now_ns: int) -> None:
    """Have the processors of its camera called for an event. Call it in the transaction that stores its snapshot."""
    status = read_status()
    names = [name for name in _names(event, status) if _has_room(event, name, now_ns)]
    if not status.is_code_complete:
        names.append(UNKNOWN)
    model = find_search_model(get_settings().models_dir)
    if model is not None and _has_room(event, _embedding_name(model), now_ns):
        names.append(_embedding_name(model))
    EventCall.objects.request(event.pk, event.slug, names, now_ns)


def _described(name: str) -> str:
    """Return the start of a sentence about what is called."""
    return "The model for the search by words" if name.startswith(EMBEDDING) else f"The processor {name!r}"


def _embedding_name(model: SearchModel) -> str:
    return EMBEDDING + model.spec.version


def _names(event: Event, status: Status) -> list[str]:
    camera = _find_camera(event.slug, SYSTEM_CLOCK.wall_ns())
    if camera is None:
        return []
    found = [
        str(each["name"])
        for each in status.processors_of(event.slug)
        if each.get("when") == "events"
        and each["name"] not in camera.processors_off
        and (not each.get("kinds") or event.kind in each["kinds"])
        and (not each.get("labels") or event.label in each["labels"])
    ]
    return found[:MAX_PER_EVENT]


def _find_camera(slug: str, now_ns: int) -> Camera | None:
    """Return the camera as the active profile changes it."""
    camera = Camera.objects.filter(slug=slug, enabled=True).first()
    profile = None if camera is None else find_active(to_datetime(now_ns)).profile
    return camera if camera is None or profile is None else profile.apply_to(camera)


def _has_room(event: Event, name: str, now_ns: int) -> bool:
    """Return whether another call may wait. If not, the row is written as failed, so that users see it."""
    waiting = EventCall.objects.of(event.slug, name).filter(state=CallState.WAITING)
    if waiting.exclude(event_id=event.pk)[:MAX_WAITING].count() < MAX_WAITING:
        return True
    advice = (
        "Use a smaller one."
        if name.startswith(EMBEDDING)
        else ("Reduce its events with `kinds` or `labels`, or make it faster.")
    )
    error = ProcessorError(f"{_described(name)} is too slow: {MAX_WAITING} events wait for it. {advice}")
    values = {"slug": event.slug, "state": CallState.FAILED, "due_ns": None, "error": error.as_dict()}
    EventCall.objects.update_or_create(
        event_id=event.pk, processor=name, defaults={**values, "ended_ns": now_ns}
    )
    return False


class _Process(Protocol):
    def call(self, question: Json, on_wait: Callable[[], None]) -> Json: ...
    def close(self) -> None: ...


class EventCaller:
    """Thread: one at a time. All methods but `close` query the database. Raises: DatabaseError.

    `start()`: starts the process of the processors. `must_stop()`: whether to end a call that is being made.
    """

    def __init__(
        self,
        *,
        start: Callable[[], _Process] = CallProcess,
        must_stop: Callable[[], bool] = lambda: False,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._start = start
        self._must_stop = must_stop
        self._clock = clock
        self._process: _Process | None = None
        self._lease_ns = 0
        self._turns: dict[Pair, int] = {}
        """When a processor was called last, as a count of calls."""
        self._turn = 0
        self._crashes: dict[Pair, int] = {}
        """The number of times in a row that a processor has ended its process."""
        self._backlog = _Backlog()

    def tick(self) -> bool:
        """Make one call. Return whether one was due."""
        now_ns = self._clock.wall_ns()
        call = self._choose(now_ns)
        if call is None:
            self._backlog.request_some(now_ns)
            return False
        self._lease_ns = now_ns + LEASE_NS
        held = EventCall.objects.filter(pk=call.pk, due_ns=call.due_ns)
        if held.update(
            due_ns=self._lease_ns, attempts=F("attempts") + 1
        ):  # Else another host has claimed it.
            call.attempts += 1
            self._make(call)
        return True

    def close(self) -> None:
        """End the process of the processors. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def _choose(self, now_ns: int) -> EventCall | None:
        """Return the oldest call of the processor and camera that have waited longest for their turn, so that a slow
        processor with many events does not keep others waiting.
        """
        due = EventCall.objects.due(now_ns)
        waiting = due.order_by().values_list("slug", "processor").annotate(first_ns=Min("due_ns"))
        first = min(waiting, key=lambda row: (self._turns.get(row[:2], 0), row[2]), default=None)
        if first is None:
            return None
        pair = first[0], first[1]
        self._turn += 1
        self._turns.pop(pair, None)
        self._turns[pair] = self._turn
        while len(self._turns) > MAX_PAIRS:
            del self._turns[next(iter(self._turns))]
        return due.filter(slug=pair[0], processor=pair[1]).first()

    def _held(self, call: EventCall) -> Any:
        """Return the row, unless a better snapshot has requested the call again meanwhile."""
        return EventCall.objects.filter(pk=call.pk, due_ns=self._lease_ns)

    def _make(self, call: EventCall) -> None:
        event = Event.objects.filter(pk=call.event_id).first()
        status = read_status()
        if event is None or event.snapshot_ns is None:
            self._held(call).delete()
        elif call.processor.startswith(EMBEDDING):
            self._make_embedding(call, event)
        elif call.processor == UNKNOWN:
            self._find_processors(call, event, status)
        elif call.processor not in _names(event, status):
            if status.is_code_complete:
                self._held(call).delete()  # It was removed, or is switched off.
            else:
                self._look_again(call, event, status)
        elif call.attempts > MAX_ATTEMPTS:  # The jobs process has died during each of them.
            self._fail(
                call, ProcessorError(f"The processor {call.processor!r} has ended its process too often.")
            )
        else:
            question = _question(call, event, status, self._clock.wall_ns())
            self._call(call, question, self._store)

    def _make_embedding(self, call: EventCall, event: Event) -> None:
        model = find_search_model(get_settings().models_dir)
        if model is None or call.processor != _embedding_name(model):
            self._held(call).delete()  # It was removed or replaced. The new one is requested again.
        elif call.attempts > MAX_ATTEMPTS:
            self._fail(call, ProcessorError(f"{_described(call.processor)} has ended its process too often."))
        else:
            self._backlog.note(model.spec.version)
            taken = Snapshot.objects.filter(pk=event.pk).first()
            question = {
                "search_model": model.as_dict(),
                "snapshot": str(snapshot_path(event.pk)),
                "box": None if taken is None else taken.box,
                "camera": event.slug,
            }
            self._call(call, question, self._store_embedding)

    def _find_processors(self, call: EventCall, event: Event, status: Status) -> None:
        """Request the calls that could not be requested when the snapshot was stored."""
        now_ns = self._clock.wall_ns()
        with transaction.atomic():
            known = set(EventCall.objects.filter(event_id=event.pk).values_list("processor", flat=True))
            names = [each for each in _names(event, status) if each not in known]
            EventCall.objects.request(
                event.pk, event.slug, [name for name in names if _has_room(event, name, now_ns)], now_ns
            )
            if status.is_code_complete:
                self._held(call).delete()
            else:
                self._look_again(call, event, status)

    def _look_again(self, call: EventCall, event: Event, status: Status) -> None:
        now_ns = self._clock.wall_ns()
        if event.snapshot_ns is None or now_ns > event.snapshot_ns + GIVE_UP_NS:
            self._held(call).delete()
        else:
            pause_ns = LOOK_AGAIN_NS if status.is_code_known else RESTART_NS
            self._held(call).update(due_ns=now_ns + pause_ns, attempts=0)

    def _call(self, call: EventCall, question: Json, store: Callable[[EventCall, Any], None]) -> None:
        pair = call.slug, call.processor
        try:
            answer = self._ask(question, call)
        except CallStoppedError:
            self.close()
            self._held(call).update(due_ns=self._clock.wall_ns(), attempts=F("attempts") - 1)
        except CallProcessEndedError as ended:
            self.close()
            self._note_crash(call, pair, ended)
        else:
            self._crashes.pop(pair, None)
            if isinstance(answer.get("error"), dict):
                error = answer["error"]
                logger.warning("%s: %s\n%s", call.slug, error.get("message"), error.get("traceback", ""))
                self._retry(call, answer["error"], _pause_ns(call.attempts))
            else:
                store(call, answer.get("result"))

    def _ask(self, question: Json, call: EventCall) -> Json:
        """Raises: CallProcessEndedError, CallStoppedError; DatabaseError."""
        renewed_ns = self._clock.monotonic_ns()

        def wait() -> None:
            nonlocal renewed_ns
            if self._must_stop():
                raise CallStoppedError
            now_ns = self._clock.monotonic_ns()
            if now_ns - renewed_ns >= RENEW_NS:
                renewed_ns = now_ns
                lease_ns = self._clock.wall_ns() + LEASE_NS
                if self._held(call).update(due_ns=lease_ns):
                    self._lease_ns = lease_ns

        if self._process is None:
            self._process = self._start()
        try:
            return self._process.call(question, wait)
        except (CallProcessEndedError, CallStoppedError):
            raise
        except BaseException:
            self.close()  # Its answer would be read as that of the next call.
            raise

    def _note_crash(self, call: EventCall, pair: Pair, ended: CallProcessEndedError) -> None:
        """Repeat the call later. Other events of this processor and camera wait, too. The first time that the process
        was killed, it may have been by an operator.
        """
        count = self._crashes[pair] = self._crashes.pop(pair, 0) + 1
        while len(self._crashes) > MAX_PAIRS:
            del self._crashes[next(iter(self._crashes))]
        pause_ns = 0 if ended.was_killed and count == 1 else _pause_ns(count)
        error = ProcessorError(f"{_described(call.processor)} {ended}.", traceback=ended.traceback)
        logger.warning("%s: %s", call.slug, error)
        if pause_ns:
            now_ns = self._clock.wall_ns()
            # Only those that are due: later times are pauses, or leases of other hosts.
            due = EventCall.objects.of(*pair).filter(due_ns__lte=now_ns).exclude(pk=call.pk)
            due.update(due_ns=now_ns + pause_ns)
        self._retry(call, error.as_dict(), pause_ns)

    def _retry(self, call: EventCall, error: Mapping[str, Any], pause_ns: int) -> None:
        now_ns = self._clock.wall_ns()
        if call.attempts >= MAX_ATTEMPTS:
            self._fail(call, error)
        else:
            self._held(call).update(due_ns=now_ns + pause_ns, error=error, ended_ns=now_ns)

    def _fail(self, call: EventCall, error: Mapping[str, Any] | NinjacamError) -> None:
        values = error.as_dict() if isinstance(error, NinjacamError) else error
        now_ns = self._clock.wall_ns()
        self._held(call).update(state=CallState.FAILED, due_ns=None, error=values, ended_ns=now_ns)

    def _store(self, call: EventCall, result: Any) -> None:
        data = result if isinstance(result, dict) else None
        with transaction.atomic():
            # Before the call, as a transaction that stores a better snapshot: otherwise the two could deadlock.
            event = Event.objects.select_for_update().filter(pk=call.event_id).first()
            is_held = self._held(call).update(
                state=CallState.DONE,
                due_ns=None,
                error=None,
                ended_ns=self._clock.wall_ns(),
                has_result=data is not None,
            )
            if is_held and event is not None:
                store_result(event, call.processor, data, replaces=call.has_result)

    def _store_embedding(self, call: EventCall, result: Any) -> None:
        """Store the vector, and delete the row: without a failure, it has nothing more to say."""
        try:
            vector = base64.b64decode(result if isinstance(result, str) else "", validate=True)
        except binascii.Error:
            vector = b""
        with transaction.atomic():
            event = Event.objects.select_for_update().filter(pk=call.event_id).first()
            if self._held(call).delete()[0] and event is not None and vector:
                version = call.processor.removeprefix(EMBEDDING)
                EventEmbedding.objects.update_or_create(
                    event=event, defaults={"model": version, "vector": vector}
                )


class _Backlog:
    """Requests the vectors of events that had their snapshots before the present model was installed, the newest event
    first, at a bounded rate."""

    def __init__(self) -> None:
        self._version = ""
        self._below: int | None = None
        """Id of the event that was requested last; None: start with the newest."""
        self._next_ns = 0

    def note(self, version: str) -> None:
        """Start again with the newest event if the model is another one."""
        if version != self._version:
            self._version, self._below, self._next_ns = version, None, 0

    def request_some(self, now_ns: int) -> None:
        if now_ns < self._next_ns <= now_ns + BACKLOG_AGAIN_NS:
            return
        model = find_search_model(get_settings().models_dir)
        self._next_ns = now_ns + BACKLOG_EVERY_NS
        if model is None:
            return
        self.note(model.spec.version)
        self._next_ns = now_ns + BACKLOG_EVERY_NS
        events = _request_earlier(model, self._below, now_ns)
        self._below = events[-1].pk if events else None
        if not events:
            self._next_ns = now_ns + BACKLOG_AGAIN_NS


def request_earlier_vectors(model: SearchModel) -> None:
    """Have the vectors of the newest earlier events made now, after the model was installed. The others follow."""
    _request_earlier(model, None, SYSTEM_CLOCK.wall_ns())


def _request_earlier(model: SearchModel, below: int | None, now_ns: int) -> list[Event]:
    """Request the vectors of the newest events without one, with ids less than `below`. Return these events."""
    name, version = _embedding_name(model), model.spec.version
    embedded = EventEmbedding.objects.filter(event=OuterRef("pk"), model=version)
    called = EventCall.objects.filter(event_id=OuterRef("pk"), processor=name)
    found = Event.objects.exclude(snapshot_ns=None).filter(~Exists(embedded), ~Exists(called))
    if below is not None:
        found = found.filter(pk__lt=below)
    events = list(found.order_by("-pk")[:BACKLOG])
    with transaction.atomic():
        for event in events:
            EventCall.objects.request(event.pk, event.slug, [name], now_ns)
    return events


def _pause_ns(count: int) -> int:
    return int(min(MAX_PAUSE_NS, PAUSE_NS * 2 ** (count - 1)))


def _question(call: EventCall, event: Event, status: Status, now_ns: int) -> Json:
    """Return what the process needs for a call (`ninjacam.vision.event_calls`)."""
    camera = _find_camera(event.slug, now_ns)
    taken = Snapshot.objects.filter(pk=event.pk).first()
    entries = {str(each["name"]): each for each in status.processors_of(event.slug)}
    options = (camera.processor_options or {}) if camera is not None else {}
    ready_made = {
        name: entry["cameras"] for name, entry in entries.items() if is_ready_made(str(entry.get("module")))
    }
    return {
        "processor": call.processor,
        "options": options.get(call.processor, {}),
        "ready_made": {name: slugs for name, slugs in ready_made.items() if name == call.processor},
        "snapshot": str(snapshot_path(event.pk)),
        "captured_ns": event.snapshot_ns,
        "event": {
            "id": event.pk,
            "camera": event.slug,
            "kind": event.kind,
            "label": event.label,
            "start_ns": event.start_ns,
            "end_ns": event.end_ns,
            "score": event.score,
            "track": event.track,
            "box": None if taken is None else taken.box,
            "zones": event.zone_names,
            "colors": event.colors,
            "data": event.data,
        },
    }

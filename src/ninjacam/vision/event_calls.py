"""Calls processors with `when="events"`. Not here: the process around it (`ninjacam.processes.event_worker`)."""

import base64
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from ninjacam.core.errors import DecodeError, NinjacamError, ProcessorError
from ninjacam.core.event_calls import EventRecord, EventSnapshot
from ninjacam.core.processors import Processor, Registration
from ninjacam.core.times import to_datetime
from ninjacam.inference.search_models import SearchModel
from ninjacam.supervision.crash_record import RunningFile, running_words
from ninjacam.vision.calling import call_event_processor, close_processor, new_processor
from ninjacam.vision.code import ProcessorCode

if TYPE_CHECKING:
    from ninjacam.inference.search_networks import ImageEncoder

logger = logging.getLogger("ninjacam.vision")

MAX_INSTANCES = 32
"""Maximum number of instances that are kept. The one that was called the longest time ago is closed."""
Json = dict[str, Any]
_Key = tuple[str, str]


@dataclass(slots=True)
class _Kept:
    """An instance. `entry`, `values`: from which it was made."""

    entry: Registration
    values: Mapping[str, Any]
    made: Processor


class EventCalls:
    """Thread: one. `on_phase(name)`: called before "setup" and "call" of user code."""

    def __init__(self, code: ProcessorCode, running: RunningFile, on_phase: Callable[[str], None]) -> None:
        self._code = code
        self._running = running
        self._slot = running.take_slot()
        self._on_phase = on_phase
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._ready_made: dict[str, set[str]] = {}
        self._is_loaded = False
        self._encoder: tuple[SearchModel, ImageEncoder] | None = None

    def answer(self, question: Json) -> Json:
        """Return {"result": what to store, or None} or {"error": `NinjacamError.as_dict`}.

        `question`: {"processor", "options", "ready_made": {name: slugs}, "snapshot": path, "captured_ns", "event"}. Or
        {"search_model": `SearchModel.as_dict`, "snapshot": path, "box", "camera"}: the result is then the vector of the
        image, float16, in base64.
        """
        try:
            if "search_model" in question:
                return {"result": self._embed(question)}
            return {"result": self._call(question)}
        except NinjacamError as error:
            return {"error": error.as_dict()}

    def close(self) -> None:
        while self._kept:
            self._close(next(iter(self._kept)))

    def _call(self, question: Json) -> Json | None:
        """Raises: ProcessorError, DecodeError."""
        self._load(question["ready_made"])
        name, record = question["processor"], _to_record(question["event"])
        entry = self._code.current.get(name)
        if isinstance(entry, ProcessorError):
            raise entry
        if entry is None or entry.has_view:
            raise ProcessorError(f"No processor of events is named {name!r} any more.")
        snapshot = EventSnapshot(
            _read_image(Path(question["snapshot"])), captured_ns=question["captured_ns"], box=record.box
        )
        made = self._get(entry, record.camera, question["options"])
        self._enter("call", record.camera, name)
        try:
            return call_event_processor(made, name, record, snapshot)
        finally:
            self._running.leave(self._slot)

    def _embed(self, question: Json) -> str:
        """Raises: ModelError, DecodeError."""
        from ninjacam.inference.search_networks import ImageEncoder

        model = SearchModel.from_dict(question["search_model"])
        image = _read_image(Path(question["snapshot"]))
        if self._encoder is None or self._encoder[0] != model:
            self._encoder = None  # Two do not need to fit into the memory.
            self._enter("setup", question["camera"], model.name)
            try:
                self._encoder = model, ImageEncoder(model)
            finally:
                self._running.leave(self._slot)
        self._enter("call", question["camera"], model.name)
        try:
            vector = self._encoder[1].embed(image, question["box"])
        finally:
            self._running.leave(self._slot)
        return base64.b64encode(vector.astype("<f2").tobytes()).decode()

    def _load(self, ready_made: Mapping[str, list[str]]) -> None:
        for name, slugs in ready_made.items():
            self._ready_made.setdefault(name, set()).update(slugs)
        is_new = self._code.set_ready_made({name: sorted(slugs) for name, slugs in self._ready_made.items()})
        if is_new or not self._is_loaded or self._code.changed():
            self._is_loaded = True
            self._code.refresh()

    def _get(self, entry: Registration, camera: str, values: Mapping[str, Any]) -> Processor:
        """Return the instance for this camera. Raises: ProcessorError."""
        key = camera, entry.name
        kept = self._kept.get(key)
        if kept is not None and kept.entry is entry and kept.values == values:
            self._kept.move_to_end(key)
            return kept.made
        self._close(key)
        self._enter("setup", *key)
        try:
            made = new_processor(entry, camera, values).processor
        finally:
            self._running.leave(self._slot)
        self._kept[key] = _Kept(entry, values, made)
        while len(self._kept) > MAX_INSTANCES:
            self._close(next(iter(self._kept)))
        return made

    def _close(self, key: _Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._enter("call", *key)
        try:
            close_processor(kept.made, key[1])
        except ProcessorError as exc:
            logger.warning("%s: close() failed: %s\n%s", key[0], exc, exc.traceback)
        finally:
            self._running.leave(self._slot)

    def _enter(self, phase: str, camera: str, name: str) -> None:
        self._on_phase(phase)
        self._running.enter(self._slot, running_words(camera, name))


def _to_record(fields: Mapping[str, Any]) -> EventRecord:
    end_ns, box = fields["end_ns"], fields["box"]
    others = {name: fields[name] for name in ("id", "camera", "kind", "label", "score", "track", "data")}
    return EventRecord(
        **others,
        start=to_datetime(fields["start_ns"]),
        end=None if end_ns is None else to_datetime(end_ns),
        box=None if box is None else (box[0], box[1], box[2], box[3]),
        zones=tuple(fields["zones"]),
        colors=tuple(fields["colors"]),
    )


def _read_image(path: Path) -> Any:
    """Raises: DecodeError."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error) as exc:
        raise DecodeError("The snapshot of the event cannot be read.") from exc
    if image is None:
        raise DecodeError("The snapshot of the event cannot be decoded.")
    return image

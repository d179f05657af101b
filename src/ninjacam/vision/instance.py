"""The processor instance that makes one view of one camera: created, called and closed in the view's thread."""

import logging
import threading
from collections.abc import Mapping
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProcessorError
from ninjacam.core.frames import Frame
from ninjacam.core.processors import FairLock, Processor, Registration
from ninjacam.supervision.crash_record import RunningFile, running_words
from ninjacam.vision.calling import Returned, call_processor, close_processor, new_processor

logger = logging.getLogger("ninjacam.vision")

CALL_LIMIT_S = 2.0
SETUP_LIMIT_S = 30.0
"""Seconds for setup: loading a large model from a slow disk takes many seconds."""
_NO_VALUES: Mapping[str, Any] = {}


class Instance:
    """Thread: the view's, except for `overdue_s` and `abandon`, which the event loop calls.

    While user code runs, its name is in the crash record, so that it survives if the process dies.
    """

    def __init__(self, camera: str, view: str, running: RunningFile, clock: Clock) -> None:
        self._camera = camera
        self._view = view
        self._running = running
        self._words = running_words(camera, view)
        self._slot: int | None = None
        self._clock = clock
        self._entry: Registration | None = None
        self._made: Processor | None = None
        self._values: Mapping[str, Any] = {}
        self.option_problems: dict[str, str] = {}
        """Name of an option -> why its value is not used."""
        self._entered_ns = 0  # Monotonic, while user code runs; else 0.
        self._limit_s = CALL_LIMIT_S
        self._turn: tuple[FairLock, threading.Lock] | None = None
        self._abandoned = False

    def take_turn(self, entry: object) -> None:
        """Wait until this camera may call `entry`. Choose the frame afterwards, so that it is recent."""
        turns = entry.turns if isinstance(entry, Registration) else None
        held = self._turn
        if held is None or held[0] is not turns:
            self.give_back_turn()
            self._turn = None if turns is None else (turns, turns.take())

    def give_back_turn(self) -> None:
        """Idempotent."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn[0].give_back(turn[1])

    def call(
        self, entry: Registration, frame: Frame, *, with_image: bool, values: Mapping[str, Any] = _NO_VALUES
    ) -> Returned:
        """`values`: of its options. Raises: ProcessorError, ProcessorStalled, DecodeError."""
        try:
            self.take_turn(entry)  # It exists, unless its module was reloaded meanwhile.
            if entry is not self._entry or values != self._values:
                self.close()
                self._enter(SETUP_LIMIT_S)
                self._made, self.option_problems = new_processor(entry, self._camera, values)
                self._entry, self._values = entry, values
            assert self._made is not None
            self._enter(CALL_LIMIT_S)
            return call_processor(self._made, self._view, frame, with_image=with_image)
        finally:
            self._leave()
            self.give_back_turn()

    def close(self) -> None:
        """Close the current instance, if there is one. An exception of the user's `close` is logged."""
        made, self._made, self._entry = self._made, None, None
        if made is None:
            return
        self._enter(CALL_LIMIT_S)
        try:
            close_processor(made, self._view)
        except ProcessorError as exc:
            logger.warning("%s: close() failed: %s\n%s", self._camera, exc, exc.traceback)
        finally:
            self._leave()

    def end(self) -> None:
        """The thread ends."""
        if not self._abandoned:
            self.close()
        if self._slot is not None:
            self._running.give_back(self._slot)

    def overdue_s(self) -> float:
        """Return the limit in seconds that user code has exceeded, or 0."""
        since_ns, limit_s = self._entered_ns, self._limit_s
        overdue = since_ns and (self._clock.monotonic_ns() - since_ns) / 1e9 >= limit_s
        return limit_s if overdue else 0.0

    def abandon(self) -> None:
        """The thread does not return from user code: let other cameras take their turns."""
        self._abandoned = True
        self.give_back_turn()

    def _enter(self, limit_s: float) -> None:
        if self._slot is None:
            self._slot = self._running.take_slot()
        self._limit_s = limit_s
        self._entered_ns = self._clock.monotonic_ns()
        self._running.enter(self._slot, self._words)

    def _leave(self) -> None:
        self._entered_ns = 0
        if self._slot is not None:
            self._running.leave(self._slot)

"""The events of one camera: keeps a subscription, and reports active events.

Not here: Ninjacam's events (`engine.events`).
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import CommandError, CommandRejectedError, NinjacamError
from ninjacam.core.lifecycle import Backoff, Stop, supervise
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.events import DeviceEvent, pull_events

logger = logging.getLogger("ninjacam.devices")

MIN_ACTIVE_S = 2.0
"""Minimum seconds for which an instant, or a shorter state, is reported: the engine checks once a second."""
MAX_ACTIVE_S = 12 * 3600.0
"""Seconds after which a state that is never reported as ended is discarded."""
MAX_STATES = 64
BACKOFF = Backoff(first_s=1.0, max_s=30.0)


@dataclass(slots=True)
class _State:
    """An active event. `since_ns`: wall clock. `began_ns`, `until_ns`: monotonic; None: it has not ended."""

    since_ns: int
    began_ns: int
    until_ns: int | None = None


class DeviceEvents:
    """The events of one camera. `connect` opens the device; `on_change` is called when an event begins or ends.
    Thread: the event loop."""

    def __init__(
        self,
        name: str,
        connect: Callable[[], Awaitable[OnvifClient]],
        on_change: Callable[[], None],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._name = name
        self._connect = connect
        self._on_change = on_change
        self._clock = clock
        self._stop = Stop()
        self._states: dict[tuple[str, str], _State] = {}
        self._trouble = ""

    async def run(self) -> None:
        """Subscribe, and again after each error, until `stop`, a rejected login, or a camera without events."""
        await supervise(
            self._pull,
            stop=self._stop,
            backoff=BACKOFF,
            clock=self._clock,
            on_error=self._on_error,
            name=self._name,
        )

    def stop(self) -> None:
        self._stop.set()

    async def _pull(self) -> None:
        try:
            await pull_events(await self._connect(), self.take, self._subscribed, clock=self._clock)
        except CommandRejectedError as error:
            # The camera has discarded the subscription, or has too many: another one may succeed.
            raise CommandError(error.message) from error

    def _subscribed(self) -> None:
        logger.info("%s: subscribed to the camera's events", self._name)
        self._trouble = ""

    def _on_error(self, error: NinjacamError, delay_s: float | None) -> None:
        """End all events: without a subscription, none is known to be active."""
        level = logging.DEBUG if str(error) == self._trouble else logging.INFO
        logger.log(level, "%s: no events from the camera: %s", self._name, error)
        self._trouble = str(error)
        for state in self._states.values():
            self._end(state)
        self._on_change()

    def take(self, event: DeviceEvent) -> None:
        """Process a change that the camera has reported."""
        key, now_ns = (event.kind, event.source), self._clock.monotonic_ns()
        state = self._states.get(key)
        if event.is_active is False:
            if state is not None:
                self._end(state)
        elif state is None:
            if len(self._states) >= MAX_STATES:
                del self._states[next(iter(self._states))]
            state = self._states[key] = _State(event.at_ns, now_ns)
        else:
            state.until_ns = None
        if event.is_active is None and state is not None:
            state.until_ns = now_ns + round(MIN_ACTIVE_S * 1e9)
        self._on_change()

    def _end(self, state: _State) -> None:
        if state.until_ns is None:
            state.until_ns = max(self._clock.monotonic_ns(), state.began_ns + round(MIN_ACTIVE_S * 1e9))

    def report(self) -> dict[str, Any]:
        """Return {kind: {"since_ns", "label"}} of active events; the earliest of each kind."""
        now_ns = self._clock.monotonic_ns()
        oldest_ns = now_ns - round(MAX_ACTIVE_S * 1e9)
        self._states = {
            key: state
            for key, state in self._states.items()
            if (state.until_ns is None or state.until_ns > now_ns) and state.began_ns > oldest_ns
        }
        found: dict[str, Any] = {}
        for (kind, source), state in self._states.items():
            if kind not in found or state.since_ns < found[kind]["since_ns"]:
                found[kind] = {"since_ns": state.since_ns, "label": source}
        return found

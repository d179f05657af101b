"""Writes the engine's events to the event log, and retries while the log is unavailable."""

from ninjacam.core.clock import SYSTEM_CLOCK, Clock, until_tick_s
from ninjacam.engine.events import EngineEvent, EventKeeper, EventLog
from ninjacam.engine.storage import StorageThread

WRITE_EVERY_S = 1.0


class EventWriter:
    """Thread: the event loop."""

    def __init__(
        self, events: EventKeeper, log: EventLog, storage: StorageThread, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._events = events
        self._log = log
        self._storage = storage
        self._clock = clock

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self.write_once()
            await self._clock.sleep(until_tick_s(WRITE_EVERY_S, self._clock))

    async def write_once(self) -> None:
        """Write new events. The first call adopts the ongoing events of a previous engine."""
        if not self._events.adopted:
            ongoing = await self._storage.run(self._log.ongoing)
            if ongoing is None:
                return
            self._events.adopt(ongoing)
        events = self._events.take()
        if events and await self._storage.run(lambda: self._put(events)) is None:
            self._events.give_back(events)

    def _put(self, events: list[EngineEvent]) -> bool:
        self._log.put(events)
        return True

"""What is remembered of each track, for a limited time and number of tracks."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

State = TypeVar("State")

MAX_REMEMBERED = 2048
"""Maximum number of tracks; of more, those that were seen least recently are forgotten."""


class TrackMemory(Generic[State]):
    """One state per track. `new_state` makes that of a new track."""

    __slots__ = ("_new_state", "_states")

    def __init__(self, new_state: Callable[[], State]) -> None:
        self._new_state = new_state
        self._states: dict[int, tuple[int, State]] = {}  # least recently seen first

    def __iter__(self) -> Iterator[tuple[int, State]]:
        """Yield (track, state), least recently seen first."""
        return iter([(track, state) for track, (_, state) in self._states.items()])

    def __len__(self) -> int:
        return len(self._states)

    def see(self, track: int, watched_ns: int) -> State:
        """Return the state of a track that is in the frame of this time."""
        state = self._states.pop(track)[1] if track in self._states else self._new_state()
        self._states[track] = watched_ns, state
        return state

    def remove(self, track: int) -> None:
        self._states.pop(track, None)

    def forget(self, before_ns: int) -> list[tuple[int, State]]:
        """Remove the tracks that were last seen before this time, and those that exceed the maximum. Return them."""
        excess = len(self._states) - MAX_REMEMBERED
        gone = []
        for number, (track, (seen_ns, state)) in enumerate(self._states.items()):
            if seen_ns >= before_ns and number >= excess:
                break  # All others were seen later.
            gone.append((track, state))
        for track, _ in gone:
            del self._states[track]
        return gone

    def clear(self) -> None:
        self._states.clear()

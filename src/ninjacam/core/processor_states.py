"""The interface to the state that processors keep across restarts. `ninjacam.processor_writer` stores it."""

from typing import Any, Protocol


class StateStore(Protocol):
    """Loads and saves processor states. Thread: any."""

    def load(self, camera: str, processor: str) -> Any:
        """Return the saved state as JSON values; None if there is none. May block."""

    def save(self, camera: str, processor: str, state: Any) -> None:
        """Save the state soon. Never blocks. Raises: InvalidError: it is not JSON, or too large."""


_store: StateStore | None = None


def keep_states_in(store: StateStore | None) -> None:
    """Set the store of this process. None: states are neither loaded nor saved. Call it from entry points
    only."""
    global _store
    _store = store


def load_state(camera: str, processor: str) -> Any:
    return None if _store is None else _store.load(camera, processor)


def save_state(camera: str, processor: str, state: Any) -> None:
    if _store is not None:
        _store.save(camera, processor, state)

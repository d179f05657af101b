"""The state that processors keep over restarts. Not here: where it is kept (`ninjacam.processor_writer`)."""

from typing import Any, Protocol


class StateStore(Protocol):
    """Thread: any."""

    def load(self, camera: str, processor: str) -> Any:
        """Return what was saved last, as JSON has it; None: nothing. May block."""

    def save(self, camera: str, processor: str, state: Any) -> None:
        """Save it shortly afterwards. Never blocks. Raises: InvalidError: it is not JSON, or too large."""


_store: StateStore | None = None


def keep_states_in(store: StateStore | None) -> None:
    """Use this store in this process. None: states are neither loaded nor saved. For entry points."""
    global _store
    _store = store


def load_state(camera: str, processor: str) -> Any:
    return None if _store is None else _store.load(camera, processor)


def save_state(camera: str, processor: str, state: Any) -> None:
    if _store is not None:
        _store.save(camera, processor, state)

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ninjacam import Processor, events
from ninjacam.core.processor_states import keep_states_in


class Recorded:
    """The events that processors have created and changed, in order: (kind of item, its fields)."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.states: dict[tuple[str, str], Any] = {}

    def put(self, camera: str, item: Any) -> None:
        self.items.append(item)

    def load(self, camera: str, processor: str) -> Any:
        return self.states.get((camera, processor))

    def save(self, camera: str, processor: str, state: Any) -> None:
        self.states[camera, processor] = state

    @property
    def begun(self) -> list[Any]:
        return [item for item in self.items if hasattr(item, "kind")]

    @property
    def ended(self) -> list[Any]:
        return [item for item in self.items if not hasattr(item, "kind") and item.end_ns is not None]


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    events.send_to(made.put)
    keep_states_in(made)
    yield made
    events.send_to(None)
    keep_states_in(None)


@pytest.fixture
def start() -> Callable[..., Any]:
    """Return a function that makes an instance as a vision worker does."""

    def make(processor: type[Processor], **options: Any) -> Any:
        made = processor()
        made.camera, made.name = "gate", processor.__name__.lower()
        assert processor.Options is not None
        made.setup("gate", processor.Options(**options))
        return made

    return make

"""Events of a processor over restarts."""

from collections.abc import Callable
from typing import Any

import pytest

from ninjacam.processors.motion import Motion
from ninjacam.processors.occupancy import Occupancy
from ninjacam.processors.saved_events import MAX_SAVED, SavedEvents
from ninjacam.processors.tampering import Tampering
from tests.unit.processors.conftest import Recorded

S = 1_000_000_000


@pytest.mark.parametrize("processor", [Motion, Occupancy, Tampering])
@pytest.mark.parametrize(
    "state",
    [
        [1],
        "x",
        {"key": "old", "last_ns": 5},
        {"keys": 7},
        {"keys": [None, 7, "no good key", "good"], "last_ns": "x"},
        {"keys": ["good"], "last_ns": 10**30},
        {"keys": ["good"], "last_ns": True},
    ],
)
def test_an_odd_state_is_no_error(
    start: Callable[..., Any], recorded: Recorded, processor: Any, state: Any
) -> None:
    recorded.states["gate", processor.__name__.lower()] = state
    start(processor)
    assert all(item.key == "good" for item in recorded.ended)


def test_each_event_is_in_the_state_from_before_it_begins_until_its_end(
    start: Callable[..., Any], recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each item is written together with the state that was saved before it."""
    saved, states = SavedEvents(start(Motion)), []
    monkeypatch.setattr("ninjacam.events._sink", lambda *_: states.append(recorded.states["gate", "motion"]))
    saved.begin("a", "motion", start_ns=5 * S, now_ns=7 * S)
    saved.begin("b", "motion", start_ns=6 * S, now_ns=8 * S)
    saved.end("a", 9 * S)
    saved.end("b", 9 * S)
    saved.end("b", 9 * S)
    first, second = states[1]["keys"]
    assert first != second and first.startswith("motion-")
    assert [None if each is None else each["keys"] for each in states] == [
        [first],
        [first, second],
        [second],
        None,
    ]


def test_no_event_ends_before_it_begins(start: Callable[..., Any], recorded: Recorded) -> None:
    saved = SavedEvents(start(Motion))
    saved.begin("a", "motion", start_ns=5000 * S, now_ns=7 * S)
    saved.end("a", 3 * S)
    assert recorded.begun[0].start_ns == recorded.ended[0].end_ns == 7 * S


def test_the_state_is_bounded(start: Callable[..., Any], recorded: Recorded) -> None:
    saved = SavedEvents(start(Motion))
    for number in range(MAX_SAVED + 5):
        saved.begin(number, "motion", start_ns=S, now_ns=S)
    keys = [item.key for item in recorded.begun]
    assert recorded.states["gate", "motion"]["keys"] == keys[5:] and len(saved) == MAX_SAVED + 5


@pytest.mark.parametrize(("second", "is_saved"), [(1, False), (3, True), (-100, True)])
def test_the_time_is_saved_now_and_then_also_when_the_clock_is_set_back(
    start: Callable[..., Any], recorded: Recorded, second: int, is_saved: bool
) -> None:
    saved = SavedEvents(start(Motion))
    saved.begin("a", "motion", start_ns=1000 * S, now_ns=1000 * S)
    saved.note((1000 + second) * S)
    assert (recorded.states["gate", "motion"]["last_ns"] == (1000 + second) * S) is is_saved

"""Registration of processors, and turns."""

import threading
import time

import pytest

from ninjacam import Processor
from ninjacam.core import processors
from ninjacam.core.errors import ConfigError
from ninjacam.core.processors import FairLock, ProcessorRegistry, processor
from ninjacam.vision.code import ProcessorStalled, interrupt


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> ProcessorRegistry:
    fresh = ProcessorRegistry()
    monkeypatch.setattr(processors, "registry", fresh)
    return fresh


def test_a_class_is_a_view_named_in_lower_case_with_an_instance_per_call(registry: ProcessorRegistry) -> None:
    @processor(cameras="gate-*", record=True)
    class PeopleCounter(Processor):
        """Counts people."""

    entry = registry.get("people_counter")
    assert entry is not None
    assert (entry.description, entry.record, entry.turns) == ("Counts people.", True, None)
    assert entry.applies_to("gate-1") and not entry.applies_to("door")
    first, second = entry.make(), entry.make()
    assert isinstance(first, PeopleCounter) and first is not second


@pytest.mark.parametrize(
    ("name", "view"), [("Motion", "motion"), ("HTTPProbe", "http_probe"), ("OCR2Text", "ocr2_text")]
)
def test_the_name_of_a_class_is_usable_in_a_url(registry: ProcessorRegistry, name: str, view: str) -> None:
    processor(type(name, (Processor,), {}))
    assert [entry.name for entry in registry] == [view]


def test_a_class_without_the_base_class_is_refused(registry: ProcessorRegistry) -> None:
    with pytest.raises(ConfigError, match=r"Derive the class Loose from ninjacam\.Processor"):
        processor(type("Loose", (), {}))


def test_a_class_without_process_says_which_method_is_missing(registry: ProcessorRegistry) -> None:
    with pytest.raises(NotImplementedError, match=r"Empty does not define the method process\(frame\)"):
        type("Empty", (Processor,), {})().process(None)


def test_turns_are_given_in_the_order_of_requests() -> None:
    turns, order, inside = FairLock(), [], []
    held = turns.take()

    def work(number: int) -> None:
        ticket = turns.take()
        inside.append(number)
        assert len(inside) == 1, "two at the same time"
        order.append(number)
        inside.pop()
        turns.give_back(ticket)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for waiting, thread in enumerate(threads, 2):
        thread.start()
        while len(turns._queue) < waiting:
            time.sleep(0.001)
    turns.give_back(held)
    for thread in threads:
        thread.join(5)
    assert order == list(range(8))


def test_a_holder_that_never_returns_loses_its_turn() -> None:
    turns = FairLock()
    stuck = turns.take()
    taken: list[threading.Lock] = []
    other = threading.Thread(target=lambda: taken.append(turns.take()))
    other.start()
    other.join(0.05)
    assert not taken
    turns.give_back(stuck)
    other.join(5)
    assert len(taken) == 1
    turns.give_back(stuck)  # it returns later, and does not take the turn of the new holder
    assert turns._queue[0] is taken[0]


def test_a_turn_that_does_not_come_in_time_is_given_up() -> None:
    turns = FairLock()
    with turns.turn(1), pytest.raises(TimeoutError), turns.turn(0.01):
        pass
    assert not turns._queue
    with turns.turn(0):
        pass


def test_an_interrupted_thread_gives_its_turn_back() -> None:
    """A vision worker raises an exception in a thread that waits too long. It is delivered when the wait ends."""
    turns = FairLock()
    held = turns.take()
    ended = threading.Event()

    def work() -> None:
        try:
            with turns.turn(5):
                time.sleep(5)
        except ProcessorStalled:
            ended.set()

    waiting = threading.Thread(target=work)
    waiting.start()
    while len(turns._queue) < 2:
        time.sleep(0.001)
    interrupt(waiting)
    turns.give_back(held)
    waiting.join(2)
    assert ended.is_set() and not turns._queue


def test_waiters_that_give_their_tickets_back_do_not_let_another_one_in() -> None:
    turns = FairLock()
    held = turns.take()
    tickets: list[threading.Lock] = []

    def wait(name: str) -> None:
        ticket = threading.Lock()
        tickets.append(ticket)
        turns._wait(ticket)
        entered.append(name)

    entered: list[str] = []
    threads = [threading.Thread(target=wait, args=(name,), daemon=True) for name in "abc"]
    for count, thread in enumerate(threads, 1):
        thread.start()
        while len(turns._queue) <= count:
            time.sleep(0.001)
    for ticket in tickets[:2]:
        turns.give_back(ticket)
    time.sleep(0.05)
    assert entered == [], "the holder has not given its turn back"
    turns.give_back(held)
    threads[2].join(5)
    assert entered == ["c"]

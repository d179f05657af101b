"""The slots of values that wait for the database."""

import pytest

from ninjacam.core import processor_values
from ninjacam.core.processor_values import MAX_NAMES, SlotKey, Summary, ValueCollector

NS = 10**9


def test_a_slot_has_the_minimum_the_maximum_the_sum_and_the_count_of_ten_seconds() -> None:
    collector = ValueCollector()
    for at_ns, value in ((20 * NS, 2.0), (25 * NS, -1.0), (30 * NS - 1, 5.0), (30 * NS, 9.0)):
        collector.add("door", "people", at_ns, {"inside": value})
    assert collector.take() == {
        SlotKey("door", "people", 20): {"inside": Summary(-1.0, 5.0, 6.0, 3)},
        SlotKey("door", "people", 30): {"inside": Summary(9.0, 9.0, 9.0, 1)},
    }
    assert not collector


def test_only_the_first_values_that_wait_wake_the_writer() -> None:
    collector = ValueCollector()
    assert collector.add("door", "people", NS, {"inside": 1})
    assert not collector.add("door", "people", NS, {"inside": 1})
    collector.take()
    assert collector.add("door", "people", NS, {"inside": 1})


def test_the_names_of_a_slot_are_bounded() -> None:
    collector = ValueCollector()
    for number in range(MAX_NAMES + 5):
        collector.add("door", "people", NS, {f"n{number}": 1})
    (slot,) = collector.take().values()
    assert list(slot) == [f"n{number}" for number in range(MAX_NAMES)]


def test_numbers_whose_sum_may_be_infinite_are_left_out() -> None:
    collector = ValueCollector()
    collector.add("door", "people", NS, {"huge": 1e300, "low": -1e300, "fine": 1e280})
    (slot,) = collector.take().values()
    assert list(slot) == ["fine"]


def test_while_the_database_is_unavailable_the_oldest_slots_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor_values, "MAX_SLOTS", 3)
    collector = ValueCollector()
    for number in range(3):
        collector.add("door", "people", number * 10 * NS, {"inside": number})
    taken = collector.take()
    collector.add("door", "people", 20 * NS, {"inside": 7, "outside": 1})
    collector.add("door", "people", 30 * NS, {"inside": 3})
    collector.give_back(taken)
    found = collector.take()
    assert [key.start_s for key in found] == [10, 20, 30]
    assert found[SlotKey("door", "people", 20)] == {
        "inside": Summary(2, 7, 9, 2),
        "outside": Summary(1, 1, 1, 1),
    }

"""What the processors that create events of visits have in common. Their visits: test_objects.py."""

import pytest

from ninjacam import Zone
from ninjacam.core.results import to_values
from ninjacam.processors.value_names import to_value_names
from ninjacam.processors.visit_events import to_kind


@pytest.mark.parametrize(
    ("label", "kind"), [("traffic light", "traffic_light"), ("Ö", "_"), ("x" * 50, "x" * 32), ("", "object")]
)
def test_labels_become_kinds_of_events(label: str, kind: str) -> None:
    assert to_kind(label) == kind


@pytest.mark.parametrize(
    ("name", "suffix", "value"),
    [
        ("front-door", "", "front_door"),
        ("2nd", "_forward", "line_2nd_forward"),
        ("x" * 30, "_backward", "x" * 23 + "_backward"),
        ("0" * 30, "_backward", "line_" + "0" * 18 + "_backward"),
    ],
)
def test_names_of_zones_become_names_of_values(name: str, suffix: str, value: str) -> None:
    line = Zone(name, "line", [(0, 0), (1, 1)])
    assert to_value_names([line], suffix) == {name: value}
    assert to_values({value: 1}) == {value: 1}


def test_names_of_values_differ_whatever_the_order_of_the_zones() -> None:
    names = ["a-b-c", "a_b_c", "a-b_c", "1", "zone_1", "x" * 29 + "1", "x" * 29 + "2"]
    zones = [Zone(name, "zone", [(0, 0), (1, 1), (1, 0)]) for name in names]
    for suffix in ("", "_backward"):
        found = to_value_names(zones, suffix)
        assert len(set(found.values())) == len(names) == len(found)
        assert found == to_value_names(zones[::-1], suffix)
        assert found["a_b_c"] == "a_b_c" + suffix and found["zone_1"] == "zone_1" + suffix
        assert to_values(dict.fromkeys(found.values(), 1)) == dict.fromkeys(found.values(), 1)
    assert to_value_names(zones)["a-b-c"] == to_value_names(zones[:2])["a-b-c"], "others do not change it"

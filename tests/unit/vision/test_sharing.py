"""Which functions take turns with each other."""

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from ninjacam.core.processors import ProcessorRegistry
from ninjacam.vision.code import ModuleFile, ProcessorCode

CODE = """
import cv2, functools, numpy as np
import sharing_helper
from sharing_helper import detect
from ninjacam import processor

background = cv2.createBackgroundSubtractorMOG2()
KERNEL = np.ones((3, 3), np.uint8)
networks = {"day": cv2.TickMeter()}

class Finder:
    meter = cv2.TickMeter()
    def find(self, frame):
        return self.meter.getTimeSec()

@processor
def uses_it(frame):
    return background.apply(frame.gray)

def helper(frame):
    return [background.apply(each) for each in [frame.gray]]

@processor
def uses_it_by_a_helper(frame):
    return helper(frame)

@processor
def uses_the_kernel(frame):
    return cv2.erode(frame.gray, KERNEL)

@processor
def uses_the_kernel_too(frame):
    return cv2.dilate(frame.gray, KERNEL)

@processor
def by_module(frame):
    return sharing_helper.network.getTimeSec()

@processor
def by_import(frame):
    return detect(frame)

@processor
def by_container(frame):
    return networks["day"]

@processor
def by_default(frame, meter=networks["day"]):
    return meter

@processor
def by_class(frame):
    return Finder().find(frame)

def closing_over(meter):
    def by_closure(frame):
        return meter.getTimeSec()
    return by_closure

def closing_over_it_too(meter):
    def by_other_closure(frame):
        return meter.getTimeSec()
    return by_other_closure

enclosed = cv2.TickMeter()
processor(closing_over(enclosed))
processor(closing_over_it_too(enclosed))

first, second = cv2.TickMeter(), cv2.TickMeter()

@processor
def a_first(frame):
    return first

@processor
def b_first_too(frame):
    return first

@processor
def c_second(frame):
    return second

@processor
def d_second_too(frame):
    return second

@processor
def e_joins_both(frame):
    return first, second

processor("by_method")(Finder().find)
processor("by_partial")(functools.partial(Finder.find, Finder()))
"""
HELPER = """
import cv2
network = cv2.TickMeter()
def detect(frame):
    return network.getTimeSec()
"""
TOGETHER = {
    frozenset({"uses_it", "uses_it_by_a_helper"}),
    frozenset({"by_module", "by_import"}),
    frozenset({"by_container", "by_default"}),
    frozenset({"by_closure", "by_other_closure"}),
    frozenset({"a_first", "b_first_too", "c_second", "d_second_too", "e_joins_both"}),
    frozenset({"by_class", "by_method", "by_partial"}),
    frozenset({"uses_the_kernel"}),
    frozenset({"uses_the_kernel_too"}),
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessorRegistry]:
    monkeypatch.syspath_prepend(str(tmp_path))
    tmp_path.joinpath("sharing_helper.py").write_text(HELPER)
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    yield fresh
    for name in ("sharing_helper", "sharing_cameras"):
        sys.modules.pop(name, None)


def test_functions_that_use_the_same_object_take_turns_and_others_do_not(
    tmp_path: Path, registry: ProcessorRegistry
) -> None:
    path = tmp_path / "cameras.py"
    path.write_text(CODE)
    code = ProcessorCode([ModuleFile("sharing_cameras", path)], into=registry)
    code.refresh()
    assert code.errors == {}
    turns = {entry.name: entry.turns for entry in registry}
    together = {frozenset({name}) for name in turns}
    for one, other in combinations(turns, 2):
        if turns[one] is turns[other]:
            together = {group for group in together if not group & {one, other}} | {
                frozenset().union(*(group for group in together if group & {one, other}))
            }
    assert together == TOGETHER

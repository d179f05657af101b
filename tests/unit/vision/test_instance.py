"""Instances of processors, called from the threads of several views."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import BaseModel, Field

from ninjacam import Frame, Processor, processor
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ProcessorError
from ninjacam.core.processors import FairLock, FunctionProcessor, ProcessorRegistry, Registration
from ninjacam.supervision.crash_record import RunningFile, read_last_words
from ninjacam.testing import frame
from ninjacam.testing.clock import FakeClock
from ninjacam.vision.instance import CALL_LIMIT_S, SETUP_LIMIT_S, Instance

YUNET = Path(__file__).parents[4] / "shared" / "models" / "face_detection_yunet_2023mar.onnx"


def function_of(function: Callable[[Frame], Any]) -> Registration:
    make = partial(FunctionProcessor, function)
    return Registration("view", make, ("*",), "cameras", function=function, turns=FairLock())


@pytest.mark.skipif(not YUNET.exists(), reason="../shared/models has no YuNet.")
def test_a_network_of_a_module_serves_cameras_of_two_sizes(tmp_path: Path) -> None:
    detector = cv2.FaceDetectorYN.create(str(YUNET), "", (320, 320))

    def faces(frame: Frame) -> list[Any]:
        detector.setInputSize((frame.width, frame.height))
        detector.detect(frame.image)
        return []

    entry, running = function_of(faces), RunningFile(tmp_path / "running")
    errors: list[Exception] = []

    def watch(camera: str, image: Any) -> None:
        instance = Instance(camera, "view", running, SYSTEM_CLOCK)
        for number in range(12):
            try:
                instance.call(entry, frame(image, number=number), with_image=False)
            except ProcessorError as exc:
                errors.append(exc)

    images = [np.full((height, width, 3), 90, np.uint8) for width, height in ((320, 180), (192, 108))]
    threads = [threading.Thread(target=watch, args=(str(number), images[number % 2])) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_functions_are_called_in_turn_and_instances_of_a_class_concurrently(tmp_path: Path) -> None:
    registry = ProcessorRegistry()
    at_once: dict[str, int] = {"function": 0, "class": 0}
    running: dict[str, int] = dict(at_once)
    both, second = threading.Barrier(2), threading.Event()

    def enter(kind: str, wait: Callable[[], Any]) -> None:
        running[kind] += 1
        at_once[kind] = max(at_once[kind], running[kind])
        if at_once["function"] > 1:
            second.set()
        wait()
        running[kind] -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ninjacam.core.processors.registry", registry)

        @processor("function")
        def of_all_cameras(frame: Frame) -> None:
            enter("function", lambda: second.wait(0.3))

        @processor("class")
        class OfOneCamera(Processor):
            def process(self, frame: Frame) -> None:
                enter("class", lambda: both.wait(10))

    record = RunningFile(tmp_path / "running")
    for name in at_once:
        entry = registry.get(name)
        assert entry is not None
        calls = [
            partial(Instance(camera, name, record, SYSTEM_CLOCK).call, entry, with_image=False)
            for camera in ("door", "yard")
        ]
        image = frame(np.zeros((4, 4), np.uint8))
        threads = [threading.Thread(target=call, args=(image,)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert at_once == {"function": 1, "class": 2}


def test_the_docstrings_say_what_cameras_share() -> None:
    assert "all cameras of a process share a function and the globals" in str(processor.__doc__)
    assert "class attributes) must be thread-safe" in str(Processor.__doc__)


def test_setup_has_more_time_than_a_call_and_both_record_their_name(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "vision-1.running"
    overdue: list[tuple[float, list[tuple[str, str]]]] = []

    def look() -> None:
        for wait_s in (CALL_LIMIT_S + 1, SETUP_LIMIT_S):
            clock.advance(wait_s)
            overdue.append((instance.overdue_s(), read_last_words(path).running))

    class Slow(Processor):
        def setup(self, camera: str, options: Any) -> None:
            look()

        def process(self, frame: Frame) -> None:
            look()

    instance = Instance("door", "slow", RunningFile(path), clock)
    image = np.zeros((4, 4), np.uint8)
    instance.call(Registration("slow", Slow, ("*",), "cameras"), frame(image), with_image=False)
    here = [("door", "slow")]
    assert overdue == [(0, here), (SETUP_LIMIT_S, here), (CALL_LIMIT_S, here), (CALL_LIMIT_S, here)]
    assert instance.overdue_s() == 0
    assert read_last_words(path).running == []


def test_saved_code_gets_a_new_instance_and_the_old_one_is_closed(tmp_path: Path) -> None:
    said: list[str] = []

    def entry(name: str, *, fails: bool = False) -> Registration:
        class Made(Processor):
            def setup(self, camera: str, options: Any) -> None:
                said.append(f"setup {name} {camera}")

            def process(self, frame: Frame) -> None:
                said.append(f"process {name}")

            def close(self) -> None:
                said.append(f"close {name}")
                if fails:
                    raise ValueError("no")

        return Registration("view", Made, ("*",), "cameras")

    instance = Instance("door", "view", RunningFile(tmp_path / "running"), SYSTEM_CLOCK)
    image = frame(np.zeros((4, 4), np.uint8))
    first, second = entry("first", fails=True), entry("second")
    for each in (first, first, second):
        instance.call(each, image, with_image=False)
    instance.end()
    assert said == [
        "setup first door", "process first", "process first", "close first",
        "setup second door", "process second", "close second",
    ]  # fmt: skip


def test_changed_options_get_a_new_instance(tmp_path: Path) -> None:
    class Sizes(BaseModel):
        width: int = Field(3, ge=1)

    said: list[Any] = []

    class Scale(Processor):
        Options = Sizes

        def setup(self, camera: str, options: Sizes) -> None:
            said.append(options.width)

        def process(self, frame: Frame) -> None:
            said.append("process")

        def close(self) -> None:
            said.append("close")

    instance = Instance("door", "view", RunningFile(tmp_path / "running"), SYSTEM_CLOCK)
    entry = Registration("view", Scale, ("*",), "cameras", options=Sizes)
    image = frame(np.zeros((4, 4), np.uint8))
    for values in ({}, {"width": 5}, {"width": 5}, {"width": 0}):
        instance.call(entry, image, with_image=False, values=values)
    assert said == [3, "process", "close", 5, "process", "process", "close", 3, "process"]
    assert instance.option_problems == {"width": "Input should be greater than or equal to 1"}


def test_a_failing_setup_is_retried_and_an_abandoned_instance_is_not_closed(tmp_path: Path) -> None:
    said: list[str] = []

    class Fails(Processor):
        def setup(self, camera: str, options: Any) -> None:
            said.append("setup")
            if len(said) == 1:
                raise OSError("no model")

        def process(self, frame: Frame) -> None:
            said.append("process")

        def close(self) -> None:
            said.append("close")

    instance = Instance("door", "view", RunningFile(tmp_path / "running"), SYSTEM_CLOCK)
    entry, image = Registration("view", Fails, ("*",), "cameras"), frame(np.zeros((4, 4), np.uint8))
    with pytest.raises(ProcessorError, match="view: OSError: no model"):
        instance.call(entry, image, with_image=False)
    instance.call(entry, image, with_image=False)
    instance.abandon()
    instance.end()
    assert said == ["setup", "setup", "process"]


def test_a_turn_is_returned_however_the_call_ends(tmp_path: Path) -> None:
    def fails(frame: Frame) -> None:
        raise ValueError("no")

    entry, image = function_of(fails), frame(np.zeros((4, 4), np.uint8))
    one, other = (Instance(name, "view", RunningFile(tmp_path / name), SYSTEM_CLOCK) for name in ("a", "b"))
    for instance in (one, other, one):
        with pytest.raises(ProcessorError):
            instance.call(entry, image, with_image=False)
    one.take_turn(entry)
    taken = threading.Event()

    def take() -> None:
        other.take_turn(entry)
        taken.set()

    thread = threading.Thread(target=take)
    thread.start()
    time.sleep(0.02)
    assert not taken.is_set()
    one.abandon()
    assert taken.wait(5)
    other.give_back_turn()
    thread.join()

"""From packets to views, in the threads of the pipeline: which picture is whose."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from ninjacam import Frame, Result, Text
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ProcessorError
from ninjacam.core.packets import CameraState, Codec, Kind, Packet, StreamInfo
from ninjacam.core.processor_values import SlotKey, Summary, ValueCollector, keep_values_with
from ninjacam.core.processors import FunctionProcessor, Registration
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.testing import stamp
from ninjacam.testing.clock import FakeClock
from ninjacam.vision.chains import Preceding
from ninjacam.vision.context import Shared, Variant, ViewContext
from ninjacam.vision.pipeline import Pipeline
from ninjacam.vision.views import ViewInput, ViewMaker
from tests.harness.processes import wait_until
from tests.harness.recordings import encode_stamped

PICTURES = 40
LIVE = StreamInfo("door", state=CameraState.LIVE)


def number_of(frame: Frame) -> list[Text]:
    return [Text(0, 0, str(stamp.read(frame.gray)))]


def annotations_of(info: StreamInfo) -> Variant:
    return Variant(StreamRequest("numbers", Codec.ANNOTATIONS), Channel(info))


def context_of(
    directory: Path,
    function: Callable[[Frame], Any],
    published: list[Packet],
    *,
    fps: float = 0,
    clock: Clock = SYSTEM_CLOCK,
) -> ViewContext:
    """Return the context of the view "numbers", whose annotations are watched."""
    entry = Registration("numbers", partial(FunctionProcessor, function), ("*",), "cameras", fps=fps)
    return ViewContext(
        camera="door",
        code=cast(Any, SimpleNamespace(current={"numbers": entry})),
        shared=Shared(variants=(annotations_of(LIVE),)),
        running=RunningFile(directory / "running"),
        publish=lambda pairs: published.extend(packet for _, packet in pairs),
        on_health=lambda: None,
        clock=clock,
    )


def view_input(number: int, clock: Clock) -> ViewInput:
    image = SimpleNamespace(width=64, height=36, bgr=None, gray=None)
    image.for_thread = lambda _: image
    packet = Packet(Kind.VIDEO, Codec.H264, b"", number * 3600, clock.monotonic_ns())
    return ViewInput(cast(Any, image), packet, number, 40e6, LIVE)


@pytest.mark.parametrize("bframes", [0, 2])
def test_annotations_have_the_time_of_their_frame(tmp_path: Path, bframes: int) -> None:
    published: list[Packet] = []
    pipeline = Pipeline(context_of(tmp_path, number_of, published))
    packets = [
        each._replace(received_ns=time.monotonic_ns() + 10**11)  # none is late, however slow this machine is
        for each in encode_stamped(PICTURES, bframes=bframes)
    ]
    times = {each.captured_ns // 1000 for each in packets}
    pipeline.put_info(LIVE)
    try:
        for number, packet in enumerate(packets):
            pipeline.put(packet)
            wait_until(lambda number=number: len(published) >= number - 4, 10, "what was seen")  # type: ignore[misc]
    finally:
        pipeline.stop()
    first_us = min(times)
    assert len(published) > PICTURES - 6
    for seen in published:
        told = json.loads(seen.data)
        number = int(told["annotations"][0]["label"])
        assert told["captured_us"] == seen.captured_ns // 1000
        assert told["captured_us"] == pytest.approx(first_us + number * 40_000, abs=1)


@pytest.mark.parametrize(("fps", "count"), [(0, 50), (5, 10), (10, 20), (7, 14), (40, 50)])
def test_a_processor_receives_at_most_the_frames_per_second_that_it_asks_for(
    tmp_path: Path, fps: float, count: int
) -> None:
    clock, published, calls = FakeClock(), list[Packet](), list[int]()

    def note(frame: Frame) -> list[Text]:
        calls.append(frame.number)
        return []

    maker = ViewMaker("numbers", context_of(tmp_path, note, published, fps=fps, clock=clock))
    for number in range(50):
        maker.make(view_input(number, clock))
        clock.advance(0.04)
    assert len(published) == len(calls) == pytest.approx(count, abs=2)
    assert {packet.duration for packet in published} == {max(3600, int(90_000 / fps)) if fps else 3600}


def test_a_new_viewer_of_a_slow_processor_gets_a_frame_at_once(tmp_path: Path) -> None:
    clock, published = FakeClock(), list[Packet]()
    context = context_of(tmp_path, lambda _: [], published, fps=0.1, clock=clock)
    maker = ViewMaker("numbers", context)
    for number in range(50):
        clock.advance(0.04)
        maker.make(view_input(number, clock))
    before = len(published)
    assert before <= 2
    context.shared.variants = (*context.shared.variants, annotations_of(LIVE))
    for number in (50, 51):
        maker.make(view_input(number, clock))
    assert len(published) == before + 1


def test_what_nobody_receives_is_processed_and_not_published(tmp_path: Path) -> None:
    clock, published, calls = FakeClock(), list[Packet](), list[int]()

    def note(frame: Frame) -> list[Text]:
        calls.append(frame.number)
        return []

    context = context_of(tmp_path, note, published, clock=clock)
    context.shared.variants[0].has_output = False
    maker = ViewMaker("numbers", context)
    for number in range(3):
        maker.make(view_input(number, clock))
    assert (calls, published) == ([0, 1, 2], [])


def test_a_view_that_fails_shows_no_frame_that_was_not_processed(tmp_path: Path) -> None:
    """A view that hides something would show it, only darker."""
    clock, published = FakeClock(), list[Packet]()
    is_working = True

    def hide(frame: Frame) -> Any:
        if not is_working:
            raise ValueError("no model")
        return np.full((360, 640, 3), (0, 200, 0), np.uint8)

    context = context_of(tmp_path, hide, published, clock=clock)
    context.shared.variants = (Variant(StreamRequest("numbers", Codec.MJPEG), Channel(LIVE)),)

    def show() -> Any:
        white = np.full((360, 640, 3), 255, np.uint8)
        image = SimpleNamespace(width=640, height=360, bgr=lambda: white, gray=lambda: white[..., 0])
        image.for_thread = lambda _: image
        packet = Packet(Kind.VIDEO, Codec.H264, b"", 0, clock.monotonic_ns())
        clock.advance(1)
        maker.make(ViewInput(cast(Any, image), packet, 0, 40e6, LIVE))
        shown = cv2.imdecode(np.frombuffer(published[-1].data, np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        return shown[-5, -5].tolist()

    is_working = False
    maker = ViewMaker("numbers", context)
    assert max(show()) < 50, "a dark background"
    is_working = True
    blue, green, red = show()
    assert green > 190 and max(blue, red) < 10
    is_working = False
    blue, green, red = show()
    assert 40 < green < 80 and max(blue, red) < 20, "the last processed image"


class Guests:
    """A view that replaces the camera's video for guests, and a bright frame that it must never show unprocessed."""

    def __init__(self, directory: Path, function: Callable[[Frame], Any]) -> None:
        self.clock = FakeClock()
        self.published: list[Packet] = []
        self.context = context_of(directory, function, self.published, clock=self.clock)
        self.context.shared.variants = (Variant(StreamRequest("numbers", Codec.MJPEG), Channel(LIVE)),)
        self.context.shared.guest_view = "numbers"
        self.maker = ViewMaker("numbers", self.context)
        self.preceding: Preceding | None = None

    def show(self) -> Any:
        """Return the pixel at the lower right of the image for one frame, which is white."""
        white = np.full((360, 640, 3), 255, np.uint8)
        image = SimpleNamespace(width=640, height=360, bgr=lambda: white.copy(), gray=lambda: white[..., 0])
        image.for_thread = lambda _: image
        packet = Packet(Kind.VIDEO, Codec.H264, b"", 0, self.clock.monotonic_ns())
        self.clock.advance(1)
        self.maker.make(ViewInput(cast(Any, image), packet, 0, 40e6, LIVE, preceding=self.preceding))
        shown = cv2.imdecode(np.frombuffer(self.published[-1].data, np.uint8), cv2.IMREAD_COLOR)
        assert shown is not None
        return shown[-5, -5].tolist()


@pytest.mark.parametrize(
    "returned",
    [[], [Text(9, 9, "x")], (None, []), Result(annotations=[])],
    ids=["none", "list", "pair", "result"],
)
def test_guests_do_not_see_a_frame_over_which_annotations_are_drawn(tmp_path: Path, returned: Any) -> None:
    guests = Guests(tmp_path, lambda _: returned)
    assert max(guests.show()) < 50
    error = guests.maker.health.error
    assert error is not None and "Return an image" in error.message
    guests.context.shared.guest_view = "another"
    assert min(guests.show()) > 200, "it is an ordinary view otherwise"


def test_guests_see_images_and_frames_on_which_a_processor_has_drawn(tmp_path: Path) -> None:
    def draw(frame: Frame) -> Any:
        frame.image[:] = (0, 200, 0)
        return results.pop(0)

    results = [
        None,
        Result(values={"inside": 1}),
        (np.full((36, 64, 3), (0, 200, 0), np.uint8), [Text(1, 1, "x")]),
    ]
    guests = Guests(tmp_path, draw)
    for _ in range(3):
        blue, green, red = guests.show()
        assert green > 190 and max(blue, red) < 10


def test_an_error_in_the_view_for_guests_has_no_earlier_image_behind_it(tmp_path: Path) -> None:
    """Before the code was saved or the view was for guests, it may have hidden less."""
    is_working = True

    def hide(frame: Frame) -> Any:
        if not is_working:
            raise ValueError("no model")

    guests = Guests(tmp_path, hide)
    assert min(guests.show()) > 200
    is_working = False
    assert max(guests.show()) < 50
    lost = ViewInput(
        None, Packet(Kind.VIDEO, Codec.H264, b"", 0, 0), 0, 40e6, StreamInfo("door", state=CameraState.FAILED)
    )
    guests.clock.advance(1)
    guests.maker.make(lost)
    shown = cv2.imdecode(np.frombuffer(guests.published[-1].data, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None and max(shown[-5, -5]) < 50


def test_the_view_for_guests_does_not_name_what_failed_before_it(tmp_path: Path) -> None:
    """Neither the name of that processor, nor its error, which may contain what it has read."""
    guests = Guests(tmp_path, lambda _: None)
    entry = guests.context.code.current["numbers"]
    assert isinstance(entry, Registration)
    guests.context.code.current = {"numbers": replace(entry, after="plates")}
    for preceding in (None, Preceding(error=ProcessorError("plates: ValueError: 12-AB-3"))):
        guests.preceding = preceding
        assert max(guests.show()) < 50
        error = guests.maker.health.error
        assert error is not None and not re.search("plates|12-AB", error.message)
        guests.clock.advance(1)
    guests.context.shared.guest_view = "another"
    guests.show()
    error = guests.maker.health.error
    assert error is not None and "12-AB-3" in error.message, "an ordinary view names it"


def test_each_failure_of_a_processor_is_counted_and_the_first_one_logged_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()

    def fails_now_and_then(frame: Frame) -> list[Text]:
        if frame.number % 2 == 0:
            raise ValueError("no model")
        return []

    maker = ViewMaker("numbers", context_of(tmp_path, fails_now_and_then, [], clock=clock))
    for number in range(4):
        clock.advance(1)
        maker.make(view_input(number, clock))
    assert maker.health.error is None, "it works at the moment"
    report = maker.health.report()
    assert report["failures"] == 2
    assert report["last_error"]["message"].startswith("numbers: ValueError: no model")
    (logged,) = caplog.records
    assert "door: numbers: ValueError: no model" in logged.getMessage()
    assert "in fails_now_and_then" in logged.getMessage()


def test_the_image_of_a_lost_camera_has_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All viewers of the view see it."""
    drawn: list[str] = []

    def message_image(title: str, lines: list[str], background: Any) -> Any:
        drawn.extend([title, *lines])
        return np.zeros((36, 64, 3), np.uint8)

    monkeypatch.setattr("ninjacam.vision.views.message_image", message_image)
    clock, published = FakeClock(), list[Packet]()
    context = context_of(tmp_path, lambda _: [], published, clock=clock)
    context.shared.variants = (Variant(StreamRequest("numbers", Codec.MJPEG), Channel(LIVE)),)
    error = {"code": "connection_refused", "message": "10.0.0.5 refuses port 554.", "retryable": True}
    lost = StreamInfo("door", state=CameraState.RECONNECTING, error=error)
    ViewMaker("numbers", context).make(replace(view_input(0, clock), frame=None, info=lost))
    assert drawn[-1] == "The camera refuses the connection." and "10.0.0.5" not in "".join(drawn)


def test_the_values_of_each_frame_are_collected_with_its_time_of_capture(tmp_path: Path) -> None:
    clock, collector = FakeClock(), ValueCollector()
    context = context_of(tmp_path, lambda frame: Result(values={"at": frame.number}), [], clock=clock)
    maker = ViewMaker("numbers", context)
    keep_values_with(collector.add)
    try:
        for number, captured_ns in enumerate((10**10, 10**10 + 1, 2 * 10**10)):
            seen = view_input(number, clock)
            maker.make(replace(seen, packet=seen.packet._replace(captured_ns=captured_ns)))
    finally:
        keep_values_with(None)
    assert collector.take() == {
        SlotKey(context.camera, "numbers", 10): {"at": Summary(0, 1, 1, 2)},
        SlotKey(context.camera, "numbers", 20): {"at": Summary(2, 2, 2, 1)},
    }


def test_only_the_values_of_the_last_frame_are_kept(tmp_path: Path) -> None:
    """A processor that invents names must not use up the memory."""
    clock, published = FakeClock(), list[Packet]()
    context = context_of(
        tmp_path, lambda frame: Result(values={f"n{frame.number}": 1}), published, clock=clock
    )
    maker = ViewMaker("numbers", context)
    for number in range(50):
        clock.advance(0.04)
        maker.make(view_input(number, clock))
    assert context.shared.health["numbers"].report()["values"] == {"n49": 1}

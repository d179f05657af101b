"""Processors that run after other processors."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam import Box, Frame, Result
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConfigError, ProcessorError, ViewNotFoundError
from ninjacam.core.frames import Area
from ninjacam.core.packets import CameraState, Codec, Kind, Packet, StreamInfo
from ninjacam.core.processors import FairLock, FunctionProcessor, Registration, processor
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.backlog import Backlog
from ninjacam.vision.chains import MAX_CHAIN, broken_chain, first_view, preceding_views, resolve_chain
from ninjacam.vision.context import Shared, Variant, ViewContext
from ninjacam.vision.decoding import Decoding
from ninjacam.vision.variants import Variants
from ninjacam.vision.views import ViewThread
from tests.harness.processes import wait_until

LIVE = StreamInfo("door", state=CameraState.LIVE)


def entry(
    name: str, call: Callable[[Frame], Any] = lambda _: None, *, cameras: str = "*", **more: Any
) -> Registration:
    make = partial(FunctionProcessor, call)
    return Registration(name, make, (cameras,), "cameras", turns=FairLock(), **more)


def current_of(*entries: Registration) -> dict[str, Registration | ProcessorError]:
    return {each.name: each for each in entries}


def test_the_processors_before_a_view_are_in_the_order_of_their_calls() -> None:
    current = current_of(entry("a"), entry("b", after="a"), entry("c", after="b"))
    assert preceding_views(current, "c", "door") == ["a", "b"]
    assert preceding_views(current, "a", "door") == []
    assert first_view(current, "c", "door") == first_view(current, "a", "door") == "a"


@pytest.mark.parametrize(
    "others",
    [
        [],
        [entry("a", cameras="gate")],
        [entry("a", after="c")],
        [entry("a", after="b"), entry("b", after="a")],
        [entry("a", after="c0")] + [entry(f"c{n}", after=f"c{n + 1}") for n in range(MAX_CHAIN)],
    ],
    ids=["missing", "other_camera", "itself", "circle", "too_long"],
)
def test_a_broken_chain_has_no_processors_before_the_view(others: list[Registration]) -> None:
    current = current_of(entry("c", after="a"), *others)
    assert preceding_views(current, "c", "door") == []
    assert first_view(current, "c", "door") == "c"
    with pytest.raises(ProcessorError, match="'c' runs after 'a', which is not a processor of this camera"):
        resolve_chain(current, "c", "door")


def test_a_processor_that_does_not_load_is_a_part_of_its_chain() -> None:
    current = {**current_of(entry("b", after="a")), "a": ProcessorError("a does not load")}
    assert preceding_views(current, "b", "door") == ["a"]
    with pytest.raises(ProcessorError, match="a does not load"):
        resolve_chain(current, "b", "door")


def test_a_resolved_chain_ends_with_the_view() -> None:
    a, b = entry("a"), entry("b", after="a", cameras="door")
    assert resolve_chain(current_of(a, b), "b", "door") == [a, b]
    for view, camera in (("b", "gate"), ("c", "door")):
        with pytest.raises(ViewNotFoundError, match=f"'{camera}' has no view '{view}'"):
            resolve_chain(current_of(a, b), view, camera)


class Chain:
    """Runs processors in their real threads, with frames that have no image."""

    def __init__(self, directory: Path, *entries: Registration, wanted: tuple[str, ...] = ()) -> None:
        self.published: list[Packet] = []
        names = wanted or tuple(each.name for each in entries)
        variants = [Variant(StreamRequest(name, Codec.ANNOTATIONS), Channel(LIVE)) for name in names]
        self.shared = Shared(variants=tuple(variants))
        context = ViewContext(
            camera="door",
            code=cast(Any, SimpleNamespace(current=current_of(*entries))),
            shared=self.shared,
            running=RunningFile(directory / "running"),
            publish=lambda pairs: self.published.extend(packet for _, packet in pairs),
            on_health=lambda: None,
            clock=SYSTEM_CLOCK,
        )
        self.views: dict[str, ViewThread] = {}
        self._decoding = Decoding(context, Backlog(), self.views)
        self._number = 0

    def show(self) -> int:
        """Offer the next frame, and return its number."""
        image = SimpleNamespace(width=64, height=36, bgr=None, gray=None, scene=None)
        image.for_thread = lambda _: image
        packet = Packet(Kind.VIDEO, Codec.H264, b"", self._number * 3600, SYSTEM_CLOCK.monotonic_ns())
        self.shared.scene.look = lambda *_: None  # type: ignore[method-assign]
        self._decoding._number = self._number
        self.shared.attention.look = self._look  # type: ignore[assignment, method-assign]
        self._decoding._show(cast(Any, image), packet)
        self._number += 1
        return self._number - 1

    def _look(self, *_: Any) -> None:
        self.shared.attention.areas = (Area(1, 2, 3, 4, 0.5),)

    def close(self) -> None:
        for thread in list(self.views.values()):
            thread.stop()


@contextmanager
def running(directory: Path, *entries: Registration) -> Iterator[Chain]:
    chain = Chain(directory, *entries)
    try:
        yield chain
    finally:
        chain.close()


def test_results_belong_to_the_same_frame(tmp_path: Path) -> None:
    seen: list[tuple[int, Any, list[Box]]] = []

    def detect(frame: Frame) -> Result:
        return Result(annotations=[Box(0, 0, frame.number, 9)], data=frame.number)

    def use(frame: Frame) -> None:
        result = frame.results["detect"]
        seen.append((frame.number, result.data, result.boxes))

    with running(tmp_path, entry("detect", detect), entry("use", use, after="detect")) as chain:
        for _ in range(5):
            number = chain.show()
            wait_until(lambda number=number: len(seen) > number, 5, "the second processor")  # type: ignore[misc]
    assert seen == [(number, number, [Box(0, 0, number, 9)]) for number in range(5)]


def test_results_of_the_whole_chain_are_passed_on(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    with running(
        tmp_path,
        entry("a", lambda _: Result(data=1)),
        entry("b", lambda _: Result(data=2), after="a"),
        entry("c", lambda frame: seen.append({k: v.data for k, v in frame.results.items()}), after="b"),
    ) as chain:
        chain.show()
        wait_until(lambda: seen, 5, "the last processor")
    assert seen == [{"a": 1, "b": 2}]


def test_frames_have_their_motion_although_no_variant_waits_for_it(tmp_path: Path) -> None:
    """As of a camera that sleeps, or while a view that runs afterwards has viewers."""
    seen: dict[str, tuple[Area, ...]] = {}
    with running(
        tmp_path,
        entry("moves", lambda frame: seen.update(moves=frame.motion), when="motion"),
        entry("use", lambda frame: seen.update(use=frame.motion), after="moves"),
    ) as chain:
        chain.show()
        wait_until(lambda: len(seen) == 2, 5, "both processors")
    assert seen["moves"] == (Area(1, 2, 3, 4, 0.5),)


def test_each_processor_runs_in_its_own_thread(tmp_path: Path) -> None:
    threads: dict[str, int] = {}

    def note(name: str, frame: Frame) -> None:
        threads[name] = threading.get_ident()

    with running(
        tmp_path, entry("a", partial(note, "a")), entry("b", partial(note, "b"), after="a")
    ) as chain:
        chain.show()
        wait_until(lambda: len(threads) == 2, 5, "both processors")
    assert threads["a"] != threads["b"]


@pytest.mark.parametrize(("every_frame", "expected"), [(False, [0]), (True, [0, 0, 0, 0])])
def test_frames_that_were_skipped_are_passed_on_only_if_requested(
    tmp_path: Path, every_frame: bool, expected: list[int]
) -> None:
    """The first processor takes one frame in ten seconds."""
    seen: list[int] = []
    offered: list[int] = []
    with running(
        tmp_path,
        entry("slow", lambda frame: Result(data=frame.number), fps=0.1),
        entry("use", lambda f: seen.append(f.results["slow"].data), after="slow", every_frame=every_frame),
        entry("other", lambda frame: offered.append(frame.number)),
    ) as chain:
        for _ in range(4):
            number = chain.show()
            wait_until(lambda number=number: len(offered) > number, 5, "the frame")  # type: ignore[misc]
            if every_frame:
                wait_until(lambda number=number: len(seen) > number, 5, "the skipped frame")  # type: ignore[misc]
        wait_until(lambda: seen, 5, "the first frame")
    assert seen == expected


def test_a_processor_whose_predecessor_fails_is_not_called_and_reports_why(tmp_path: Path) -> None:
    called: list[int] = []

    def fail(_: Frame) -> None:
        raise ValueError("no model")

    with running(
        tmp_path, entry("a", fail), entry("b", lambda f: called.append(f.number), after="a", every_frame=True)
    ) as chain:
        for _ in range(3):
            chain.show()
        wait_until(lambda: chain.shared.health["b"].error, 5, "the error")
        error = chain.shared.health["b"].error
    assert error is not None and "no model" in str(error) and "b: it runs after a" in str(error)
    assert not called


def test_a_processor_with_a_broken_chain_reports_it(tmp_path: Path) -> None:
    called: list[int] = []
    with running(tmp_path, entry("b", lambda frame: called.append(frame.number), after="a")) as chain:
        chain.show()
        wait_until(lambda: chain.shared.health["b"].error, 5, "the error")
        assert "runs after 'a', which is not a processor of this camera" in str(
            chain.shared.health["b"].error
        )
    assert not called


def test_a_ready_made_processor_names_the_one_that_it_needs() -> None:
    message = broken_chain("occupancy", "objects").message
    assert (
        message == "The processor 'occupancy' needs the processor 'objects'. Choose it for this camera, too."
    )


def test_a_watched_view_makes_the_processors_before_it_run() -> None:
    current = current_of(entry("a"), entry("b", after="a"), entry("c", after="b"))
    code = SimpleNamespace(
        current=current, views=lambda _: [*current], made=lambda *_: [], recorded=lambda _: []
    )
    variants = Variants(
        "door", 1, cast(Any, code), describe=lambda request: LIVE, on_demand=lambda request: None
    )
    variants.find_channel(StreamRequest("c", Codec.MJPEG))
    wanted = {variant.request.view: variant for variant in variants.wanted()}
    assert {*wanted} == {"a", "b", "c"}
    assert wanted["c"].has_output and not wanted["a"].has_output and not wanted["b"].has_output
    assert {variant.request.view: variant for variant in variants.wanted()} == wanted


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"after": "a", "width_px": 640}, "Remove width_px"), ({"every_frame": True}, "Remove every_frame")],
)
def test_contradictory_declarations_raise_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        processor(**arguments)

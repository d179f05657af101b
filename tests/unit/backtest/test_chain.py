"""The frames that processors receive in a backtest, and what happens to their exceptions."""

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from pydantic import BaseModel, Field

from ninjacam import Frame, Processor, Result
from ninjacam.backtest.chain import (
    ChainRun,
    FrameOutcome,
    choose_camera,
    find_chain,
    waiting_members,
    warm_up_s,
)
from ninjacam.backtest.reading import RecordedFrame
from ninjacam.core.errors import InvalidError, ProcessorError
from ninjacam.core.options import options_model_of
from ninjacam.core.processors import FunctionProcessor, Registration
from ninjacam.core.zones import Zone, Zones

START_NS, FRAME_NS = 1_700_000_000_000_000_000, 40_000_000


class LimitOptions(BaseModel):
    limit: int = Field(3, ge=0, le=9)


def entry(
    name: str, call: Callable[..., Any] = lambda _: [], *, cameras: str = "*", **more: Any
) -> Registration:
    return Registration(
        name, partial(FunctionProcessor, call), (cameras,), "cameras", options=options_model_of(call), **more
    )


def recorded(count: int, **more: Any) -> Iterator[RecordedFrame]:
    image = av.VideoFrame.from_ndarray(np.full((36, 64), 100, np.uint8), format="gray").reformat(
        format="yuv420p"
    )
    for number in range(count):
        yield RecordedFrame(image, number, START_NS + number * FRAME_NS, number / 25, **more)


def run(chain: list[Registration], count: int, options: Any = None, **more: Any) -> list[FrameOutcome]:
    made = ChainRun("door", chain, options)
    return [made.process(each) for each in recorded(count, **more)]


def test_frames_have_the_capture_time_on_all_clocks_and_the_zones() -> None:
    seen: list[Frame] = []
    zones = Zones([Zone("path", "zone", [(0, 0), (1, 0), (1, 1)])])
    made = ChainRun("door", [entry("a", seen.append)], zones=zones)
    for each in recorded(2):
        made.process(each)
    assert [frame.captured_ns - START_NS for frame in seen] == [0, FRAME_NS]
    assert [frame.received_ns - START_NS for frame in seen] == [0, FRAME_NS]
    assert (seen[1].camera, seen[1].number, seen[1].pts_s, seen[1].width) == ("door", 1, 0.04, 64)
    assert list(seen[0].zones) == ["path"] and seen[0].gray.shape == (36, 64)


def test_the_frame_rate_counts_in_times_of_frames() -> None:
    outcomes = run([entry("a", fps=5)], 50)
    assert [each.recorded.number for each in outcomes if each.returned is not None] == list(range(0, 50, 5))


def test_a_chain_skips_what_its_first_processor_skips_unless_it_gets_every_frame() -> None:
    counts = {
        each: sum(
            outcome.returned is not None
            for outcome in run([entry("a", fps=5), entry("b", after="a", every_frame=each)], 50)
        )
        for each in (False, True)
    }
    assert counts == {False: 10, True: 50}


def test_results_are_those_of_the_same_frame() -> None:
    seen = []

    def second(frame: Frame) -> list[Any]:
        seen.append((frame.number, frame.results["a"].data))
        return []

    run([entry("a", lambda frame: Result(data=frame.number)), entry("b", second, after="a")], 3)
    assert seen == [(0, 0), (1, 1), (2, 2)]


def test_a_processor_that_raises_pauses_for_half_a_second_and_continues_with_its_state() -> None:
    class Fails(Processor):
        calls = 0

        def process(self, frame: Frame) -> Any:
            self.calls += 1
            if self.calls == 3:
                raise ValueError("no")
            return Result(annotations=[], values={"calls": self.calls})

    outcomes = run([Registration("a", Fails, ("*",), "cameras")], 20)
    called = [each.recorded.number for each in outcomes if each.returned is not None]
    assert called == [0, 1, 15, 16, 17, 18, 19]
    assert outcomes[15].returned is not None and outcomes[15].returned.values == {"calls": 4}
    (failure,) = [each for outcome in outcomes for each in outcome.failures]
    assert "ValueError: no" in failure.error.message and "raise ValueError" in failure.error.traceback


def test_after_a_failure_the_processors_that_follow_are_not_called() -> None:
    def fail(frame: Frame) -> list[Any]:
        if frame.number == 0:
            raise ValueError("no")
        return []

    calls: list[Frame] = []
    outcomes = run([entry("a", fail), entry("b", calls.append, after="a")], 20)
    assert [frame.number for frame in calls] == list(range(13, 20))
    assert [each.processor for outcome in outcomes for each in outcome.failures] == ["a"]


def test_a_return_value_that_is_not_a_result_is_a_failure() -> None:
    (outcome,) = run([entry("a", lambda _: "text")], 1)
    assert "returned str" in outcome.failures[0].error.message


def test_a_processor_that_waits_for_motion_receives_frames_while_awake() -> None:
    chain = [entry("a", when="motion")]
    assert not any(each.returned for each in run(chain, 3, is_awake=False))
    assert all(each.returned for each in run(chain, 3, is_awake=True))


@pytest.mark.parametrize(
    ("whens", "waits"),
    [
        (["motion"], [True]),
        (["watched", "motion"], [True, True]),
        (["always", "motion"], [False, True]),
        (["motion", "recorded"], [False, False]),
    ],
)
def test_a_processor_waits_if_all_that_follow_do(whens: list[Any], waits: list[bool]) -> None:
    assert waiting_members([entry(f"p{n}", when=when) for n, when in enumerate(whens)]) == waits


def test_options_are_used_and_wrong_ones_are_errors() -> None:
    seen = []

    def use(frame: Frame, options: LimitOptions) -> list[Any]:
        seen.append(options.limit)
        return []

    run([entry("a", use)], 1)
    run([entry("a", use)], 1, {"a": {"limit": 5}})
    assert seen == [3, 5]
    with pytest.raises(InvalidError, match="The option “limit” of “a”: Input should be less than"):
        run([entry("a", use)], 1, {"a": {"limit": 50}})
    with pytest.raises(InvalidError, match="The option “limt” of “a”: The processor has no such option"):
        run([entry("a", use)], 1, {"a": {"limt": 5}})
    with pytest.raises(InvalidError, match="“b” has no options"):
        run([entry("b")], 1, {"b": {"limit": 5}})


def test_a_setup_that_fails_ends_the_run() -> None:
    class Broken(Processor):
        def setup(self, camera: str, options: Any) -> None:
            raise OSError("no model")

    with pytest.raises(ProcessorError, match="no model"):
        run([Registration("a", Broken, ("*",), "cameras")], 1)


def test_missing_processors_and_other_cameras_are_errors_that_say_what_exists() -> None:
    current: Any = {"a": entry("a"), "b": entry("b", cameras="gate"), "c": entry("c", after="x")}
    assert [each.name for each in find_chain(current, "a", "door")] == ["a"]
    with pytest.raises(InvalidError, match=r"No processor “x”\. There are: a, b, c"):
        find_chain(current, "x", "door")
    with pytest.raises(InvalidError, match="not for the camera “door”"):
        find_chain(current, "b", "door")
    with pytest.raises(ProcessorError, match="runs after 'x'"):
        find_chain(current, "c", "door")


def test_a_file_gets_a_camera_that_the_processor_is_for() -> None:
    current: Any = {name: entry(name, cameras=name) for name in ("*", "gate", "gate-*")}
    assert (choose_camera(current, "*"), choose_camera(current, "gate")) == ("test", "gate")
    with pytest.raises(InvalidError, match="such as “gate-"):
        choose_camera(current, "gate-*")


def test_a_chain_can_be_split_if_all_of_it_permits_it_and_none_waits_for_motion() -> None:
    assert warm_up_s([entry("a", warm_up_s=2), entry("b", warm_up_s=0)]) == 2
    assert warm_up_s([entry("a", warm_up_s=2), entry("b")]) is None
    assert warm_up_s([entry("a", warm_up_s=2, when="motion")]) is None


def test_exceptions_of_close_are_reported() -> None:
    class Unclosed(Processor):
        def process(self, frame: Frame) -> Any:
            return []

        def close(self) -> None:
            raise KeyError("lost")

    made = ChainRun("door", [Registration("a", Unclosed, ("*",), "cameras")])
    (failure,) = made.close()
    assert failure.processor == "a" and "lost" in failure.error.message


def test_images_are_not_converted_for_processors_that_do_not_use_them() -> None:
    seen = SimpleNamespace(frame=None)

    def look(frame: Frame) -> list[Any]:
        seen.frame = frame
        return []

    run([entry("a", look)], 1)
    assert not seen.frame.drawn

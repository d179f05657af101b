"""Frames of a still scene are not decoded; the first frames of motion are."""

from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest

from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.core.processors import FunctionProcessor, Registration
from ninjacam.hub.request import StreamRequest
from ninjacam.vision.attention import HOLD_NS, IDLE_EVERY_NS, Attention
from ninjacam.vision.backlog import Backlog
from ninjacam.vision.motion_gate import MAX_HELD, OPEN_NS, MotionGate
from ninjacam.vision.variants import Variants

FRAME_NS = 40_000_000
GOP = 50


def packet(number: int, size: int = 500) -> Packet:
    flags = Flags.KEY if number % GOP == 0 else Flags.NONE
    size = 9000 if flags else size
    return Packet(Kind.VIDEO, Codec.H264, bytes(size), number * 3600, number * FRAME_NS, flags=flags)


def still(gate: MotionGate, until: int, first: int = 0) -> list[Packet]:
    """Feed packets of a still scene, and return those that pass."""
    passed: list[Packet] = []
    for number in range(first, until):
        passed += gate.take(packet(number, 500 + number % 7 * 20))
    return passed


@pytest.fixture
def gate() -> MotionGate:
    made = MotionGate()
    made.is_used = True
    return made


def test_only_key_frames_of_a_still_scene_pass(gate: MotionGate) -> None:
    still(gate, 250)
    assert all(each.is_key for each in still(gate, 1000, 250))
    assert gate.held_back > 600


def test_of_a_stream_of_key_frames_one_passes_in_a_second(gate: MotionGate) -> None:
    """As MJPEG, where all frames are key frames."""

    def key(number: int, size: int = 9000) -> Packet:
        return packet(number)._replace(flags=Flags.KEY, data=bytes(size))

    for number in range(250):
        gate.take(key(number))
    passed = [gate.take(key(number)) for number in range(250, 500)]
    assert 9 <= sum(map(bool, passed)) <= 12
    assert all(len(each) == 1 for each in passed if each)
    larger = [gate.take(key(number, 16_000)) for number in range(500, 510)]
    assert any(larger[:6]) and larger[-1], "something moves"


def test_a_key_frame_that_was_held_back_is_decoded_with_those_that_need_it(gate: MotionGate) -> None:
    still(gate, 1001)
    early = packet(1)._replace(flags=Flags.KEY, received_ns=1010 * FRAME_NS)
    assert gate.take(early) == ()
    for number in range(1011, 1015):
        assert gate.take(packet(number)) == ()
    gate.open_until(1100 * FRAME_NS)
    flushed = gate.take(packet(1015))
    assert len(flushed) == 6 and flushed[0] is early


def test_without_processors_that_wait_everything_passes() -> None:
    assert len(still(MotionGate(), 300)) == 300


def test_larger_packets_open_the_gate_and_nothing_since_the_key_frame_is_missing(gate: MotionGate) -> None:
    still(gate, 1020)
    passed: list[Packet] = []
    for number in range(1020, 1025):
        passed += gate.take(packet(number, 3000))
    assert [each.pts // 3600 for each in passed] == list(range(1001, 1025))
    later = [gate.take(packet(number)) for number in range(1025, 1049)]
    assert all(len(each) == 1 for each in later), "it stays open for a moment"
    assert OPEN_NS > 24 * FRAME_NS


def test_a_scene_that_moves_all_the_time_does_not_open_it_for_ever_and_a_key_frame_does_not(
    gate: MotionGate,
) -> None:
    still(gate, 500)
    for number in range(500, 3000):
        gate.take(packet(number, 3000))
    assert not gate.take(packet(3001, 3000)), "larger packets are usual by now"
    assert len(gate.take(packet(3050))) == 1


def test_the_decoding_thread_opens_the_gate(gate: MotionGate) -> None:
    still(gate, 1010)
    gate.open_until(1012 * FRAME_NS)
    assert len(gate.take(packet(1010))) == 10
    assert len(gate.take(packet(1011))) == 1
    assert len(gate.take(packet(1012))) == 0


def test_a_viewer_gets_frames_at_once(gate: MotionGate) -> None:
    still(gate, 1010)
    gate.is_used = False
    assert len(gate.take(packet(1010))) == 10


def test_what_is_held_is_bounded(gate: MotionGate) -> None:
    still(gate, 500)
    key = packet(0)._replace(received_ns=500 * FRAME_NS)
    assert gate.take(key) == (key,)
    for number in range(501, 501 + MAX_HELD + 60):
        gate.take(packet(number)._replace(flags=Flags.NONE, data=bytes(500)))
    assert len(gate._held) <= MAX_HELD
    gate.open_until(10**15)
    assert gate.take(packet(3001)) == (), "its references are missing"
    assert len(gate.take(packet(3050))) == 1
    assert len(gate.take(packet(3051))) == 1


def test_packets_that_were_held_are_one_item_of_the_backlog(gate: MotionGate) -> None:
    backlog = Backlog(gate)
    for number in range(1020):
        backlog.put(packet(number))
        if backlog.waiting:
            backlog.get(0)
    for number in range(1020, 1024):
        backlog.put(packet(number, 3000))
    assert backlog.waiting < 5
    items = [backlog.get(0) for _ in range(backlog.waiting)]
    assert sum(len(cast(Any, each)) for each in items) == 23


class Scene:
    """Frames of a street, in which something moves or not."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self._image = cv2.blur(rng.integers(40, 200, (180, 320), np.uint8), (5, 5))

    def frame(self, left: int | None = None) -> Any:
        image = self._image.copy()
        if left is not None:
            cv2.rectangle(image, (left, 60), (left + 30, 130), 20, -1)
        return SimpleNamespace(gray=lambda: image)


def test_processors_that_wait_receive_frames_while_something_moves_and_shortly_after() -> None:
    scene, attention = Scene(), Attention()
    at_ns = 0

    def show(seconds: float, left: int | None = None) -> list[bool]:
        nonlocal at_ns
        awake = []
        for number in range(int(seconds * 10)):
            at_ns += 100_000_000
            attention.look(scene.frame(None if left is None else (left + number * 5) % 280), at_ns)
            awake.append(attention.is_awake)
        return awake

    begun = show(8)
    assert all(begun[: HOLD_NS // 100_000_000]), "whether something moves is unknown at first"
    assert not any(begun[HOLD_NS // 100_000_000 + 1 :])
    moved = show(3, left=10)
    assert all(moved[4:]) and attention.areas
    after = show(HOLD_NS / 1e9 + 3)
    assert after[10] and not after[-1] and not attention.areas
    idle = show(2 * IDLE_EVERY_NS / 1e9)
    assert sum(idle) == 2, "a frame every ten seconds"


def test_a_key_frame_that_has_changed_opens_the_gate() -> None:
    """As with a constant bitrate, where packets do not become larger."""
    scene, attention = Scene(), Attention()
    gate = attention.gate
    gate.is_used = True
    still(gate, 1001)
    for second in range(0, 40, 2):
        attention.look(scene.frame(), second * 10**9)
    assert gate.take(packet(1001)) == ()
    attention.look(scene.frame(100), 40 * 10**9)
    assert len(gate.take(packet(1002))) == 2


def entry(name: str, **more: Any) -> Registration:
    return Registration(name, lambda: FunctionProcessor(lambda _: None), ("*",), "cameras", **more)


def waits(
    *entries: Registration, requests: tuple[StreamRequest, ...] = (), may_wake: bool = True
) -> dict[str, bool]:
    """Return view -> whether all that is made of it waits for motion."""
    current = {each.name: each for each in entries}
    code = SimpleNamespace(
        current=current,
        views=lambda _: [*current],
        made=lambda _, when: [name for name, each in current.items() if each.when == when],
        recorded=lambda _: [name for name, each in current.items() if each.record],
    )
    variants = Variants(
        "door", 1, cast(Any, code), describe=cast(Any, lambda _: None), on_demand=lambda _: None
    )
    variants.may_wake = may_wake
    for request in requests:
        variants.find_channel(request)
    found: dict[str, bool] = {}
    for variant in variants.wanted():
        view = variant.request.view
        found[view] = found.get(view, True) and variant.waits_for_motion
    return found


def test_which_views_wait_for_motion() -> None:
    motion, after, always = (
        entry("m", when="motion"),
        entry("a", after="m"),
        entry("w", when="always", after="m"),
    )
    assert waits(motion) == {"m": True}
    assert waits(motion, requests=(StreamRequest("m", Codec.MJPEG),)) == {"m": False}
    assert waits(motion, requests=(StreamRequest("m", Codec.ANNOTATIONS),)) == {"m": True}
    assert waits(motion, after) == {"m": True}
    assert waits(motion, after, requests=(StreamRequest("a", Codec.MJPEG),)) == {"m": False, "a": False}
    assert waits(motion, always) == {"m": False, "w": False}
    assert waits(entry("d"), entry("m", when="motion", after="d")) == {"d": True, "m": True}
    assert waits(motion, may_wake=False) == {}, "a camera that sleeps"

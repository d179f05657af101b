"""A backtest calls a processor with the same frames as the live pipeline that decoded the same packets."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam import Frame, Processor, Result
from ninjacam.backtest.chain import ChainRun
from ninjacam.backtest.reading import iter_frames
from ninjacam.backtest.video import NS, VideoPart
from ninjacam.core.clock import Clock
from ninjacam.core.packets import CameraState, Codec, Packet, StreamInfo
from ninjacam.core.processors import FairLock, FunctionProcessor, Registration
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.backlog import Backlog
from ninjacam.vision.context import Shared, Variant, ViewContext
from ninjacam.vision.decoding import Decoding
from ninjacam.vision.views import ViewInput, ViewMaker
from tests.harness.backtests import ONE_BY_ONE, packets_of
from tests.harness.recordings import NOON_NS, write_files

Seen = list[tuple[int, tuple[Any, ...], float]]


class Records(Processor):
    """Records what it receives, and fails now and then."""

    def __init__(self) -> None:
        self.seen: Seen = []

    def process(self, frame: Frame) -> Any:
        self.seen.append((frame.captured_ns // 1000, frame.motion, float(frame.gray.mean())))
        if len(self.seen) % 50 == 0:
            raise ValueError("now and then")
        return Result(annotations=[], values={"mean": float(frame.gray.mean())})


class FrameClock:
    """Its time is that of the last packet."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    wall_ns = monotonic_ns


class Live(Decoding):
    """The live pipeline without its threads: views are made at once."""

    def __init__(self, directory: Path, entry: Registration) -> None:
        self.clock = FrameClock()
        info = StreamInfo("door", state=CameraState.LIVE)
        variant = Variant(StreamRequest(entry.name, Codec.ANNOTATIONS), Channel(info))
        variant.waits_for_motion = entry.when == "motion"
        self.shared = Shared(variants=(variant,))
        self.gate = self.shared.attention.gate
        self.gate.is_used = variant.waits_for_motion
        context = ViewContext(
            camera="door",
            code=cast(Any, SimpleNamespace(current={entry.name: entry})),
            shared=self.shared,
            running=RunningFile(directory / "running"),
            publish=lambda _: None,
            on_health=lambda: None,
            clock=cast(Clock, self.clock),
        )
        super().__init__(context, Backlog(), {})
        self._maker = ViewMaker(entry.name, context)

    def receive(self, packet: Packet) -> None:
        passed = self.gate.take(packet)
        for each in passed:
            self.clock.now_ns = each.received_ns
            self._handle(each, is_last=each is passed[-1])

    def _show(self, frame: Any, packet: Packet) -> None:
        self.clock.now_ns = packet.received_ns  # With B-frames, this is not the packet just fed.
        super()._show(frame, packet)

    def _offer(self, view_input: ViewInput, wanted: Any) -> None:
        self._maker.make(view_input)


@pytest.mark.parametrize(
    "more", [{}, {"fps": 4.0}, {"when": "motion"}, {"when": "motion", "fps": 3.0}], ids=str
)
def test_the_frames_and_their_motion_are_the_same(tmp_path: Path, more: dict[str, Any]) -> None:
    if not ONE_BY_ONE.exists():
        pytest.skip("../shared has no media.")
    packets = packets_of(ONE_BY_ONE)[:500]
    live, made = Records(), Records()
    pipeline = Live(tmp_path, Registration("a", lambda: live, ("*",), "cameras", turns=FairLock(), **more))
    for packet in packets:
        pipeline.receive(packet)
    files = write_files(tmp_path, packets, 20)
    part = VideoPart(
        tuple(str(each.path) for each in files), is_recorded=True, start_ns=NOON_NS, end_ns=NOON_NS + 100 * NS
    )
    chain = ChainRun("door", [Registration("a", lambda: made, ("*",), "cameras", **more)])
    for recorded in iter_frames(part, examines=chain.examines, skips_still=chain.skips_still):
        chain.process(recorded)
    assert len(live.seen) > 80
    # Recordings keep times to the microsecond; files end with frames that a live decoder still holds back.
    for one, other in zip(live.seen, made.seen, strict=False):
        assert one[0] == pytest.approx(other[0], abs=2)
        assert one[1:] == other[1:]
    assert 0 <= len(made.seen) - len(live.seen) <= 3


def test_the_stub_of_the_live_pipeline_calls_functions_too(tmp_path: Path) -> None:
    called: list[int] = []
    pipeline = Live(
        tmp_path,
        Registration(
            "a", lambda: FunctionProcessor(lambda frame: called.append(frame.number)), ("*",), "cameras"
        ),
    )
    assert pipeline.gate.is_used is False and called == []

import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from ninjacam.capture.camera import MIN_STEADY_FPS, SLOW_UNWATCHED_S, UNWATCHED_S
from ninjacam.capture.timeline import PacketClock
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.packets import (
    START_NS,
    audio_packets,
    in_arrival_order,
    jumped,
    lost,
    paused,
    video_packets,
)

FRAME = 3600


def run(packets: Sequence[Packet], *, depth: int | None = 0, clock: FakeClock | None = None) -> list[Packet]:
    timeline = PacketClock(clock or FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(depth)
    return [timeline.repair(packet) for packet in packets]


def decoding_times(packets: Sequence[Packet]) -> list[int]:
    return [packet.pts - packet.dts_offset for packet in packets if packet.kind is Kind.VIDEO]


def as_camera_sends(packets: Sequence[Packet]) -> list[Packet]:
    """RTP has no decoding time."""
    return [packet._replace(dts_offset=0, duration=0) for packet in packets]


def test_a_healthy_camera_is_left_unchanged() -> None:
    sent = video_packets(100, first_pts=12345)
    got = run(sent)
    assert [p.pts for p in got] == [p.pts for p in sent]
    assert [p.duration for p in got] == [FRAME] * 100
    assert not any(p.flags & Flags.DISCONT for p in got)
    assert [p.sequence for p in got] == list(range(1, 101))


@pytest.mark.parametrize("seconds", [3600, -3600, 1e6, -1.5])
def test_a_jump_of_the_cameras_clock_is_replaced_by_the_elapsed_time(seconds: float) -> None:
    got = run(jumped(video_packets(100), 50, seconds))
    steps = [b - a for a, b in pairwise(p.pts for p in got)]
    assert all(abs(step - FRAME) <= FRAME for step in steps)
    assert [bool(p.flags & Flags.DISCONT) for p in got].count(True) == 1
    assert got[50].flags & Flags.DISCONT


def test_a_pause_of_the_camera_stays_a_pause() -> None:
    got = run(paused(video_packets(100), 50, 30))
    assert got[50].pts - got[49].pts == FRAME + 30 * VIDEO_CLOCK_HZ
    assert not got[50].flags & Flags.DISCONT


def test_lost_frames_leave_their_gap() -> None:
    got = run(lost(video_packets(100), 50, 3))
    assert got[50].pts - got[49].pts == 4 * FRAME


def test_repeated_timestamps_are_spread_by_arrival() -> None:
    got = run([packet._replace(pts=777) for packet in video_packets(50)])
    assert all(abs(b - a - FRAME) <= 2 for a, b in pairwise(decoding_times(got)))
    assert not any(p.flags & Flags.DISCONT for p in got[1:])


@pytest.mark.parametrize("each", [2, 3, 100])
def test_timestamps_that_stand_still_and_catch_up_keep_their_pace(each: int) -> None:
    sent = video_packets(500)
    wall_ns = FakeClock().wall_ns()
    said = [wall_ns + (n - n % each) * 40_000_000 for n in range(500)]  # by such a clock, too
    got = run([p._replace(pts=sent[n - n % each].pts, captured_ns=said[n]) for n, p in enumerate(sent)])
    assert all(0 < b.captured_ns - a.captured_ns < 80_000_000 for a, b in pairwise(got[1:]))
    assert all(0.9 * FRAME < b - a < 1.1 * FRAME for a, b in pairwise(decoding_times(got)))
    assert abs(got[-1].pts - got[0].pts - 499 * FRAME) <= FRAME
    assert not any(p.flags & Flags.DISCONT for p in got[1:])


def test_timestamps_that_stand_still_are_even_although_frames_arrive_in_bunches() -> None:
    sent = [p._replace(pts=777) for p in video_packets(500)]
    bunch_ns = 120_000_000
    bunched = [p._replace(received_ns=-(-p.received_ns // bunch_ns) * bunch_ns) for p in sent]
    got = decoding_times(run(bunched))
    assert all(0.4 * FRAME < b - a < 2 * FRAME for a, b in pairwise(got))
    assert abs(got[-1] - got[0] - 499 * FRAME) <= 4 * FRAME


def test_a_pause_of_a_camera_whose_clock_stands_still_is_a_pause() -> None:
    got = run([p._replace(pts=777) for p in paused(video_packets(100), 50, 30)])
    assert got[50].pts - got[49].pts == pytest.approx(FRAME + 30 * VIDEO_CLOCK_HZ, abs=FRAME)


def test_a_camera_is_trusted_again_once_its_clock_has_run_for_a_while() -> None:
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(0)
    sent = video_packets(2000)
    got, used = [], []
    for number, packet in enumerate(sent):
        late_ns = number % 3 * 15_000_000
        stamp = packet.pts - (number >= 100) * VIDEO_CLOCK_HZ // 2
        got.append(timeline.repair(packet._replace(pts=stamp, received_ns=packet.received_ns + late_ns)))
        used.append(timeline.uses_arrival)
    assert used == [100 <= number < 850 for number in range(2000)]
    assert {b.pts - a.pts for a, b in pairwise(got[900:])} == {FRAME}
    assert not any(p.flags & Flags.DISCONT for p in got)


def test_a_clock_that_was_set_back_a_little_continues_evenly() -> None:
    sent = video_packets(200)
    got = run([p._replace(pts=p.pts - (n >= 100) * VIDEO_CLOCK_HZ // 2) for n, p in enumerate(sent)])
    steps = [b - a for a, b in pairwise(decoding_times(got))]
    assert set(steps[:99] + steps[102:]) == {FRAME} and max(steps) < 2 * FRAME


@pytest.mark.parametrize(("bframes", "depth"), [(1, 1), (2, 1), (2, None), (3, 2)])
def test_b_frames_keep_their_presentation_order_and_get_decoding_times(
    bframes: int, depth: int | None
) -> None:
    sent = as_camera_sends(video_packets(100, bframes=bframes))
    got = run(sent, depth=depth)
    shown = [p.pts - got[0].pts for p in got]
    assert shown == [p.pts - sent[0].pts for p in sent]
    times = decoding_times(got)
    assert all(a < b for a, b in pairwise(times))
    settled = slice(12, None)
    assert all(p.dts_offset <= (bframes + 2) * FRAME for p in got[settled])


def test_decoding_times_never_decrease_whatever_arrives() -> None:
    packets = video_packets(40, bframes=2)
    for seconds in (10, -10, 0.3, -0.3, 1e5, -1e5):
        packets = [
            *packets,
            *jumped(video_packets(40, first_received_ns=packets[-1].received_ns + 1), 0, seconds),
        ]
    for depth in (0, 2, None):
        times = decoding_times(run(as_camera_sends(packets), depth=depth))
        assert all(a < b for a, b in pairwise(times)), depth


def test_a_new_connection_continues_where_the_last_one_ended() -> None:
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    before = [timeline.repair(p) for p in video_packets(10, first_pts=10**9)]
    timeline.restart()
    later_ns = before[-1].received_ns + 7_000_000_000
    after = [timeline.repair(p) for p in video_packets(10, first_pts=5, first_received_ns=later_ns)]
    assert after[0].pts - before[-1].pts == 7 * VIDEO_CLOCK_HZ
    assert after[0].flags & Flags.DISCONT
    assert after[0].sequence == before[-1].sequence + 1


def test_a_new_connection_is_trusted_whatever_the_clock_did_before() -> None:
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(0)
    before = [timeline.repair(p._replace(pts=777)) for p in video_packets(50)]
    assert timeline.uses_arrival
    timeline.restart()
    timeline.set_reorder_depth(0)
    sent = video_packets(50, first_received_ns=before[-1].received_ns + 40_000_000)
    late = [p._replace(received_ns=p.received_ns + n % 3 * 15_000_000) for n, p in enumerate(sent)]
    got = [timeline.repair(p) for p in late]
    assert {b.pts - a.pts for a, b in pairwise(got)} == {FRAME} and not timeline.uses_arrival


def test_the_capture_time_is_the_arrival_minus_the_network_delay() -> None:
    clock = FakeClock(monotonic_ns=START_NS)
    wall_ns = clock.wall_ns()
    delays_ns = [0, 40_000_000, 5_000_000, 200_000_000]
    sent = [
        p._replace(received_ns=p.received_ns + delays_ns[n % 4]) for n, p in enumerate(video_packets(100))
    ]
    for number, packet in enumerate(run(sent, clock=clock)):
        assert abs(packet.captured_ns - wall_ns - number * 40_000_000) < 1_000_000


def test_the_cameras_own_clock_is_used_if_plausible() -> None:
    clock = FakeClock(monotonic_ns=START_NS)
    wall_ns = clock.wall_ns()

    def said(offset_ns: int) -> list[int]:
        sent = [
            p._replace(captured_ns=wall_ns + number * 40_000_000 + offset_ns)
            for number, p in enumerate(video_packets(50))
        ]
        return [p.captured_ns - wall_ns - n * 40_000_000 for n, p in enumerate(run(sent, clock=clock))]

    assert said(-180_000_000)[-1] == -180_000_000, "180 ms of exposure and encoding"
    assert abs(said(3600 * 10**9)[-1]) < 1_000_000, "an hour ahead is a camera set wrongly"
    assert abs(said(-86400 * 10**9)[-1]) < 1_000_000


def test_a_step_of_the_wall_clock_changes_only_the_capture_time() -> None:
    clock = FakeClock(monotonic_ns=START_NS)
    timeline = PacketClock(clock)
    got = []
    for number, packet in enumerate(video_packets(200)):
        if number == 100:
            clock.step_wall(3600)
        got.append(timeline.repair(packet))
        clock.advance(0.04)
    assert {b.pts - a.pts for a, b in pairwise(got)} == {FRAME}
    assert round((got[-1].captured_ns - got[0].captured_ns) / 1e9) == 3600 + 8


def test_audio_starts_where_it_arrived_and_keeps_its_rate() -> None:
    mixed = in_arrival_order(video_packets(25), audio_packets(50, first_pts=4_000_000))
    got = [p for p in run(mixed) if p.kind is Kind.AUDIO]
    assert {b.pts - a.pts for a, b in pairwise(got)} == {160}


def test_audio_of_a_camera_that_is_read_in_batches_is_as_even_as_it_was_sent() -> None:
    beat_ns = 90_000_000
    late = [p._replace(received_ns=-(-p.received_ns // beat_ns) * beat_ns) for p in audio_packets(500)]
    got = run([*video_packets(1), *late])[1:]
    errors_ns = [
        p.captured_ns - first.captured_ns - n * 20_000_000 for n, p in enumerate(got) for first in got[-1:]
    ]
    steady_ns = errors_ns[50:]
    assert max(steady_ns) - min(steady_ns) < 1_000_000, "once the smallest delay has been seen"


@pytest.mark.parametrize(
    ("fps", "interval_s"),
    [
        (30, UNWATCHED_S),
        (25, UNWATCHED_S),
        (24, UNWATCHED_S),
        (15, UNWATCHED_S),
        (MIN_STEADY_FPS, UNWATCHED_S),
    ]
    + [(fps, SLOW_UNWATCHED_S) for fps in (7.9, 5, 2, 1.02, 1, 0.5)],
)
def test_a_camera_that_is_read_in_batches_keeps_its_clock(fps: float, interval_s: float) -> None:
    beat_ns = round(interval_s * 1e9)
    sent = video_packets(round(max(120 * fps, 100)), fps=fps)
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(0)
    for packet in sent:
        got = timeline.repair(packet._replace(received_ns=-(-packet.received_ns // beat_ns) * beat_ns))
        assert got.pts == packet.pts and not timeline.uses_arrival and timeline.clock_rate is None
    late_ns = got.captured_ns - timeline._captured.wall_offset_ns - sent[-1].received_ns
    assert abs(late_ns) <= 10_000_000


def test_backward_steps_that_could_each_be_b_frames_do_not_accumulate() -> None:
    sent = [packet._replace(pts=10**9 - index * 81_000) for index, packet in enumerate(video_packets(500))]
    got = run(sent, depth=2)
    assert all(abs(p.dts_offset) < 3 * VIDEO_CLOCK_HZ for p in got)
    assert got[-1].pts > got[0].pts
    assert any(p.flags & Flags.DISCONT for p in got)


def at_rate(packets: Sequence[Packet], rate: float) -> list[Packet]:
    """The camera's clock runs so many seconds in one second."""
    return [packet._replace(pts=int(packet.pts * rate)) for packet in packets]


def errors_s(got: Sequence[Packet]) -> tuple[list[float], list[float]]:
    """How far pts and the wall clock of capture are from the arrival, in seconds, for each packet."""
    zero_ns = FakeClock().wall_ns() - START_NS
    pts = [(p.received_ns - got[0].received_ns) / 1e9 - (p.pts - got[0].pts) / VIDEO_CLOCK_HZ for p in got]
    return pts, [(p.received_ns + zero_ns - p.captured_ns) / 1e9 for p in got]


RATES = (0.6, 1.25, 1.05, 0.95, 1.03, 2.0, 0.9)


@pytest.mark.parametrize(
    ("rate", "bframes"), [(0.0004, 0), *((rate, bframes) for rate in RATES for bframes in (0, 2))]
)
def test_a_clock_that_runs_fast_or_slow_is_replaced_by_arrival_times(rate: float, bframes: int) -> None:
    sent = at_rate(as_camera_sends(video_packets(1500, bframes=bframes)), rate)
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(bframes)
    got = [timeline.repair(packet) for packet in sent]
    assert timeline.clock_rate == pytest.approx(rate, abs=0.02)
    pts_errors, wall_errors = errors_s(got)
    assert max(map(abs, wall_errors)) < 1.5
    assert max(map(abs, pts_errors[-250:])) < (1.5 if bframes else 0.6)
    decoded = decoding_times(got)
    assert decoded == sorted(decoded)


@pytest.mark.parametrize("rate", [0.0, -1.0])
@pytest.mark.parametrize("depth", [0, 2, None])
def test_a_clock_that_stands_still_or_runs_backward_breaks_nothing(rate: float, depth: int | None) -> None:
    got = run(at_rate(video_packets(1000, first_pts=10**9), rate), depth=depth)
    decoded = decoding_times(got)
    assert decoded == sorted(decoded) and max(map(abs, errors_s(got)[1])) < 60


@pytest.mark.parametrize("rate", [1.0, 1.01, 0.99, 1.0001])
def test_a_nearly_correct_clock_is_trusted(rate: float) -> None:
    jitter = random.Random(5)
    sent = [
        packet._replace(received_ns=packet.received_ns + int(jitter.expovariate(1 / 30e6)))
        for packet in at_rate(video_packets(3000), rate)
    ]
    sent = [
        p._replace(received_ns=max(q.received_ns for q in sent[max(0, n - 20) : n + 1]))
        for n, p in enumerate(sent)
    ]
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(0)
    for packet in sent:
        assert timeline.repair(packet).pts - packet.pts == 0
    assert timeline.clock_rate is None


@pytest.mark.parametrize("stall_s", [0.5, 3.0])
def test_a_network_that_stalls_and_catches_up_is_not_a_wrong_clock(stall_s: float) -> None:
    stalled_ns = START_NS + 10_000_000_000
    sent = []
    for packet in video_packets(1000):
        due_ns = packet.received_ns
        if stalled_ns < due_ns < stalled_ns + int(stall_s * 1e9):
            due_ns = stalled_ns + int(stall_s * 1e9)
        sent.append(packet._replace(received_ns=due_ns))
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(0)
    assert [timeline.repair(packet).pts for packet in sent] == [packet.pts for packet in sent]


def test_a_corrected_clock_is_trusted_again() -> None:
    slow = at_rate(video_packets(500), 0.6)
    right = video_packets(
        1500, first_pts=slow[-1].pts + FRAME, first_received_ns=slow[-1].received_ns + 40_000_000
    )
    timeline = PacketClock(FakeClock(monotonic_ns=START_NS))
    timeline.set_reorder_depth(0)
    for packet in slow:
        timeline.repair(packet)
    assert timeline.uses_arrival
    got = [timeline.repair(packet) for packet in right]
    assert not timeline.uses_arrival and timeline.clock_rate is None
    assert all(b.pts - a.pts == FRAME for a, b in pairwise(got[-200:]))


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_audio_whose_clock_runs_fast_or_slow_stays_in_sync_with_the_video(rate: float) -> None:
    sound = [p._replace(pts=int(p.pts * rate)) for p in audio_packets(3000)]
    got = run(in_arrival_order(video_packets(1500), sound))
    late = [
        p.captured_ns - FakeClock().wall_ns() - (p.received_ns - START_NS)
        for p in got
        if p.kind is Kind.AUDIO
    ]
    assert max(map(abs, late)) < 1.5e9

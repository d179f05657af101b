"""What is measured of a camera's packets: jitter, clock offset, declared frame rate."""

import struct

import pytest

from ninjacam.core.packets import Codec
from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.rtcp import MIN_JITTER_FRAMES, ReceptionState, parse_rtcp
from ninjacam.sources.rtsp.sdp import parse_sdp
from ninjacam.sources.rtsp.tracks import choose_tracks
from ninjacam.sources.track_clock import ClockOffset
from ninjacam.testing.rtp import NTP_EPOCH_S, sender_report
from tests.unit.sources.rtp_support import Sink

S = 10**9
NOW_S = 1_780_000_000
FRAME_TICKS = 3600
FRAME_NS = 40_000_000


def receive(state: ReceptionState, frames: int, *, late_ns: int = 0, first: int = 0) -> int:
    """Receive frames, every second one late. Return the number of the next frame."""
    for number in range(first, first + frames):
        state.note_arrival(number * FRAME_TICKS, S + number * FRAME_NS + late_ns * (number % 2))
    return first + frames


def test_frames_at_their_pace_have_no_jitter() -> None:
    state = ReceptionState(90_000)
    receive(state, 100)
    assert state.jitter_s == pytest.approx(0, abs=1e-6)


def test_the_jitter_is_the_mean_deviation_of_the_transit_time() -> None:
    state = ReceptionState(90_000)
    receive(state, 200, late_ns=30_000_000)
    assert state.jitter_s == pytest.approx(0.030, abs=0.0005)


def test_b_frames_are_not_jitter() -> None:
    state = ReceptionState(90_000)
    order = [0, *(number + step for number in range(1, 300, 3) for step in (2, 0, 1))]
    for sent, shown in enumerate(order):
        state.note_arrival(shown * FRAME_TICKS, S + sent * FRAME_NS)
    assert state.jitter_s == pytest.approx(0, abs=1e-4)


def test_the_jitter_is_known_after_some_frames_and_only_while_packets_are_read_at_once() -> None:
    state = ReceptionState(90_000)
    following = receive(state, MIN_JITTER_FRAMES)
    assert state.jitter_s is None
    following = receive(state, 10, first=following)
    assert state.jitter_s is not None
    state.set_read_at_once(is_read_at_once=False)
    assert state.jitter_s is None
    receive(state, 100, late_ns=200_000_000, first=following)
    state.set_read_at_once(is_read_at_once=True)
    assert state.jitter_s is None
    receive(state, 100, first=following + 1001)
    assert state.jitter_s == pytest.approx(0, abs=1e-4), "the pause and late reads do not count"


@pytest.mark.parametrize("step_s", [-3600, -1, 3600])
def test_a_jump_of_the_media_clock_is_not_jitter_for_long(step_s: int) -> None:
    state = ReceptionState(90_000)
    receive(state, 100)
    for number in range(200):
        state.note_arrival(step_s * 90_000 + (100 + number) * FRAME_TICKS, S + (100 + number) * FRAME_NS)
    assert state.jitter_s is not None
    assert state.jitter_s < 0.001


def test_packets_of_all_sequences_are_counted() -> None:
    state = ReceptionState(90_000)
    for ssrc, packets in ((1, 10), (2, 20)):
        state.restart(ssrc, 0)
        state.packets += packets
    assert state.earlier_packets + state.packets == 30


def offset_of(*reports_s: float) -> float | None:
    """Return the offset after sender reports of these times, 5 s apart by our clock."""
    offset = ClockOffset()
    for number, wall_s in enumerate(reports_s):
        data = sender_report(1, wall_s=wall_s, rtp_time=0, packets=0, octets=0)
        report, _ = parse_rtcp(data)
        assert report is not None
        offset.update(report.wall_ns, (NOW_S + 5 * number) * S)
    return offset.seconds


@pytest.mark.parametrize("off_s", [0, 0.25, -3720, 3600, 86_400 * 30, -86_400 * 365 * 26])
def test_two_reports_that_agree_show_the_offset_of_the_clock(off_s: float) -> None:
    assert offset_of(NOW_S + off_s) is None
    assert offset_of(NOW_S + off_s, NOW_S + 5 + off_s) == pytest.approx(off_s, abs=0.001)


@pytest.mark.parametrize(
    "reports_s",
    [
        (-NTP_EPOCH_S, -NTP_EPOCH_S),
        (0, 5),
        (86_400, 86_405),
        (-NTP_EPOCH_S + 86_400, -NTP_EPOCH_S + 86_405),
        (2**32 - 1 - NTP_EPOCH_S, 2**32 - 1 - NTP_EPOCH_S),
        (NOW_S + 86_400 * 400, NOW_S + 5 + 86_400 * 400),
        (NOW_S, NOW_S + 3600),
        (NOW_S, NOW_S + 5, 0),
        (NOW_S, NOW_S + 5, NOW_S + 7200),
    ],
    ids=[
        "zero",
        "1970",
        "uptime",
        "uptime-1900",
        "all-ones",
        "far-future",
        "disagree",
        "then-zero",
        "then-jump",
    ],
)
def test_a_report_without_a_time_of_day_shows_no_offset(reports_s: tuple[float, ...]) -> None:
    assert offset_of(*reports_s) is None


def test_the_year_2106_shows_no_offset() -> None:
    offset = ClockOffset()
    for number in range(3):
        offset.update(((1 << 32) + 5 * number) * S, (NOW_S + 5 * number) * S)
    assert offset.seconds is None


def test_an_offset_is_unknown_if_our_own_clock_is_not_set() -> None:
    offset = ClockOffset()
    for number in range(3):
        offset.update((NOW_S + 5 * number) * S, 5 * number * S)
    assert offset.seconds is None


@pytest.mark.parametrize(
    ("line", "fps"),
    [
        ("a=framerate:25.000000", 25),
        ("a=framerate: 12.5 ", 12.5),
        ("a=x-framerate:30", 30),
        ("a=framerate:", 0),
        ("a=framerate:-5", 0),
        ("a=framerate:1e9", 0),
        ("a=framerate:999", 0),
        ("a=framerate:99999", 0),
        ("a=framerate:0.0", 0),
        ("a=framerate:25fps", 0),
        ("a=recvonly", 0),
    ],
)
def test_the_declared_frame_rate_is_that_of_the_description(line: str, fps: float) -> None:
    stats = SourceStats()
    text = f"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n{line}\r\n"
    (track,) = choose_tracks(parse_sdp(text.encode()), Sink(), stats, audio=True)
    assert (track.track.codec, stats.declared_fps) == (Codec.H264, fps)


def test_a_truncated_report_is_ignored() -> None:
    assert parse_rtcp(struct.pack(">BBHI", 0x80, 200, 1, 7)) == (None, set())

"""The frames that a recorder passes on to be written, depending on the windows to keep."""

from collections.abc import Sequence

import pytest

from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Kind, Packet
from ninjacam.recordings import ring
from ninjacam.recordings.cutter import Job
from ninjacam.recordings.recorder import Recorder
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.packets import audio_packets, in_arrival_order, lost, video_packets
from tests.unit.recordings.recording_support import WALL_NS, stamped

S = 10**9


class Taken:
    """`files`: the frame numbers of each. Windows are in seconds of the first frame's clock, at 25 fps."""

    def __init__(self) -> None:
        self.files: list[list[int]] = []
        self.jobs: list[Job] = []
        self.room = True
        self.clock = FakeClock(wall_ns=WALL_NS)
        self._is_open = False
        self.recorder = Recorder(
            hand_on=self._hand_on, end_file=self._end_file, state=lambda: {"state": "?"}, clock=self.clock
        )
        self.recorder.begin(())

    def _hand_on(self, job: Job) -> bool:
        if not self.room:
            return False
        if job.after_gap or not self._is_open:
            self.files.append([])
        self._is_open = True
        self.files[-1] += [packet.sequence for packet in job.packets if packet.kind is Kind.VIDEO]
        self.jobs.append(job)
        return True

    def _end_file(self) -> None:
        self._is_open = False

    def keep(self, *windows: tuple[float, float], before_s: float = 5) -> None:
        self.recorder.keep([(WALL_NS + int(a * S), WALL_NS + int(b * S)) for a, b in windows], before_s)

    def feed(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            self.recorder.add(packet)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Return spans in seconds. Asserts that no frame of a file is missing or duplicated."""
        for numbers in self.files:
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
        return [(numbers[0] / 25, (numbers[-1] + 1) / 25) for numbers in self.files]


PACKETS = stamped(video_packets(1500, gop=50))
"""A minute, with a key frame every 2 s."""


def until(seconds: float, since: float = 0) -> list[Packet]:
    return PACKETS[int(since * 25) : int(seconds * 25)]


def test_without_an_order_everything_is_recorded() -> None:
    taken = Taken()
    taken.feed(until(10))
    taken.recorder.close()
    assert taken.spans == [(0, 10)]


def test_without_a_window_nothing_is_recorded() -> None:
    taken = Taken()
    taken.keep()
    taken.feed(until(60))
    taken.recorder.close()
    assert taken.files == []


def test_a_window_extends_to_the_key_frames_before_and_after_it() -> None:
    taken = Taken()
    taken.keep()
    taken.feed(until(20))
    taken.keep((12.5, 27.5))
    taken.feed(until(60, 20))
    assert taken.spans == [(12, 28)]


def test_the_ring_holds_the_pre_roll_and_the_delay_of_the_request() -> None:
    taken = Taken()
    taken.keep(before_s=10)
    taken.feed(until(40))
    taken.keep((0, 41), before_s=10)
    taken.feed(until(60, 40))
    ((first_s, last_s),) = taken.spans
    assert 40 - 10 - 5 - 3 <= first_s <= 40 - 10 - 5 and last_s == 42
    assert Taken().recorder.status()["ring_s"] == 0


def test_overlapping_windows_are_one_recording_and_others_are_separate() -> None:
    taken = Taken()
    taken.keep((10, 15), (14, 21), (30, 31))
    taken.feed(until(60))
    assert taken.spans == [(10, 22), (30, 32)]


def test_a_window_that_is_repeated_and_grows_duplicates_nothing() -> None:
    taken = Taken()
    taken.keep((2, 5))
    for second in range(1, 60):
        taken.feed(until(second, second - 1))
        taken.keep((2, max(5, min(second + 3, 30))))
    assert taken.spans == [(2, 30)]


def test_a_window_right_after_another_continues_from_there() -> None:
    taken = Taken()
    taken.keep((2, 6))
    taken.feed(until(9))
    taken.keep((2, 6), (5, 13))
    taken.feed(until(20, 9))
    assert taken.spans == [(2, 6), (6, 14)]


def test_frames_older_than_those_passed_on_are_dropped() -> None:
    taken = Taken()
    taken.keep()
    taken.feed(until(10))
    taken.keep((8, 12))
    taken.keep((2, 12))
    taken.feed(until(20, 10))
    assert taken.spans == [(8, 12)]


def test_a_future_window_is_kept_until_its_time() -> None:
    taken = Taken()
    taken.keep((7.9, 8.1))
    taken.feed(until(20))
    assert taken.spans == [(6, 10)]


def test_recording_everything_again_begins_with_the_buffered_frames() -> None:
    taken = Taken()
    taken.keep()
    taken.feed(until(20))
    taken.recorder.keep(None)
    taken.feed(until(60, 20))
    taken.recorder.close()
    ((first_s, last_s),) = taken.spans
    assert first_s <= 10 and last_s == 60
    assert taken.recorder.status()["ring_s"] == 0


def test_audio_is_recorded_with_the_video() -> None:
    taken = Taken()
    taken.keep((10, 14))
    taken.feed(in_arrival_order(until(30), stamped(audio_packets(1500))))
    heard = [packet for job in taken.jobs for packet in job.packets if packet.kind is Kind.AUDIO]
    assert taken.spans == [(10, 14)] and len(heard) == 4 * 50


def test_a_lost_connection_in_the_ring_is_a_gap_in_the_recording() -> None:
    taken = Taken()
    taken.keep()
    taken.feed(until(8))
    taken.recorder.flush()
    taken.recorder.begin(())
    taken.feed(until(16, 10))
    taken.keep((6, 15))
    taken.recorder.flush()
    assert taken.spans == [(6, 8), (10, 16)]


def test_frames_lost_in_the_ring_are_a_gap_too() -> None:
    taken = Taken()
    taken.keep()
    taken.feed(stamped(lost(PACKETS[:500], 310, 40)))
    taken.keep((11, 20))
    taken.recorder.flush()
    assert [(f[0], f[-1]) for f in taken.files] == [(250, 309), (350, 499)]


def test_the_bytes_are_bounded_and_the_loss_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "MAX_RING_BYTES", 160_000)  # 6 s
    taken = Taken()
    taken.keep(before_s=30)
    taken.feed(until(40))
    told = taken.recorder.status()
    assert told["ring_short"] and 3 <= told["ring_s"] <= 7
    taken.keep((0, 42), before_s=30)
    taken.feed(until(60, 40))
    ((first_s, last_s),) = taken.spans
    assert first_s >= 33 and last_s == 42
    taken.keep(before_s=0)
    later = {"first_pts": PACKETS[-1].pts, "first_received_ns": PACKETS[-1].received_ns}
    taken.feed(stamped(video_packets(500, gop=50, size_bytes=100, **later)))
    assert not taken.recorder.status()["ring_short"]


def test_one_gop_that_is_too_large_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring, "MAX_RING_BYTES", 160_000)
    taken = Taken()
    taken.keep()
    packets = stamped(video_packets(1500, gop=1400))
    taken.feed(packets[:1350])
    assert taken.recorder.status()["ring_s"] <= 7
    taken.keep((0, 100))
    taken.feed(packets[1350:])
    taken.recorder.flush()
    assert 1499 in taken.files[-1]


def test_a_ring_without_room_waits_for_it() -> None:
    taken = Taken()
    taken.keep((0, 30))
    taken.room = False
    taken.feed(until(8))
    taken.room = True
    taken.feed(until(60, 8))
    assert taken.spans == [(0, 30)] and taken.recorder.status()["dropped"] == 0


def test_data_without_room_for_too_long_is_counted_and_recording_resumes_at_a_key_frame() -> None:
    taken = Taken()
    taken.room = False
    taken.feed(until(9.5))
    assert taken.recorder.status()["dropped"] == 200
    taken.room = True
    taken.feed(until(20, 9.5))
    taken.recorder.close()
    assert taken.spans == [(8, 20)] and taken.recorder.status()["dropped"] == 200


def test_a_file_ends_although_the_camera_sends_nothing_more() -> None:
    taken = Taken()
    taken.keep((0, 30))
    taken.feed(until(8))
    taken.clock.advance(40)
    assert taken._is_open
    taken.keep()
    assert not taken._is_open


def test_annotations_of_another_stream_get_the_time_of_the_frame_captured_with_them() -> None:
    taken = Taken()
    recorder = taken.recorder
    taken.feed(PACKETS[:30])
    at = PACKETS[10]
    other = at._replace(codec=Codec.ANNOTATIONS, data=b"other", pts=at.pts + 987_654_321)
    recorder.annotate(other._replace(captured_ns=at.captured_ns + 9_000_000))
    recorder.annotate(at._replace(codec=Codec.ANNOTATIONS, data=b"own", captured_ns=0))
    late = PACKETS[29]
    recorder.annotate(other._replace(data=b"ahead", captured_ns=late.captured_ns + S))
    recorder.flush()
    found = [each for job in taken.jobs for each in job.annotations]
    assert found == [(at.pts, b"other"), (at.pts, b"own"), (late.pts + VIDEO_CLOCK_HZ, b"ahead")]

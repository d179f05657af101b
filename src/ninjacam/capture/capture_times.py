"""Determines the wall-clock time at which packets were captured: from the camera's reports or from their arrival."""

from ninjacam.capture.clock_rate import ClockRate
from ninjacam.core.clock import Clock
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Kind, Packet

MAX_REPORT_LEAD_S = 0.1
MAX_REPORT_LAG_S = 5.0
"""Maximum deviation of the camera's own capture time from our estimate at which it is used."""
WINDOW_S = 30.0
"""Seconds of a window. The smallest delay is that of one to two windows, to follow a drifting camera clock.
"""
WALL_SAMPLE_S = 1.0
JUMP_S = 5.0
"""Seconds by which a step of the camera's clock must exceed the elapsed time to count as a jump."""
BACKWARD_S = 1.0
"""B-frames reorder frames by less than this; after a larger step back, time ran backwards."""


class SmallestDelay:
    """The smallest (arrival - camera time) of the last one to two windows. Network delay only increases it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._current_ns: int | None = None
        self._previous_ns: int | None = None
        self._window_ends_ns = 0

    def update(self, delay_ns: int, now_ns: int) -> int:
        if self._current_ns is None or delay_ns < self._current_ns:
            self._current_ns = delay_ns
        if now_ns >= self._window_ends_ns:
            self._previous_ns, self._current_ns = self._current_ns, delay_ns
            self._window_ends_ns = now_ns + int(WINDOW_S * 1e9)
        return self._current_ns if self._previous_ns is None else min(self._current_ns, self._previous_ns)


class CaptureTimes:
    """The capture times of one camera's video. `wall_offset_ns`: wall clock minus monotonic clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reports_used = False
        """Whether the camera's own clock is currently trusted."""
        self.wall_offset_ns = 0
        self._wall_sampled_ns = -(10**18)
        self._delay = SmallestDelay()

    def reset(self) -> None:
        """Restart the measurement of the delay, because timestamps are now placed differently."""
        self._delay.reset()

    def captured_ns(self, packet: Packet, pts: int, *, believes_reports: bool) -> int:
        """Return the wall-clock capture time of a packet's frame in ns. `pts`: repaired."""
        now_ns = packet.received_ns
        if now_ns - self._wall_sampled_ns > WALL_SAMPLE_S * 1e9:
            self.wall_offset_ns = self._clock.wall_ns() - self._clock.monotonic_ns()
            self._wall_sampled_ns = now_ns
        pts_ns = pts * 1_000_000_000 // VIDEO_CLOCK_HZ
        estimate_ns = pts_ns + self._delay.update(now_ns - pts_ns, now_ns) + self.wall_offset_ns
        self.reports_used = False
        if packet.captured_ns and believes_reports:
            lag_s = (estimate_ns - packet.captured_ns) / 1e9
            self.reports_used = -MAX_REPORT_LEAD_S <= lag_s <= MAX_REPORT_LAG_S
        return packet.captured_ns if self.reports_used else estimate_ns


class AudioClock:
    """The times of a connection's audio. Audio keeps its own clock rate, and is shifted so that it starts at its
    arrival."""

    def __init__(self) -> None:
        self._tracks: dict[Kind, tuple[int, int, SmallestDelay]] = {}
        self._rate: ClockRate | None = None

    def repair(self, packet: Packet, sequence: int, times: CaptureTimes) -> Packet:
        """Return the packet with repaired times. `times`: those of the video; its wall clock also applies to audio."""
        hz = packet.time_base_hz
        last_raw, shift, delay = self._tracks.get(packet.kind, (packet.pts, 0, SmallestDelay()))
        step_s = (packet.pts - last_raw) / hz
        rate = self._rate = self._rate or ClockRate(hz)
        if (
            packet.kind not in self._tracks
            or not -BACKWARD_S <= step_s <= JUMP_S
            or rate.update(packet.pts, packet.received_ns)
        ):
            shift = packet.received_ns * hz // 1_000_000_000 - packet.pts
            delay.reset()
            rate.reset()
        self._tracks[packet.kind] = (packet.pts, shift, delay)
        pts_ns = (packet.pts + shift) * 1_000_000_000 // hz
        smallest_ns = delay.update(packet.received_ns - pts_ns, packet.received_ns)
        reported = times.reports_used and packet.captured_ns
        captured_ns = packet.captured_ns if reported else pts_ns + smallest_ns + times.wall_offset_ns
        return Packet(
            packet.kind, packet.codec, packet.data, packet.pts + shift, packet.received_ns, hz, packet.duration,
            0, packet.flags, captured_ns, sequence,
        )  # fmt: skip

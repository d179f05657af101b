"""Converts camera timestamps to one consistent time. No other module does. docs/design/0001-time.md.

Input: packets with the camera's own timestamps, which may jump, repeat and run backwards. Output: packets whose
decoding time never decreases, with the wall-clock time of capture. Invalid timestamps are repaired, never rejected.
"""

from ninjacam.capture.capture_times import BACKWARD_S, JUMP_S, AudioClock, CaptureTimes
from ninjacam.capture.clock_rate import ClockRate
from ninjacam.capture.decoding_times import DecodingTimes
from ninjacam.core.clock import Clock
from ninjacam.core.packets import VIDEO, VIDEO_CLOCK_HZ, Flags, Packet

# Constants for the code that runs for each packet.
_JUMP, _BACKWARD = int(JUMP_S * VIDEO_CLOCK_HZ), int(BACKWARD_S * VIDEO_CLOCK_HZ)
DEFAULT_FRAME_S = 0.04
MAX_RATE_ERROR = 0.02
BELIEVED_AFTER_S = 30.0
"""Seconds without an unusable timestamp after which a camera's clock is trusted again."""
MAX_LATE_TICKS = VIDEO_CLOCK_HZ // 2
"""If frames are placed by arrival, a frame later than this follows a pause; an earlier one is merely delayed.
"""


class PacketClock:
    """The state of one camera's clock. Kept across reconnects (`restart`), so that its packets remain one sequence."""

    def __init__(self, clock: Clock) -> None:
        self._sequence = 0
        self.jumps = 0
        self.uses_arrival: bool
        """Whether frames are placed by arrival, because recent timestamps were unusable."""
        self.clock_rate: float | None
        """Camera seconds per second, while the camera's clock is not trusted because it runs fast or slow."""
        self._last_pts: int | None = None  # Repaired; of the previous video packet.
        self._last_received_ns = 0
        self._frame_ticks = DEFAULT_FRAME_S * VIDEO_CLOCK_HZ
        self._decoding = DecodingTimes()
        self._captured = CaptureTimes(clock)
        self.restart()

    def restart(self) -> None:
        """Note that the source was opened again, with an unrelated clock."""
        self._last_raw: int | None = None
        self._shift = 0
        self._anchored = False
        self.uses_arrival = False
        self._useless_ns = 0
        self._arrival_zero = 0
        self._rate = ClockRate(VIDEO_CLOCK_HZ)
        self.clock_rate = None
        self._scale = 1.0
        self._scaled_from = (0, 0)
        self._audio = AudioClock()
        self._decoding.restart()
        self._captured.reset()

    @property
    def reports_used(self) -> bool:
        """Return whether the camera's own clock is currently trusted."""
        return self._captured.reports_used

    def set_reorder_depth(self, depth: int | None) -> None:
        """Set the number of frames that may precede a frame in decoding order and follow it in display order (from
        the SPS). None: unknown, so the stream is assumed to have no B-frames until one arrives."""
        self._decoding.set_depth(depth)

    def repair(self, packet: Packet) -> Packet:
        """Return the packet with repaired times. Thread: one, in decoding order."""
        self._sequence += 1
        if packet.kind is not VIDEO:
            return self._audio.repair(packet, self._sequence, self._captured)
        flags = packet.flags
        raw = packet.pts
        elapsed_ticks = (packet.received_ns - self._last_received_ns) * VIDEO_CLOCK_HZ // 1_000_000_000
        if not self._anchored:
            # The first of a connection continues where the previous one ended, by this host's clock.
            if self._last_pts is not None:
                self._shift = self._last_pts + max(elapsed_ticks, int(self._frame_ticks)) - raw
                flags |= Flags.DISCONT
            self._anchored = True
        elif self._last_raw is not None and self._follow(
            raw, self._last_raw, packet.received_ns, elapsed_ticks
        ):
            flags |= Flags.DISCONT
        pts = raw + self._shift
        self._last_raw = raw
        self._last_pts = pts if self._last_pts is None else max(pts, self._last_pts)
        self._last_received_ns = packet.received_ns
        dts = self._decoding.next(pts, self._frame_ticks)
        # If frames are placed by arrival, the camera's timestamps do not determine their capture times.
        captured_ns = self._captured.captured_ns(packet, pts, believes_reports=not self.uses_arrival)
        return Packet(
            packet.kind, packet.codec, packet.data, pts, packet.received_ns, packet.time_base_hz,
            packet.duration or int(self._frame_ticks), pts - dts, flags,
            captured_ns, self._sequence, packet.width_px, packet.height_px,
        )  # fmt: skip

    def _follow(self, raw: int, last_raw: int, received_ns: int, elapsed_ticks: int) -> bool:
        """Update the offset between the camera's time and ours for the next frame. Return whether the time has
        jumped."""
        step = raw - last_raw
        jumped = False
        if self._rate.update(raw, received_ns):
            self._correct_rate(raw, received_ns)
        self._decoding.learn(step)
        if not self._decoding.depth and (self.uses_arrival or -_BACKWARD < step <= 0):
            self._shift = self._place(received_ns, step, elapsed_ticks) - raw
        elif step > elapsed_ticks + _JUMP or step <= -_BACKWARD or self._runs_backward(raw):
            self._jump(raw, elapsed_ticks)
            jumped = True
        elif 0 < step < VIDEO_CLOCK_HZ:
            self._frame_ticks += (step * self._scale - self._frame_ticks) / 8
        if self._scale != 1.0:
            self._shift = self._scaled_from[1] + int((raw - self._scaled_from[0]) * self._scale) - raw
        return jumped

    def _jump(self, raw: int, elapsed_ticks: int) -> None:
        """Handle a jump of the camera's clock: continue after the last frame by the time that has elapsed here."""
        self._shift = (self._last_pts or 0) + max(1, min(elapsed_ticks, _JUMP)) - raw
        self.jumps += 1
        self._captured.reset()
        self._rate.reset()
        self._scale, self.clock_rate = 1.0, None
        self._decoding.forget()

    def _correct_rate(self, raw: int, received_ns: int) -> None:
        """Handle a clock that runs fast or slow: place frames by arrival or, if they are reordered so that arrival
        is not accurate, scale their times. Compensates for the time gained or lost so far."""
        self._useless_ns = received_ns
        reference = self._rate.reference_ns * VIDEO_CLOCK_HZ // 1_000_000_000
        arrival_zero = self._shift - reference
        if self._decoding.depth:
            if self.clock_rate is None or abs(self._rate.rate / self.clock_rate - 1) > MAX_RATE_ERROR:
                late = arrival_zero + received_ns * VIDEO_CLOCK_HZ // 1_000_000_000 - (raw + self._shift)
                self._scaled_from = (raw, raw + self._shift + max(0, late))
                self._scale = 1 / self._rate.rate
                self._captured.reset()
                self._rate.reset()
            else:
                return
        elif not self.uses_arrival:
            self._arrival_zero = arrival_zero
            self.uses_arrival = True
            self._captured.reset()
        self.clock_rate = self._rate.rate

    def _place(self, received_ns: int, step: int, elapsed_ticks: int) -> int:
        """Return the time of a frame with an unusable timestamp: one frame interval after the previous one,
        gradually corrected towards its arrival. Frames that arrive in bursts are therefore spaced evenly, and a
        pause remains a pause."""
        last_pts = self._last_pts or 0
        if not self.uses_arrival:
            self._arrival_zero = last_pts - self._last_received_ns * VIDEO_CLOCK_HZ // 1_000_000_000
        if step <= 0:
            self._useless_ns = received_ns
        self.uses_arrival = received_ns - self._useless_ns < BELIEVED_AFTER_S * 1e9
        if not self.uses_arrival:
            self.clock_rate = None
        if elapsed_ticks < VIDEO_CLOCK_HZ:
            self._frame_ticks += (elapsed_ticks - self._frame_ticks) / 32
        arrived = self._arrival_zero + received_ns * VIDEO_CLOCK_HZ // 1_000_000_000
        late = arrived - last_pts - self._frame_ticks
        if late > MAX_LATE_TICKS:
            return arrived
        return last_pts + max(1, int(self._frame_ticks + max(late / 8, -self._frame_ticks / 2)))

    def _runs_backward(self, raw: int) -> bool:
        """Return whether the sum of small steps back exceeds the reordering of B-frames."""
        last_dts = self._decoding.last
        return (
            bool(self._decoding.depth) and last_dts is not None and raw + self._shift < last_dts - _BACKWARD
        )

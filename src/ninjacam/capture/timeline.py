"""The one place where a camera's time is made sense of. docs/design/0001-time.md.

In: packets with the camera's own timestamps, which jump, repeat and run backwards. Out: packets whose decoding time
never decreases and that bear the wall-clock time of capture. Repaired, never refused.
"""

import heapq

from ninjacam.capture.clock_rate import ClockRate
from ninjacam.core.clock import Clock
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet

JUMP_S = 5.0
"""A step of the camera's clock this much longer than the time that passed here is a jump."""
BACKWARD_S = 1.0
"""Pictures come out of order by less than this where there are B-frames; beyond it, time ran backwards."""
_JUMP, _BACKWARD = int(JUMP_S * VIDEO_CLOCK_HZ), int(BACKWARD_S * VIDEO_CLOCK_HZ)  # asked of each packet
MAX_REPORT_LEAD_S = 0.1
MAX_REPORT_LAG_S = 5.0
"""A camera's own wall clock counts if it puts the capture between these before and after our estimate."""
WINDOW_S = 30.0
"""The smallest delay is sought over one to two windows, so that a drifting camera clock is followed."""
WALL_SAMPLE_S = 1.0
DEFAULT_FRAME_S = 0.04
LEARNED_DEPTH = 2
MAX_LEARNED_TICKS = VIDEO_CLOCK_HZ // 4
"""A stream that does not say how it reorders, and steps back by less than this, has B-frames."""
MAX_RATE_ERROR = 0.02
BELIEVED_AFTER_S = 30.0
"""A camera whose stamps were of no use is believed again after this long without such a stamp."""
MAX_LATE_TICKS = VIDEO_CLOCK_HZ // 2
"""Placed by arrival, a picture that is later than this comes after a pause; one that is not, after a delay."""


class SmallestDelay:
    """The least (arrival - camera time) of the last one to two windows: what the network adds is above it."""

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


class PacketClock:
    """State of one camera's clock. Survives reconnects (`restart`), so that its packets stay one sequence.

    `reorder_depth`: how many pictures may precede one in decoding and follow it in display (from the SPS).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sequence = 0
        self.jumps = 0
        self.reports_used = False
        """Whether the camera's own clock is believed at the moment."""
        self.uses_arrival: bool
        """Whether pictures are placed by when they arrived: lately there were stamps that were of no use."""
        self.clock_rate: float | None
        """Camera seconds per second, while the camera's clock is not believed because it runs fast or slow."""
        self._last_pts: int | None = None  # repaired, of the video packet before
        self._last_dts: int | None = None
        self._last_received_ns = 0
        self._wall_offset_ns = 0
        self._wall_sampled_ns = -(10**18)
        self._frame_ticks = DEFAULT_FRAME_S * VIDEO_CLOCK_HZ
        self.restart()

    def restart(self) -> None:
        """The source was opened anew: its clock has nothing to do with the one before."""
        self._last_raw: int | None = None
        self._shift = 0
        self._anchored = False
        self._delay = SmallestDelay()
        self.uses_arrival = False
        self._useless_ns = 0
        self._arrival_zero = 0
        self._reorder_depth = 0
        self._learns_depth = False
        self._reordering: list[int] = []
        self._audio: dict[Kind, tuple[int, int, SmallestDelay]] = {}
        self._rate = ClockRate(VIDEO_CLOCK_HZ)
        self._audio_rate: ClockRate | None = None
        self.clock_rate = None
        self._scale = 1.0
        self._scaled_from = (0, 0)

    def set_reorder_depth(self, depth: int | None) -> None:
        """None: the stream does not say; it is taken to have no B-frames until one shows."""
        self._learns_depth = depth is None
        if depth is not None and depth != self._reorder_depth:
            self._reorder_depth = depth
            self._reordering = []

    def repair(self, packet: Packet) -> Packet:
        """The packet on the house's time. Thread: one, in order of decoding."""
        self._sequence += 1
        if packet.kind is not Kind.VIDEO:
            return self._repair_audio(packet)
        flags = packet.flags
        raw = packet.pts
        elapsed_ticks = (packet.received_ns - self._last_received_ns) * VIDEO_CLOCK_HZ // 1_000_000_000
        if not self._anchored:
            # The first of a connection goes on where the one before ended, by this host's clock.
            if self._last_pts is not None:
                self._shift = self._last_pts + max(elapsed_ticks, int(self._frame_ticks)) - raw
                flags |= Flags.DISCONT
            self._anchored = True
        elif self._last_raw is not None:
            step = raw - self._last_raw
            if self._rate.update(raw, packet.received_ns):
                self._correct_rate(raw, packet.received_ns)
            if self._learns_depth and not self._reorder_depth and -MAX_LEARNED_TICKS <= step < 0:
                self._reorder_depth = LEARNED_DEPTH
            if not self._reorder_depth and (self.uses_arrival or -_BACKWARD < step <= 0):
                self._shift = self._place(packet.received_ns, step, elapsed_ticks) - raw
            elif (
                step > elapsed_ticks + _JUMP
                or step <= -_BACKWARD
                or (self._reorder_depth and self._runs_backward(raw))
            ):
                self._shift = (self._last_pts or 0) + max(1, min(elapsed_ticks, _JUMP)) - raw
                self.jumps += 1
                self._delay.reset()
                self._rate.reset()
                self._scale, self.clock_rate = 1.0, None
                self._reordering = []
                flags |= Flags.DISCONT
            elif 0 < step < VIDEO_CLOCK_HZ:
                self._frame_ticks += (step * self._scale - self._frame_ticks) / 8
            if self._scale != 1.0:
                self._shift = self._scaled_from[1] + int((raw - self._scaled_from[0]) * self._scale) - raw
        pts = raw + self._shift
        self._last_raw = raw
        self._last_pts = pts if self._last_pts is None else max(pts, self._last_pts)
        self._last_received_ns = packet.received_ns
        dts = self._decoding_time(pts)
        return Packet(
            packet.kind, packet.codec, packet.data, pts, packet.received_ns, packet.time_base_hz,
            packet.duration or int(self._frame_ticks), pts - dts, flags,
            self._captured_ns(packet, pts), self._sequence, packet.width_px, packet.height_px,
        )  # fmt: skip

    def _correct_rate(self, raw: int, received_ns: int) -> None:
        """The camera's clock runs fast or slow: pictures are placed by their arrival, or, where they are reordered and
        arrival says little, their times are stretched. What was gained or lost until now is made up for."""
        self._useless_ns = received_ns
        reference = self._rate.reference_ns * VIDEO_CLOCK_HZ // 1_000_000_000
        arrival_zero = self._shift - reference
        if self._reorder_depth:
            if self.clock_rate is None or abs(self._rate.rate / self.clock_rate - 1) > MAX_RATE_ERROR:
                late = arrival_zero + received_ns * VIDEO_CLOCK_HZ // 1_000_000_000 - (raw + self._shift)
                self._scaled_from = (raw, raw + self._shift + max(0, late))
                self._scale = 1 / self._rate.rate
                self._delay.reset()
                self._rate.reset()
            else:
                return
        elif not self.uses_arrival:
            self._arrival_zero = arrival_zero
            self.uses_arrival = True
            self._delay.reset()
        self.clock_rate = self._rate.rate

    def _place(self, received_ns: int, step: int, elapsed_ticks: int) -> int:
        """Where a picture belongs whose stamp is of no use: one picture's length behind the last, drawn gently to when
        it arrived, so that what the network bunches is even again and a pause stays a pause."""
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
        """Whether many small steps back have added up to more than B-frames make."""
        return self._last_dts is not None and raw + self._shift < self._last_dts - _BACKWARD

    def _decoding_time(self, pts: int) -> int:
        depth = self._reorder_depth
        if not depth:
            dts = pts
        else:
            heapq.heappush(self._reordering, pts)
            missing = depth + 1 - len(self._reordering)
            if missing > 0:
                dts = self._reordering[0] - int(missing * self._frame_ticks)
            else:
                dts = heapq.heappop(self._reordering)
        if self._last_dts is not None and dts <= self._last_dts:
            dts = self._last_dts + 1
        self._last_dts = dts
        return dts

    def _captured_ns(self, packet: Packet, pts: int) -> int:
        now_ns = packet.received_ns
        if now_ns - self._wall_sampled_ns > WALL_SAMPLE_S * 1e9:
            self._wall_offset_ns = self._clock.wall_ns() - self._clock.monotonic_ns()
            self._wall_sampled_ns = now_ns
        pts_ns = pts * 1_000_000_000 // VIDEO_CLOCK_HZ
        estimate_ns = pts_ns + self._delay.update(now_ns - pts_ns, now_ns) + self._wall_offset_ns
        self.reports_used = False
        if packet.captured_ns and not self.uses_arrival:  # else its stamps say nothing of when
            lag_s = (estimate_ns - packet.captured_ns) / 1e9
            self.reports_used = -MAX_REPORT_LEAD_S <= lag_s <= MAX_REPORT_LAG_S
        return packet.captured_ns if self.reports_used else estimate_ns

    def _repair_audio(self, packet: Packet) -> Packet:
        """Audio keeps its own clock rate; it is moved so that it starts where it arrived."""
        hz = packet.time_base_hz
        last_raw, shift, delay = self._audio.get(packet.kind, (packet.pts, 0, SmallestDelay()))
        step_s = (packet.pts - last_raw) / hz
        rate = self._audio_rate = self._audio_rate or ClockRate(hz)
        if (
            packet.kind not in self._audio
            or not -BACKWARD_S <= step_s <= JUMP_S
            or rate.update(packet.pts, packet.received_ns)
        ):
            shift = packet.received_ns * hz // 1_000_000_000 - packet.pts
            delay.reset()
            rate.reset()
        self._audio[packet.kind] = (packet.pts, shift, delay)
        pts_ns = (packet.pts + shift) * 1_000_000_000 // hz
        smallest_ns = delay.update(packet.received_ns - pts_ns, packet.received_ns)
        reported = self.reports_used and packet.captured_ns
        captured_ns = packet.captured_ns if reported else pts_ns + smallest_ns + self._wall_offset_ns
        return Packet(
            packet.kind, packet.codec, packet.data, packet.pts + shift, packet.received_ns, hz, packet.duration,
            0, packet.flags, captured_ns, self._sequence,
        )  # fmt: skip

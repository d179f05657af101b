"""Holds back packets of a still scene, so that they need not be decoded: only key frames pass.

The gate opens for a moment when packets become larger than they were, which costs nothing to notice, and for as long as
the decoding thread asks for it (`vision.attention`). The packets since the last key frame are kept until then, so that
decoding continues at once. Cameras with a constant bitrate hide motion from the gate, but not from key frames.
"""

from ninjacam.core.packets import Packet

OPEN_NS = 1_500_000_000
"""Nanoseconds for which large packets open the gate."""
MAX_HELD = 600
MAX_HELD_BYTES = 8 << 20
"""Maximum that is held since a key frame. Beyond it, the gate cannot open before the next key frame."""
KEY_EVERY_NS = 900_000_000
"""Minimum interval of the key frames that pass: in MJPEG, every frame is one."""
WARM_UP = 50
"""Number of packets that pass at first."""
FAST, SLOW = 0.3, 0.005
"""Weight of the newest packet in the present size and in the usual size."""
LARGER_BY = 0.4
"""Share of the usual size by which packets must be larger."""
DEVIATIONS = 4.0
MIN_LARGER_BYTES = 120.0


class MotionGate:
    """`is_used`: whether all that is made of the frames may wait for motion.

    Thread: the event loop; `open_until` may be called in any. Times are monotonic.
    """

    def __init__(self) -> None:
        self.is_used = False
        self.passed = 0
        self.held_back = 0
        self._open_until_ns = 0
        self._held: list[Packet] = []
        self._held_bytes = 0
        self._needs_key = False
        self._last_was_key = False
        self._key_ns = -KEY_EVERY_NS
        self._sizes = PacketSizes()

    @property
    def skipped_share(self) -> float:
        """Return the share of frames that were not decoded."""
        return round(self.held_back / max(1, self.held_back + self.passed), 4)

    def open_until(self, until_ns: int) -> None:
        self._open_until_ns = max(self._open_until_ns, until_ns)

    def take(self, packet: Packet) -> tuple[Packet, ...]:
        """Return the packets to decode now, of which `packet` is the last, or none."""
        is_intra_only = packet.is_key and self._last_was_key
        self._last_was_key = packet.is_key
        if (is_intra_only or not packet.is_key) and self._sizes.are_larger(len(packet.data)):
            self.open_until(packet.received_ns + OPEN_NS)
        is_closed = self.is_used and packet.received_ns >= self._open_until_ns
        if packet.is_key:
            self._drop_held()
            self._needs_key = False
            is_closed &= packet.received_ns - self._key_ns < KEY_EVERY_NS
        if self._needs_key or is_closed:
            self._hold(packet)
            return ()
        if packet.is_key:
            self._key_ns = packet.received_ns
        waiting, self._held, self._held_bytes = self._held, [], 0
        self.passed += 1 + len(waiting)
        return (*waiting, packet)

    def _hold(self, packet: Packet) -> None:
        self._held.append(packet)
        self._held_bytes += len(packet.data)
        if len(self._held) > MAX_HELD or self._held_bytes > MAX_HELD_BYTES:
            self._drop_held()
            self._needs_key = True

    def _drop_held(self) -> None:
        self.held_back += len(self._held)
        self._held, self._held_bytes = [], 0


class PacketSizes:
    """Notices when packets become larger."""

    def __init__(self) -> None:
        self._count = 0
        self._usual = self._deviation = self._present = 0.0

    def are_larger(self, size_bytes: int) -> bool:
        self._count += 1
        weight = max(SLOW, 1 / self._count)
        self._present += max(FAST, 1 / self._count) * (size_bytes - self._present)
        excess = self._present - self._usual
        self._usual += weight * (size_bytes - self._usual)
        self._deviation += weight * (abs(excess) - self._deviation)
        if self._count <= WARM_UP:
            return True
        return excess > max(DEVIATIONS * self._deviation, LARGER_BY * self._usual, MIN_LARGER_BYTES)

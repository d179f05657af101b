"""The packets that wait for the decoding thread of a stream."""

import queue

from ninjacam.core.packets import Packet, StreamInfo
from ninjacam.vision.motion_gate import MotionGate

MAX_WAITING = 100
"""Maximum number of waiting packets; beyond it, decoding cannot keep up and skips to a key frame."""


class Backlog:
    """Filled by the event loop, emptied by one thread. `needs_key`: skip to the next key frame. An item is a packet and
    those before it that were held back.
    """

    def __init__(self, gate: MotionGate | None = None) -> None:
        self.needs_key = True
        self._gate = gate or MotionGate()
        self._queue: queue.SimpleQueue[tuple[Packet, ...] | StreamInfo | None] = queue.SimpleQueue()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def put(self, packet: Packet) -> None:
        if self._queue.qsize() > MAX_WAITING:
            self.needs_key = True
            if not packet.is_key:
                return
        packets = self._gate.take(packet)
        if packets:
            self._queue.put(packets)

    def put_info(self, info: StreamInfo) -> None:
        self._queue.put(info)

    def close(self) -> None:
        """The thread ends once it has taken what waits."""
        self._queue.put(None)

    def get(self, timeout: float | None) -> tuple[Packet, ...] | StreamInfo | None:
        """Return the next item; None: it is closed. `timeout`: in seconds. Raises: queue.Empty."""
        return self._queue.get(timeout=timeout)

"""The packets since the last key frame, so that a new subscriber has a picture at once."""

from collections import deque
from collections.abc import Iterator

from ninjacam.core.packets import Flags, Kind, Packet

MOST_PACKETS = 300
MOST_BYTES = 8 << 20


class GopCache:
    """Bounded: a GOP of more than 300 packets or 8 MB is not kept, and new subscribers wait for the next key frame."""

    def __init__(self) -> None:
        self._packets: deque[Packet] = deque()
        self.size_bytes = 0
        self._overflowed = True  # nothing can be started before the first key frame

    def add(self, packet: Packet) -> None:
        if packet.kind is Kind.VIDEO and packet.flags & Flags.KEY:
            self.clear()
            self._overflowed = False
        elif self._overflowed:
            return
        self._packets.append(packet)
        self.size_bytes += len(packet.data)
        if len(self._packets) > MOST_PACKETS or self.size_bytes > MOST_BYTES:
            self.clear()

    def clear(self) -> None:
        self._packets.clear()
        self.size_bytes = 0
        self._overflowed = True

    def __iter__(self) -> Iterator[Packet]:
        return iter(self._packets)

    def __len__(self) -> int:
        return len(self._packets)

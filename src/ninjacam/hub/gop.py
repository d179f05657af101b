"""Caches the packets since the last key frame, so that a new subscriber gets a frame at once."""

from collections import deque
from collections.abc import Iterator

from ninjacam.core.packets import VIDEO, Flags, Packet

MAX_BYTES = 16 << 20
"""Maximum size of the cache: 12 s at 10 Mbit/s. Each packet counts with its Python objects."""
MAX_SECONDS = 30.0
_PACKET_BYTES = 300


class GopCache:
    """Caches one GOP, limited by bytes and seconds. `refused`: why nothing is cached until the next key
    frame, or ""."""

    def __init__(self) -> None:
        self._packets: deque[Packet] = deque()
        self.size_bytes = 0
        self.refused = ""
        self._overflowed = True  # Decoding cannot start before the first key frame.

    def add(self, packet: Packet) -> None:
        if packet.kind is VIDEO and packet.flags & Flags.KEY:
            self.clear()
            self._overflowed = False
        elif self._overflowed:
            return
        self._packets.append(packet)
        self.size_bytes += len(packet.data) + _PACKET_BYTES
        if self.size_bytes > MAX_BYTES:
            self._refuse(f"larger than {MAX_BYTES >> 20} MB")
        elif packet.received_ns - self._packets[0].received_ns > MAX_SECONDS * 1e9:
            self._refuse(f"longer than {MAX_SECONDS:g} s")

    def _refuse(self, why: str) -> None:
        self.clear()
        self.refused = why

    def clear(self) -> None:
        self._packets.clear()
        self.size_bytes = 0
        self.refused = ""
        self._overflowed = True

    def __iter__(self) -> Iterator[Packet]:
        return iter(self._packets)

    def __len__(self) -> int:
        return len(self._packets)

"""The packets that a source delivers."""

import asyncio

from ninjacam.core.packets import Packet


class Packets(list[Packet]):
    """Collects packets. `enough` is set with the last of `count`."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.enough = asyncio.Event()
        self._count = count

    def take(self, packet: Packet) -> None:
        self.append(packet)
        if len(self) >= self._count:
            self.enough.set()

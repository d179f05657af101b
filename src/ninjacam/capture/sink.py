"""The interface to the recorder, which receives a camera's packets directly. Capture does not depend on the
recorder."""

from collections.abc import Sequence
from typing import Any, Protocol

from ninjacam.core.packets import Packet, Track


class PacketSink(Protocol):
    """The sink of one camera. Called in the event loop: fast, never blocks, never raises."""

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """Note that the camera is (re)connected, with these tracks."""

    def add(self, packet: Packet) -> None:
        """Add a packet: in decoding order, with repaired time."""

    def annotate(self, packet: Packet) -> None:
        """Add a packet of `Codec.ANNOTATIONS` for a frame that `add` received shortly before, with its `pts`."""

    def keep(self, windows: Sequence[tuple[int, int]] | None, before_s: float) -> None:
        """Set the recorded windows (from, until), wall clock in ns, which may start up to `before_s` ago; None:
        record everything."""

    def flush(self) -> None:
        """Note that the camera is disconnected."""

    def status(self) -> dict[str, Any]:
        """Return a part of the camera's status: at least {"state", "error"}."""

    def close(self) -> None:
        """Close the sink after its last packet. Idempotent."""


class PacketSinks(Protocol):
    """Opens the sinks of a process's cameras."""

    def open(self, slug: str) -> PacketSink: ...

    def report(self) -> list[dict[str, Any]]:
        """Return changes since the last call: "segments" of the process's report."""

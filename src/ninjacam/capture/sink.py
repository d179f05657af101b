"""The interface to the recorder, which receives a camera's packets directly. Capture itself knows no recorder."""

from collections.abc import Sequence
from typing import Any, Protocol

from ninjacam.core.packets import Packet, Track


class PacketSink(Protocol):
    """The sink of one camera. Called in the event loop: fast, never blocks, never raises."""

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """The camera is (re)connected, with these tracks."""

    def add(self, packet: Packet) -> None:
        """Add a packet: in decoding order, with repaired time."""

    def annotate(self, packet: Packet) -> None:
        """Add a packet of `Codec.ANNOTATIONS` for a frame that `add` received shortly before, with its `pts`."""

    def keep(self, windows: Sequence[tuple[int, int]] | None, before_s: float) -> None:
        """Set what to record: what was captured within these (from, until), wall clock in ns, which may start up to
        `before_s` ago; None: everything.
        """

    def flush(self) -> None:
        """The camera is disconnected."""

    def status(self) -> dict[str, Any]:
        """Return a part of the camera's status: at least {"state", "error"}."""

    def close(self) -> None:
        """No more packets will come. Idempotent."""


class PacketSinks(Protocol):
    """Opens the sinks of a process's cameras."""

    def open(self, slug: str) -> PacketSink: ...

    def report(self) -> list[dict[str, Any]]:
        """Return changes since the last call: "segments" of the process's report."""

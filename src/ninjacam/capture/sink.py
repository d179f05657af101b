"""Who else gets a camera's packets, besides the subscribers of its socket. Capture itself knows no recorder."""

from collections.abc import Sequence
from typing import Any, Protocol

from ninjacam.core.packets import Packet, Track


class PacketSink(Protocol):
    """Of one camera. Called in the event loop: fast, never blocks, never raises."""

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """The camera is connected (anew), with these tracks."""

    def add(self, packet: Packet) -> None:
        """In the order of decoding, on repaired time."""

    def annotate(self, packet: Packet) -> None:
        """`Codec.ANNOTATIONS`, of a picture that `add` was given a little ago, with its `pts`."""

    def keep(self, windows: Sequence[tuple[int, int]] | None, before_s: float) -> None:
        """What of it to record: what was captured within these (from, until), wall clock in ns, of which some may be up
        to `before_s` ago; None: all."""

    def flush(self) -> None:
        """The camera is gone for now."""

    def status(self) -> dict[str, Any]:
        """Part of the camera's status: at least {"state", "error"}."""

    def close(self) -> None:
        """No more comes. Idempotent."""


class PacketSinks(Protocol):
    """Opens the sinks of a process's cameras."""

    def open(self, slug: str) -> PacketSink: ...

    def report(self) -> list[dict[str, Any]]:
        """What is new since the last call: "segments" of the process's report."""

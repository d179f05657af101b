"""The figures of a camera in the engine's status: its formats, rates and connections."""

from typing import Any

from ninjacam.core.packets import VIDEO, Codec, Kind, Packet, Track
from ninjacam.sources.base import SourceStats

_NO_STATS = SourceStats()


class CameraFigures:
    """Collects the figures of all connections of one camera. Times: monotonic, in ns. Thread: the event loop."""

    def __init__(self, now_ns: int) -> None:
        self.connected_since_ns: int | None = None
        self.has_video = False
        """Whether the camera has ever sent a frame."""
        self._track = Track(Kind.VIDEO, Codec.NONE)
        self._reconnects = -1
        self._lost_before = 0  # Packets of earlier connections.
        self._frames = self._size_bytes = 0
        self._measured_ns = self._counted_ns = now_ns
        self._fps = self._bitrate_bps = 0.0

    def connected(self, now_ns: int) -> None:
        self._reconnects += 1
        self.connected_since_ns = now_ns

    def disconnected(self, stats: SourceStats) -> None:
        self._lost_before += stats.packets_lost
        self.connected_since_ns = None

    def add(self, packet: Packet) -> None:
        """Count a packet of any kind."""
        self._size_bytes += len(packet.data)
        if packet.kind is VIDEO:
            self._frames += 1
            self.has_video = True

    def describe(self, packet: Packet) -> None:
        """Take codec and size from a packet with parameter sets."""
        self._track = Track(Kind.VIDEO, packet.codec, width_px=packet.width_px, height_px=packet.height_px)

    def status(
        self, now_ns: int, wall_ns: int, last_video_ns: int, stats: SourceStats | None
    ) -> dict[str, Any]:
        """Return this part of the camera's status. `wall_ns`: the wall clock at `now_ns`. `stats`: None: not connected.

        Rates are those since the last call that was at least 1 s ago.
        """
        if now_ns - self._measured_ns >= 1e9:
            self._measure(now_ns, last_video_ns)
        stats, since_ns = stats or _NO_STATS, self.connected_since_ns
        return {
            "codec": self._track.codec.label,
            "width": self._track.width_px,
            "height": self._track.height_px,
            "fps": round(self._fps, 2),
            "bitrate_bps": int(self._bitrate_bps),
            "last_video_ns": wall_ns - (now_ns - last_video_ns) if self.has_video else None,
            "connected_since_ns": wall_ns - (now_ns - since_ns) if since_ns else None,
            "packets_lost": self._lost_before + stats.packets_lost,
            "packets_ignored": stats.packets_ignored,
            "sequence_restarts": stats.sequence_restarts,
            "frames_dropped": stats.access_units_dropped,
            "frames_skipped": stats.frames_skipped,
            "reconnects": max(0, self._reconnects),
        }

    def _measure(self, now_ns: int, last_video_ns: int) -> None:
        # Between frames: if they are read in batches, several arrive at once.
        until_ns = last_video_ns if self._frames else now_ns
        elapsed_s = max(1, until_ns - self._counted_ns) / 1e9
        self._fps, self._bitrate_bps = self._frames / elapsed_s, self._size_bytes * 8 / elapsed_s
        self._frames = self._size_bytes = 0
        self._measured_ns, self._counted_ns = now_ns, until_ns

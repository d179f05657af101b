"""The statistics of a camera in the engine's status: formats, rates and connections."""

from collections import deque
from typing import Any

from ninjacam.core.packets import VIDEO, Codec, Kind, Packet, Track
from ninjacam.sources.base import SourceStats

_NO_STATS = SourceStats()
SAMPLE_EVERY_S = 5.0
WINDOW_SAMPLES = 13
"""Number of samples: packet loss and mean frame rate cover the last minute."""
MIN_PACKETS = 200
"""Minimum number of packets for which a loss rate is reported."""
MIN_MEAN_S = 20.0
"""Minimum length of a connection for which the mean frame rate is reported."""


class CameraFigures:
    """Collects the statistics of all connections of one camera. Times: monotonic, in ns. Thread: the event loop."""

    def __init__(self, now_ns: int) -> None:
        self.connected_since_ns: int | None = None
        self.has_video = False
        """Whether the camera has ever sent a frame."""
        self._track = Track(Kind.VIDEO, Codec.NONE)
        self._vui_fps = 0.0
        self._reconnects = -1
        self._lost_before = self._received_before = 0  # Packets of earlier connections.
        self._frames = self._size_bytes = 0
        self._measured_ns = self._counted_ns = self._sampled_ns = now_ns
        self.fps = 0.0
        """Frames per second at the last measurement, which `status` makes."""
        self._bitrate_bps = 0.0
        self._connection_frames = 0
        self._packets: deque[tuple[int, int]] = deque([(0, 0)], maxlen=WINDOW_SAMPLES)
        """Packets (received, lost) of all connections, at each sample."""
        self._rates: deque[tuple[int, int]] = deque(maxlen=WINDOW_SAMPLES)
        """(Time of a frame, number of frames of this connection up to it), at each sample."""

    def connected(self, now_ns: int) -> None:
        self._reconnects += 1
        self.connected_since_ns = now_ns
        self._rates.clear()
        self._connection_frames = 0

    def disconnected(self, stats: SourceStats) -> None:
        self._lost_before += stats.packets_lost
        self._received_before += stats.packets_received
        self.connected_since_ns = None

    def add(self, packet: Packet) -> None:
        """Count a packet of any kind."""
        self._size_bytes += len(packet.data)
        if packet.kind is VIDEO:
            self._frames += 1
            self.has_video = True

    def describe(self, packet: Packet, vui_fps: float) -> None:
        """Store codec and size of a packet with parameter sets. `vui_fps`: the frame rate in them; 0: none."""
        self._track = Track(Kind.VIDEO, packet.codec, width_px=packet.width_px, height_px=packet.height_px)
        self._vui_fps = vui_fps

    def status(
        self, now_ns: int, wall_ns: int, last_video_ns: int, stats: SourceStats | None
    ) -> dict[str, Any]:
        """Return this part of the camera's status. `wall_ns`: the wall clock at `now_ns`. `stats`: None: not
        connected.

        Rates are those since the last call at least 1 s ago. `mean_fps` (of this connection) and `packet_loss` (lost
        fraction of the packets of all connections) cover the last minute, and are None until known.
        """
        stats, since_ns = stats or _NO_STATS, self.connected_since_ns
        received = self._received_before + stats.packets_received
        lost = self._lost_before + stats.packets_lost
        if now_ns - self._measured_ns >= 1e9:
            self._measure(now_ns, last_video_ns)
            if now_ns - self._sampled_ns >= SAMPLE_EVERY_S * 1e9:
                self._sampled_ns = now_ns
                self._packets.append((received, lost))
                self._rates.append((self._counted_ns, self._connection_frames))
        return {
            "codec": self._track.codec.label,
            "width": self._track.width_px,
            "height": self._track.height_px,
            "fps": round(self.fps, 2),
            "mean_fps": self._mean_fps(),
            "declared_fps": round(stats.declared_fps or self._vui_fps, 2),
            "bitrate_bps": int(self._bitrate_bps),
            "last_video_ns": wall_ns - (now_ns - last_video_ns) if self.has_video else None,
            "connected_since_ns": wall_ns - (now_ns - since_ns) if since_ns else None,
            "packets_lost": lost,
            "packet_loss": self._loss(received, lost),
            "jitter_s": _rounded(stats.jitter_s, 4),
            "clock_offset_s": _rounded(stats.clock_offset_s, 1),
            "packets_ignored": stats.packets_ignored,
            "sequence_restarts": stats.sequence_restarts,
            "frames_dropped": stats.access_units_dropped,
            "frames_skipped": stats.frames_skipped,
            "reconnects": max(0, self._reconnects),
        }

    def _measure(self, now_ns: int, last_video_ns: int) -> None:
        # Measure between frames, because several arrive at once if they are read in batches.
        until_ns = last_video_ns if self._frames else now_ns
        elapsed_s = max(1, until_ns - self._counted_ns) / 1e9
        self.fps, self._bitrate_bps = self._frames / elapsed_s, self._size_bytes * 8 / elapsed_s
        self._connection_frames += self._frames
        self._frames = self._size_bytes = 0
        self._measured_ns, self._counted_ns = now_ns, until_ns

    def _mean_fps(self) -> float | None:
        if not self._rates or self.connected_since_ns is None:
            return None
        (from_ns, before), (until_ns, after) = self._rates[0], self._rates[-1]
        elapsed_s = (until_ns - from_ns) / 1e9
        return round((after - before) / elapsed_s, 2) if elapsed_s >= MIN_MEAN_S else None

    def _loss(self, received: int, lost: int) -> float | None:
        received_before, lost_before = self._packets[0]
        missing = lost - lost_before
        sent = received - received_before + missing
        return round(missing / sent, 4) if sent >= MIN_PACKETS else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)

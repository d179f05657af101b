"""Passes a camera's packets, and their annotations from vision, to the recording sink."""

from pathlib import Path
from typing import Any

from ninjacam.capture.annotations import AnnotationReader
from ninjacam.capture.sink import PacketSink
from ninjacam.core.clock import Clock
from ninjacam.core.packets import Packet, Track


class CameraRecording:
    """Owns the sink, and closes it. `pixels_path`: the camera's `.pixels` socket. Thread: the event loop."""

    def __init__(self, pixels_path: Path, clock: Clock) -> None:
        self.sink: PacketSink | None = None
        self._pixels_path = pixels_path
        self._clock = clock
        self._annotations: AnnotationReader | None = None

    def record_to(self, sink: PacketSink | None, tracks: tuple[Track, ...] | None) -> None:
        """Close the previous sink and use `sink`. `tracks`: None: the camera is not connected."""
        if self.sink is not None:
            self.sink.close()
        if self._annotations is not None:
            self._annotations.close()
            self._annotations = None
        self.sink = sink
        if sink is not None:
            self._annotations = AnnotationReader(self._pixels_path, sink.annotate, clock=self._clock)
            if tracks is not None:
                sink.begin(tracks)

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """Note that the camera is connected."""
        if self.sink is not None:
            self.sink.begin(tracks)

    def add(self, packet: Packet) -> None:
        if self.sink is not None:
            self.sink.add(packet)

    def flush(self) -> None:
        """Note that the camera is disconnected."""
        if self.sink is not None:
            self.sink.flush()

    def status(self) -> dict[str, Any]:
        return self.sink.status() if self.sink is not None else {"state": "off", "error": None}

"""The figures of a camera, over its connections."""

from typing import Any

import pytest

from ninjacam.capture.figures import CameraFigures
from ninjacam.core.packets import Codec, Kind, Packet
from ninjacam.sources.base import SourceStats

S = 10**9
FRAME = Packet(Kind.VIDEO, Codec.H264, b"x" * 1000, 0, 0, width_px=640, height_px=360)


class Camera:
    """Sends `fps` frames per second in packets that the connection counts."""

    def __init__(self) -> None:
        self.now_ns = 1000 * S
        self.figures = CameraFigures(self.now_ns)
        self.stats = SourceStats()
        self.connect()

    def connect(self) -> None:
        self.stats = SourceStats()
        self.figures.connected(self.now_ns)

    def disconnect(self) -> None:
        self.figures.disconnected(self.stats)

    def send(self, seconds: int, *, fps: int = 25, packets: int = 100, lost: int = 0) -> dict[str, Any]:
        """Return the status after `seconds`. `packets`, `lost`: per second."""
        for _ in range(seconds):
            self.now_ns += S
            for _ in range(fps):
                self.figures.add(FRAME)
            self.stats.packets_received += packets
            self.stats.packets_lost += lost
            status = self.figures.status(self.now_ns, self.now_ns, self.now_ns, self.stats)
        return status


def test_the_share_of_lost_packets_is_that_of_the_last_minute() -> None:
    camera = Camera()
    assert camera.send(1, lost=5)["packet_loss"] is None, "too few packets"
    assert camera.send(59, packets=98, lost=2)["packet_loss"] == pytest.approx(0.02, abs=0.005)
    assert camera.send(30)["packet_loss"] == pytest.approx(0.01, abs=0.003)
    assert camera.send(66)["packet_loss"] == 0
    assert camera.stats.packets_lost == 5 + 59 * 2


def test_packets_are_counted_over_connections() -> None:
    camera = Camera()
    camera.send(30, packets=90, lost=10)
    camera.disconnect()
    camera.connect()
    status = camera.send(25, packets=90, lost=10)
    assert (status["packets_lost"], status["reconnects"]) == (550, 1)
    assert status["packet_loss"] == pytest.approx(0.1)


def test_the_mean_frame_rate_is_known_after_some_time_and_excludes_interruptions() -> None:
    camera = Camera()
    assert camera.send(15, fps=12)["mean_fps"] is None
    assert camera.send(40, fps=12)["mean_fps"] == 12
    camera.disconnect()
    camera.now_ns += 30 * S
    camera.connect()
    assert camera.send(1, fps=12)["mean_fps"] is None
    assert camera.send(40, fps=12)["mean_fps"] == 12
    assert camera.send(70, fps=25)["mean_fps"] == 25


@pytest.mark.parametrize(
    ("described", "in_vui", "declared"), [(0, 0, 0), (25, 0, 25), (0, 12.5, 12.5), (25, 12.5, 25)]
)
def test_the_description_takes_precedence_over_the_parameter_sets(
    described: float, in_vui: float, declared: float
) -> None:
    camera = Camera()
    camera.stats.declared_fps = described
    camera.figures.describe(FRAME, in_vui)
    assert camera.send(1)["declared_fps"] == declared


def test_figures_of_the_connection_are_unknown_without_one() -> None:
    camera = Camera()
    camera.stats.jitter_s, camera.stats.clock_offset_s = 0.01234567, -3599.96
    status = camera.send(1)
    assert (status["jitter_s"], status["clock_offset_s"]) == (0.0123, -3600.0)
    camera.disconnect()
    status = camera.figures.status(camera.now_ns, camera.now_ns, camera.now_ns, None)
    assert (status["jitter_s"], status["clock_offset_s"], status["mean_fps"]) == (None, None, None)

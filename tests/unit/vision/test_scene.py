"""Black, covered and frozen images, and still scenes that are none of these, after H.264."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from ninjacam.core.packets import Codec
from ninjacam.engine.findings import CHECKS, Figures
from ninjacam.vision.images import Decoder
from ninjacam.vision.scene import LOOK_EVERY_NS, VALID_NS, SceneWatch
from tests.harness.still_scenes import FPS, add_noise, draw_room, encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

SIZE = (384, 216)
FRAMES = 12 * FPS
AMPLE_BPS = 2_000_000
S = 10**9


def watch(images: "Iterable[Image]", *, bitrate_bps: int = 200_000) -> dict[str, Any]:
    """Return the figures after all images, encoded and decoded."""
    scene, decoder, received_ns = SceneWatch(), Decoder(Codec.H264), 0
    for packet in encode(images, bitrate_bps=bitrate_bps):
        for frame in decoder.decode(packet):
            received_ns = packet.received_ns
            scene.look(frame, received_ns)
    return scene.report(received_ns)


def codes(figures: dict[str, Any]) -> list[str]:
    """Return the codes of the findings about the scene, if it lasts; 8 s without a change count as frozen."""
    still_s = 60.0 if figures["still_s"] > 8 else 0.0
    given = Figures({"state": "live"}, {**figures, "still_s": still_s})
    return [
        check.code
        for check in CHECKS
        if (value := check.value(given)) is not None and check.exceeds(value, check.begin)
    ]


def blurred(sigma: float) -> "Image":
    return cv2.GaussianBlur(draw_room(*SIZE), (0, 0), sigma)  # type: ignore[return-value]


@pytest.mark.parametrize("sigma", [0.5, 1.5, 4.0])
@pytest.mark.parametrize("brightness", [1.0, 0.12])
def test_a_still_scene_with_noise_is_not_unusual(sigma: float, brightness: float) -> None:
    room = draw_room(*SIZE, brightness=brightness)
    assert codes(watch(add_noise(room, sigma, FRAMES))) == []


@pytest.mark.parametrize(("sigma", "bitrate_bps"), [(0, 150_000), (1.5, AMPLE_BPS)])
def test_a_frozen_image_is_frozen_although_it_is_encoded_again(sigma: float, bitrate_bps: int) -> None:
    (image,) = add_noise(draw_room(*SIZE), sigma, 1)
    assert codes(watch([image] * 2 * FRAMES, bitrate_bps=bitrate_bps)) == ["frozen"]


def test_a_clock_drawn_over_a_frozen_image_does_not_hide_it() -> None:
    def with_clock(number: int) -> "Image":
        stamped = draw_room(*SIZE)
        cv2.putText(stamped, f"12:00:{number // FPS:02}", (10, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (235,), 1)
        return stamped

    assert codes(watch(with_clock(number) for number in range(2 * FRAMES))) == ["frozen"]


@pytest.mark.parametrize("sigma", [0.0, 3.0])
def test_a_black_image_is_only_black(sigma: float) -> None:
    black = np.full(SIZE[::-1], 16, np.uint8)
    assert codes(watch(add_noise(black, sigma, FRAMES))) == ["black"]


@pytest.mark.parametrize("level", [60, 110, 200])
def test_a_covered_lens_is_covered(level: int) -> None:
    plain = np.full(SIZE[::-1], level, np.uint8)
    assert codes(watch(add_noise(plain, 2.0, FRAMES))) == ["covered"]


def test_a_lens_covered_by_a_hand_is_covered() -> None:
    """Light comes in at the edges of the hand."""
    glow = np.tile(np.linspace(60, 85, SIZE[0], dtype=np.float32), (SIZE[1], 1)).astype(np.uint8)
    assert codes(watch(add_noise(glow, 2.0, FRAMES))) == ["covered"]


def test_a_soft_image_is_not_covered() -> None:
    assert codes(watch(add_noise(blurred(12), 1.5, FRAMES))) == []


class Frame:
    """A decoded frame that counts how often it is read."""

    reads = 0

    def __init__(self, image: "Image") -> None:
        self.image = image

    def gray(self) -> "Image":
        Frame.reads += 1
        return self.image


def test_few_frames_are_measured_and_figures_expire() -> None:
    scene, room, Frame.reads = SceneWatch(), draw_room(*SIZE), 0
    for number in range(250):
        scene.look(Frame(room), S + number * 40_000_000)  # type: ignore[arg-type]
    assert Frame.reads == 10 * S // LOOK_EVERY_NS
    assert scene.report(11 * S)["still_s"] == 8
    assert scene.report(11 * S + VALID_NS) == {}


def test_time_without_frames_is_not_stillness() -> None:
    scene, room = SceneWatch(), draw_room(*SIZE)
    scene.look(Frame(room), S)  # type: ignore[arg-type]
    scene.look(Frame(room), 100 * S)  # type: ignore[arg-type]
    assert scene.report(100 * S)["still_s"] == 0
    scene.look(Frame(room), 110 * S)  # type: ignore[arg-type]
    assert scene.report(110 * S)["still_s"] == 10


def test_another_size_is_a_change() -> None:
    scene = SceneWatch()
    for number, size in enumerate(((640, 360), (640, 360), (320, 180), (2, 2), (1, 1))):
        scene.look(Frame(draw_room(*SIZE)[: size[1], : size[0]]), (1 + 3 * number) * S)  # type: ignore[arg-type]
        assert scene.report((1 + 3 * number) * S)["still_s"] == (3 if number == 1 else 0)

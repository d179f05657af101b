"""Playback of video from a few seconds ago: the minute that the running product is still writing."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from ninjacam.testing import stamp
from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import fair_s
from tests.harness.processes import wait_until
from tests.harness.recordings import read_stamps
from tests.harness.server import Product

CAMERA = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
LOOP = 250
"""Frames of the camera's clip."""


def text_of(time_: datetime) -> str:
    return time_.astimezone(UTC).isoformat().replace("+00:00", "Z")


def assert_in_sequence(numbers: list[int | None]) -> None:
    assert None not in numbers
    whole = [number for number in numbers if number is not None]
    assert all((b - a) % LOOP == 1 for a, b in itertools.pairwise(whole)), whole


def test_the_current_minute_can_be_played_back(tmp_path: Path) -> None:
    with FakeCamera(*CAMERA) as camera, Product(tmp_path / "data", workers=1) as product:
        product.add_camera("door", camera.url(), "--record", "always")
        product.wait_for_state("door")
        begun = datetime.now(UTC)

        def is_recorded() -> bool:
            items = product.client.get("/api/v1/recordings?camera=door").json()["items"]
            return bool(items) and datetime.fromisoformat(items[0]["end"]) > begun + timedelta(seconds=9)

        wait_until(is_recorded, 30, "nine seconds are recorded", processes=[product])
        token = f"Authorization: Bearer {product.token}\r\n"
        start, end = (
            text_of(begun + timedelta(seconds=3)).replace("+", "%2B"),
            text_of(begun + timedelta(seconds=8)),
        )

        clip = product.client.get(f"/rec/door/clip.mp4?start={start}&end={end}")
        assert clip.status == 200, clip.text
        path = tmp_path / "clip.mp4"
        path.write_bytes(clip.body)
        shown = read_stamps(path)
        assert 125 <= len(shown) <= 180
        assert_in_sequence(shown)

        played = read_stamps(product.url(f"/rec/door/hls.m3u8?start={start}&end={end}"), headers=token)
        assert 125 <= len(played) <= 230
        assert_in_sequence(played)

        begun_s = fair_s()
        still = product.client.get(f"/rec/door/at.jpg?time={end}")
        assert still.status == 200 and fair_s() - begun_s < 5
        image = cv2.imdecode(np.frombuffer(still.body, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image is not None and stamp.read(image.astype(np.uint8)) in shown[-30:]

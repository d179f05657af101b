import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from ninjacam.actions.child_processes import run_module
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec, Flags
from ninjacam.recordings.frame_lookup import StillPlace, find_still
from ninjacam.recordings.still import decode_still
from ninjacam.testing import stamp
from tests.harness.recordings import FRAME_NS, NOON_NS, encode_stamped, picture, write_file
from tests.unit.recordings.test_object_colors import BOX, car


def number_of(jpeg: bytes) -> int | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return stamp.read(image.astype(np.uint8))


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("number", [0, 1, 24, 25, 37, 74])
def test_the_still_is_the_last_frame_not_after_the_time(tmp_path: Path, number: int, bframes: int) -> None:
    made = write_file(tmp_path, encode_stamped(75, bframes=bframes))
    at_ns = NOON_NS + number * FRAME_NS + FRAME_NS // 2
    place = find_still(made.path, at_ns)
    assert place is not None
    captured_ns, jpeg, *_ = decode_still(place)
    assert number_of(jpeg) == number
    assert captured_ns == pytest.approx(NOON_NS + number * FRAME_NS, abs=100_000)


def test_only_the_data_that_the_frame_needs_is_read(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(75))
    place = find_still(made.path, NOON_NS + 60 * FRAME_NS)
    assert place is not None and place.size_bytes < made.segment.size_bytes / 2


def test_a_gap_has_no_frame(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(25))
    assert find_still(made.path, NOON_NS - 1) is None
    assert find_still(made.path, NOON_NS + 30 * FRAME_NS) is not None, "less than 2 s"
    assert find_still(made.path, NOON_NS + 76 * FRAME_NS) is None


def test_a_smaller_width_is_scaled(tmp_path: Path) -> None:
    place = find_still(write_file(tmp_path, encode_stamped(25)).path, NOON_NS)
    assert place is not None
    image = cv2.imdecode(np.frombuffer(decode_still(place, width_px=320)[1], np.uint8), cv2.IMREAD_COLOR)
    assert image is not None and image.shape == (180, 320, 3)


def test_garbage_raises_our_error(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(DecodeError):
        find_still(path, NOON_NS)
    with pytest.raises(DecodeError):
        decode_still(StillPlace(str(path), 100, 100, 400, 0, NOON_NS, NOON_NS))


def test_a_jpeg_camera_has_stills_too(tmp_path: Path) -> None:
    packets = []
    for packet in encode_stamped(25):
        number = packet.pts // 3600
        jpeg = cv2.imencode(".jpg", picture(number, (640, 360)))[1].tobytes()
        packets.append(packet._replace(codec=Codec.MJPEG, data=jpeg, flags=Flags.KEY))
    made = write_file(tmp_path, packets)
    place = find_still(made.path, NOON_NS + 12 * FRAME_NS)
    assert place is not None
    assert number_of(decode_still(place)[1]) == 12


def test_the_preceding_key_frame_is_cheaper(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(75, bframes=2))
    at_ns = NOON_NS + 60 * FRAME_NS
    place, exact = find_still(made.path, at_ns, key_only=True), find_still(made.path, at_ns)
    assert place is not None and exact is not None
    captured_ns, jpeg, *_ = decode_still(place)
    assert number_of(jpeg) == 50
    assert captured_ns == pytest.approx(NOON_NS + 50 * FRAME_NS, abs=100_000)


def test_the_colors_are_those_of_the_object_in_the_box(tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", cv2.resize(car("lawn", "red"), (640, 360)))[1].tobytes()
    packets = [
        packet._replace(codec=Codec.MJPEG, data=jpeg, flags=Flags.KEY) for packet in encode_stamped(25)
    ]
    place = find_still(write_file(tmp_path, packets).path, NOON_NS + FRAME_NS)
    assert place is not None
    assert decode_still(place, width_px=160, box=BOX)[2] == ["red"]
    assert decode_still(place, width_px=160, box=(0.7, 0.5, 0.9, 0.8))[2] == ["green"]
    assert decode_still(place, width_px=160)[2] == []
    question = json.dumps({**place.as_dict(), "box": BOX}) + "\n" + json.dumps(place.as_dict()) + "\n"
    answer = run_module("ninjacam.recordings.still", question.encode(), 30, bare=True)
    assert (
        answer is not None
        and re.search(rb'"colors": \["red"\], "crop_bytes": [1-9]\d*\}\n\xff\xd8', answer)
        and b'"colors": [], "crop_bytes": 0}\n\xff\xd8' in answer
    )

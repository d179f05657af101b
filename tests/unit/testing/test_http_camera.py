import base64
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import av
import numpy as np
import pytest
import simplejpeg

from ninjacam.testing import stamp
from ninjacam.testing.authentication import Login
from ninjacam.testing.clips import Clip
from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.unit.testing.decoding import luma


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=320, height=184, seconds=1, codec="mjpeg"))


@pytest.fixture
def phone(clip: Clip) -> Iterator[FakeHttpCamera]:
    with FakeHttpCamera(clip) as running:
        yield running


def raw(phone: FakeHttpCamera, size_bytes: int, path: str = "/video", timeout_s: float = 3) -> bytes:
    with socket.create_connection((phone.host, phone.port), timeout_s) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: phone\r\n\r\n".encode())
        data = b""
        while len(data) < size_bytes and (piece := connection.recv(65536)):
            data += piece
        return data


def test_ffmpeg_gets_every_frame(phone: FakeHttpCamera) -> None:
    with av.open(phone.url(), format="mpjpeg", timeout=5) as container:
        numbers = []
        for frame in container.decode(video=0):
            numbers.append(stamp.read(luma(frame)))
            if len(numbers) == 10:
                break
    assert numbers[0] is not None
    assert numbers == [(numbers[0] + place) % 25 for place in range(10)]


def test_the_still_is_the_current_frame(phone: FakeHttpCamera) -> None:
    with urllib.request.urlopen(phone.url("/shot.jpg"), timeout=5) as answer:
        picture: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] = simplejpeg.decode_jpeg(
            answer.read(), "GRAY"
        )
    assert stamp.read(picture[:, :, 0]) in range(25)


def test_login_is_asked_for(clip: Clip) -> None:
    with FakeHttpCamera(clip, login=Login("basic", "me", "pass")) as phone:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(phone.url("/shot.jpg", login=False), timeout=5)
        refused.value.close()
        assert refused.value.code == 401
        request = urllib.request.Request(phone.url("/shot.jpg", login=False))
        request.add_header("Authorization", "Basic " + base64.b64encode(b"me:pass").decode())
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.headers["Content-Type"] == "image/jpeg"


def test_pages_and_unknown_paths_are_answered(phone: FakeHttpCamera) -> None:
    assert b"<h1>IP Webcam</h1>" in raw(phone, 100, "/")
    assert raw(phone, 100, "/nothing").startswith(b"HTTP/1.1 404 ")
    phone.faults.html = True
    assert b"text/html" in raw(phone, 100)


def test_parts_can_lack_their_length(phone: FakeHttpCamera) -> None:
    assert b"Content-Length" in raw(phone, 20_000)
    phone.faults.content_length = False
    data = raw(phone, 60_000)
    assert b"Content-Length" not in data
    assert data.count(b"--" + phone.BOUNDARY.encode()) > 1


def test_stream_can_be_chunked(phone: FakeHttpCamera) -> None:
    phone.faults.chunked = True
    assert b"Transfer-Encoding: chunked" in raw(phone, 20_000)
    with urllib.request.urlopen(phone.url(), timeout=5) as answer:
        assert b"\xff\xd8" in answer.read(20_000)


def test_freeze_drop_and_hang(phone: FakeHttpCamera) -> None:
    phone.faults.freeze = True
    with pytest.raises(TimeoutError):
        raw(phone, 20_000, timeout_s=0.4)
    with socket.create_connection((phone.host, phone.port), 5) as connection:
        connection.sendall(b"GET /video HTTP/1.1\r\n\r\n")
        assert connection.recv(4096)
        phone.drop()
        assert connection.recv(4096) == b""
    phone.faults.hang = True
    with pytest.raises(TimeoutError):
        raw(phone, 1, timeout_s=0.3)

"""MediaMTX and go2rtc as cameras, if they are on the PATH: they read a fake camera and re-serve its stream."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ninjacam.core.errors import SourceError
from ninjacam.core.packets import Codec
from ninjacam.sources.base import SourceConfig, SourceStats
from tests.harness.cameras import FakeCamera
from tests.harness.processes import Process, free_port, wait_until
from tests.integration.source_support import Recording, config, record, stamps, steps

SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
LOOP = 250
FRAMES = 60


@contextmanager
def mediamtx(directory: Path, source: str) -> Iterator[str]:
    port, rtp = free_port(), free_port() // 2 * 2
    settings = {
        "logLevel": "warn",
        "rtspAddress": f"127.0.0.1:{port}",
        "rtpAddress": f"127.0.0.1:{rtp}",
        "rtcpAddress": f"127.0.0.1:{rtp + 1}",
        **dict.fromkeys(("rtmp", "hls", "webrtc", "srt", "moq"), False),
        "paths": {"cam": {"source": source}},
    }
    path = directory / "mediamtx.yml"
    path.write_text(json.dumps(settings))
    with Process("mediamtx", ["mediamtx", str(path)]):
        yield f"rtsp://127.0.0.1:{port}/cam"


@contextmanager
def go2rtc(directory: Path, source: str) -> Iterator[str]:
    port = free_port()
    settings = {
        "rtsp": {"listen": f"127.0.0.1:{port}"},
        "api": {"listen": ""},
        "webrtc": {"listen": ""},
        "streams": {"cam": source},
    }
    path = directory / "go2rtc.yaml"
    path.write_text(json.dumps(settings))
    with Process("go2rtc", ["go2rtc", "-config", str(path)]):
        yield f"rtsp://127.0.0.1:{port}/cam"


SERVERS = {"mediamtx": mediamtx, "go2rtc": go2rtc}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("name", SERVERS)
def test_every_frame_of_another_server_arrives_once_and_in_order(
    tmp_path: Path, name: str, transport: str
) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not on the PATH.")
    with FakeCamera(*SMALL) as camera, SERVERS[name](tmp_path, camera.url()) as url:
        recording = wait_until(lambda: _record(config(url, transport=transport)), 30, "the server to listen")
    assert {packet.codec for packet in recording.video} == {Codec.H264}
    assert recording.video[0].is_key
    numbers = stamps(recording.video)
    assert len(numbers) >= FRAMES and steps(numbers, LOOP) == {1}
    # Over UDP, MediaMTX itself leaves out the packets between the first one and the next frame when it is busy while a
    # session starts: a capture of the loopback interface showed that it does not send them.
    before = SourceStats() if transport == "tcp" else recording.first_stats
    assert recording.stats.packets_lost == before.packets_lost
    assert recording.stats.access_units_dropped == before.access_units_dropped


def _record(source: SourceConfig) -> Recording | None:
    try:
        return record(source, FRAMES)
    except SourceError:
        return None  # It does not listen yet, or has not read its source yet.

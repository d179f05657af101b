"""Talk with a third-party ONVIF server: GStreamer's, which decodes the received audio."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from ninjacam.core.errors import NoLoudspeakerError
from ninjacam.sources.base import SourceConfig
from ninjacam.talk.client import Ready, Refusal, TalkConnection
from ninjacam.talk.server import TalkServer
from tests.harness.fair_clock import fair_timeout
from tests.harness.sound import Sound, strength
from tests.integration.test_sources_gstreamer import H264, _has, gst_server

SERVER = Path(__file__).with_name("gst_onvif_server.py")
TONE_HZ = 1000

pytestmark = [
    pytest.mark.gstreamer,
    pytest.mark.skipif(
        not _has("jpegenc", "mulawdec", "alawdec"),
        reason="needs python3-gi and GStreamer's RTSP server (apt)",
    ),
]


@contextmanager
def onvif_server(path: Path, encoding: str) -> Iterator[str]:
    with gst_server(str(path), encoding, script=SERVER) as base:
        yield f"{base}/cam0"


async def talk(run_dir: Path, url: str, seconds: float) -> Ready | Refusal | None:
    """Send a tone in real time. Return whether the camera was ready, or the reason why not."""
    answers: asyncio.Queue[Ready | Refusal | None] = asyncio.Queue()
    server = TalkServer(run_dir, "door", SourceConfig(url))
    await server.start()
    connection = TalkConnection(answers.put_nowait, answers.put_nowait)
    try:
        await connection.open(run_dir, "door", "anna")
        async with fair_timeout(20):
            first = await answers.get()
        if isinstance(first, Ready):
            times = np.arange(round(seconds * first.rate_hz)) / first.rate_hz
            tone = (12_000 * np.sin(2 * np.pi * TONE_HZ * times)).astype("<i2").tobytes()
            for at in range(0, len(tone), 640):
                connection.send(tone[at : at + 640])
                await asyncio.sleep(0.04)
        return first
    finally:
        connection.close()
        await server.close()


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA"])
def test_a_tone_arrives_as_the_tone_that_was_sent(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "heard.pcm"
    with onvif_server(path, encoding) as url:
        ready = asyncio.run(talk(tmp_path, url, 1.0))
    assert ready == Ready(8000, {"PCMU": "pcm_mulaw", "PCMA": "pcm_alaw"}[encoding])
    sound: Sound = np.frombuffer(path.read_bytes(), "<i2") / 32768
    assert len(sound) > 4000
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    loudest_hz = float(np.argmax(spectrum)) * 8000 / len(sound)
    assert abs(loudest_hz - TONE_HZ) < 10
    assert strength(sound, TONE_HZ) > 1000 * strength(sound, 1700)


def test_a_tone_arrives_through_http(tmp_path: Path) -> None:
    path = tmp_path / "heard.pcm"
    with onvif_server(path, "PCMU") as url:
        assert isinstance(asyncio.run(talk(tmp_path, url.replace("rtsp:", "rtsp+http:"), 1.0)), Ready)
    sound: Sound = np.frombuffer(path.read_bytes(), "<i2") / 32768
    assert len(sound) > 4000 and strength(sound, TONE_HZ) > 1000 * strength(sound, 1700)


def test_a_server_without_a_back_channel_has_no_loudspeaker(tmp_path: Path) -> None:
    with gst_server(H264) as base:
        refusal = asyncio.run(talk(tmp_path, f"{base}/cam0", 1.0))
    assert isinstance(refusal, Refusal) and type(refusal.error) is NoLoudspeakerError

"""MPEG-TS over UDP and HTTP, and FLV over HTTP, from Debian's ffmpeg; and servers that send malformed FLV and TS."""

import http.server
import random
import socket
from pathlib import Path

import pytest

from ninjacam.core import errors
from ninjacam.core.packets import Codec
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.processes import wait_until
from tests.integration.source_support import config, decode, record, stamps, steps, write_file
from tests.integration.test_sources_ffmpeg import needs_ffmpeg, sender
from tests.integration.test_sources_http import web_server

GROUP = "239.255.77.9"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=320, height=240, seconds=2, gop=10, bitrate_bps=300_000))


@pytest.fixture(scope="module")
def film(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_file(clip, path, silence=True)
    return path


@pytest.fixture
def port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


SENT = {
    "unicast": ("mpegts", "udp://127.0.0.1:{port}?pkt_size=1316", "127.0.0.1:{port}"),
    "multicast": (
        "mpegts",
        f"udp://{GROUP}:{{port}}?pkt_size=1316&localaddr=127.0.0.1&ttl=0",
        f"@{GROUP}:{{port}}?localaddr=127.0.0.1",
    ),
    "RTP": ("rtp_mpegts", "rtp://127.0.0.1:{port}", "127.0.0.1:{port}?sources=127.0.0.1"),
}


@needs_ffmpeg[0]
@needs_ffmpeg[1]
@pytest.mark.parametrize("kind", SENT)
def test_a_transport_stream_over_udp_is_played_without_loss(
    film: Path, clip: Clip, port: int, kind: str
) -> None:
    form, to, where = SENT[kind]
    with sender(film, "-f", form, to.format(port=port)):
        recording = record(config(f"udp://{where.format(port=port)}"), 40)
    assert recording.error is None and recording.close_s < 1
    assert {track.codec for track in recording.tracks} == {Codec.H264, Codec.AAC}
    assert recording.audio and steps(stamps(recording.video), clip.frames) == {1}


@needs_ffmpeg[0]
@needs_ffmpeg[1]
@pytest.mark.parametrize("form", ["mpegts", "flv"])
def test_a_stream_over_http_is_played_without_loss(film: Path, clip: Clip, port: int, form: str) -> None:
    with sender(film, "-f", form, "-listen", "1", f"http://127.0.0.1:{port}/live") as ffmpeg:
        wait_until(lambda: _is_listening(port), 20, "ffmpeg listens", processes=[ffmpeg])
        recording = record(config(f"http://127.0.0.1:{port}/live"), 40)
    assert recording.error is None and recording.close_s < 1
    assert {track.codec for track in recording.tracks} == {Codec.H264, Codec.AAC}
    assert recording.audio and steps(stamps(recording.video), clip.frames) == {1}


def _is_listening(port: int) -> bool:
    """Check without connecting, because ffmpeg accepts only one connection."""
    rows = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A" for row in rows)


def _tag(kind: int, size: int, data: bytes) -> bytes:
    return bytes((kind,)) + size.to_bytes(3, "big") + bytes(7) + data


FLV = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
MALFORMED = {
    "FLV tags of 16 MB": FLV + _tag(9, 0xFFFFFF, b"\x17\x01\0\0\0" + bytes(100_000)) * 3,
    "FLV tags without data": FLV + _tag(9, 0, b"\0\0\0\x0b") * 50_000,
    "FLV metadata of 16 MB": FLV + _tag(18, 0xFFFFFF, b"\x02\x00\x0aonMetaData\x08\xff\xff\xff\xff") + bytes(9_000),
    "FLV with a header that ends beyond the data": b"FLV\x01\x05\xff\xff\xff\xff" + bytes(9_000),
    "TS with random PIDs": b"".join(b"G" + random.Random(n).randbytes(187) for n in range(4_000)),
    "TS with tables that announce 8191 streams": b"".join(
        b"G" + (0x4000 | n % 8191).to_bytes(2, "big") + b"\x10\x00\x02\xb0\xff" + b"\xff" * 180 for n in range(4_000)
    ),
    "TS without payload": (b"G\x1f\xff\x20" + bytes(184)) * 4_000,
}  # fmt: skip


def _error_of(url: str) -> errors.SourceError:
    try:
        recording = record(config(url, read_timeout_s=1), 10)
    except errors.SourceError as error:
        return error
    assert recording.error is not None and not recording.video
    return recording.error


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_flv_and_ts_over_http_are_typed_errors(kind: str) -> None:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/x-flv" if kind.startswith("FLV") else "video/mp2t")
        handler.end_headers()
        handler.wfile.write(MALFORMED[kind])

    with web_server(answer) as base:
        error = _error_of(f"{base}/live")
    assert error.code in ("not_a_camera", "no_video", "ended", "protocol_error", "timeout", "stalled")


def test_a_damaged_transport_stream_delivers_only_frames_that_can_be_decoded(
    clip: Clip, tmp_path: Path
) -> None:
    """Every fiftieth packet is garbage."""
    write_file(clip, tmp_path / "film.ts")
    whole, chance = (tmp_path / "film.ts").read_bytes() * 2, random.Random(4)
    packets = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    for number in range(20, len(packets), 50):
        packets[number] = b"G" + chance.randbytes(187)

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp2t")
        handler.end_headers()
        handler.wfile.write(b"".join(packets))

    with web_server(answer) as base:
        recording = record(config(f"{base}/live"), 10_000)
    assert isinstance(recording.error, errors.SourceEndedError)
    assert 0 < len(recording.video) < 2 * clip.frames and recording.stats.access_units_dropped
    assert recording.video[0].is_key and decode(recording.video[:1])

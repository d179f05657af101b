"""The RTSP client against a third-party server: GStreamer's, with its encoders and payloaders."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ninjacam.core.errors import AuthenticationError, StreamNotFoundError
from ninjacam.core.packets import Codec, Kind
from tests.harness import lan
from tests.harness.processes import free_port
from tests.integration.source_support import config, decode, record

PYTHON = Path("/usr/bin/python3")
SERVER = Path(__file__).with_name("gst_server.py")
TEST_PICTURE = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
)
H264 = f"{TEST_PICTURE} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay0 pt=96"
H264_BFRAMES = (
    f"{TEST_PICTURE} ! x264enc speed-preset=superfast bframes=2 b-adapt=false rc-lookahead=0 sync-lookahead=0 "
    "key-int-max=12 ! rtph264pay name=pay0 pt=96"
)
H264_AGGREGATED = f"{H264} aggregate-mode=zero-latency config-interval=-1 mtu=600"
H264_SLICED = (
    f"{TEST_PICTURE} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 sliced-threads=true threads=4 "
    "option-string=slices=4 ! rtph264pay name=pay0 pt=96"
)
H265 = f"{TEST_PICTURE} ! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph265pay name=pay0 pt=96"
MJPEG = f"{TEST_PICTURE} ! jpegenc quality=70 ! rtpjpegpay name=pay0 pt=26"
ALAW = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8"
AAC = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! voaacenc ! rtpmp4gpay name=pay1 pt=97"

_PROBE = (
    "import gi; gi.require_version('GstRtspServer','1.0'); from gi.repository import Gst; Gst.init(None); "
    "import sys; sys.exit(any(Gst.ElementFactory.find(name) is None for name in sys.argv[1:]))"
)


def _has(*elements: str) -> bool:
    if not PYTHON.exists():
        return False
    probe = [str(PYTHON), "-c", _PROBE, *elements]
    return subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode == 0


pytestmark = [
    pytest.mark.gstreamer,
    pytest.mark.skipif(
        not _has("x264enc", "jpegenc"),
        reason="needs python3-gi, GStreamer's RTSP server, x264enc and jpegenc (apt)",
    ),
]
needs_x265 = pytest.mark.skipif(not _has("x265enc"), reason="needs GStreamer's x265enc")
needs_aac = pytest.mark.skipif(not _has("voaacenc"), reason="needs GStreamer's voaacenc")


@contextmanager
def gst_server(*arguments: str, script: Path = SERVER) -> Iterator[str]:
    """Yield the base URL of a running server: stream n is /camn."""
    port = free_port()
    server = subprocess.Popen(
        [str(PYTHON), str(script), str(port), *arguments],
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    assert server.stdout is not None
    try:
        assert server.stdout.readline().strip() == "listening"
        yield f"rtsp://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(10)
        server.stdout.close()


@pytest.mark.parametrize(
    ("launch", "codec"),
    [
        pytest.param(H264, Codec.H264, id="h264"),
        pytest.param(H264_AGGREGATED, Codec.H264, id="h264-stap-a-small-packets"),
        pytest.param(H264_SLICED, Codec.H264, id="h264-slices"),
        pytest.param(H264_BFRAMES, Codec.H264, id="h264-b-frames"),
        pytest.param(H265, Codec.H265, id="h265", marks=needs_x265),
        pytest.param(MJPEG, Codec.MJPEG, id="mjpeg"),
    ],
)
def test_each_format_decodes_without_an_error(launch: str, codec: Codec) -> None:
    with gst_server(launch) as base:
        recording = record(config(f"{base}/cam0"), 40)
    assert recording.error is None
    assert {packet.codec for packet in recording.video} == {codec}
    assert recording.video[0].is_key
    assert {(packet.width_px, packet.height_px) for packet in recording.video} == {(320, 240)}
    frames = decode(recording.video)
    assert len(frames) == len(recording.video)
    assert {(frame.width, frame.height) for frame in frames} == {(320, 240)}
    assert recording.stats.packets_lost == recording.stats.access_units_dropped == 0
    decoded = recording.decoding_times()
    assert decoded == sorted(decoded)
    assert recording.close_s < 1


@pytest.mark.parametrize(
    ("audio", "codec"),
    [(ALAW, Codec.PCMA), pytest.param(AAC, Codec.AAC, marks=needs_aac)],
    ids=["alaw", "aac"],
)
def test_audio_and_video_share_a_session(audio: str, codec: Codec) -> None:
    with gst_server(f"{H264} {audio}") as base:
        recording = record(config(f"{base}/cam0"), 40)
    assert [track.kind for track in recording.tracks] == [Kind.VIDEO, Kind.AUDIO]
    assert {packet.codec for packet in recording.audio} == {codec}
    assert len(recording.audio) > 10


@pytest.mark.parametrize("digest", [False, True], ids=["basic", "digest"])
def test_login_is_answered(digest: bool) -> None:
    arguments = ["--user", "viewer", "--password", 'pass "word"', *(["--digest"] if digest else []), H264]
    with gst_server(*arguments) as base:
        settings = config(f"{base}/cam0", username="viewer", password='pass "word"')
        assert len(record(settings, 10).video) >= 10
        with pytest.raises(AuthenticationError):
            record(config(f"{base}/cam0", username="viewer", password="wrong"))
        with pytest.raises(AuthenticationError):
            record(config(f"{base}/cam0"))


def test_an_unknown_path_is_reported() -> None:
    with gst_server(H264) as base, pytest.raises(StreamNotFoundError):
        record(config(f"{base}/nothing"))


def test_udp_delivers_every_frame() -> None:
    with gst_server(H264) as base:
        recording = record(config(f"{base}/cam0", transport="udp"), 30)
    assert recording.error is None
    assert len(decode(recording.video)) == len(recording.video)


@contextmanager
def neighbour(*arguments: str) -> Iterator[str]:
    """Yield the base URL of a server on another host, connected to this thread through a simulated network."""
    host, port = "10.9.0.2", "8554"
    script = f"echo begun; read _; ip addr add {host}/24 dev v1; ip link set v1 up; "
    script += f'exec "$@" --address {host} --multicast v1'
    command = ["unshare", "-n", "sh", "-c", script, "sh", str(PYTHON), str(SERVER), port, *arguments]
    with (
        lan.own_network(),
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdin is not None and server.stdout is not None
        try:
            assert server.stdout.readline() == "begun\n"
            commands = f"""link add v0 type veth peer name v1
                link set v1 netns {server.pid}
                addr add 10.9.0.1/24 dev v0
                link set v0 up"""
            subprocess.run(["ip", "-batch", "-"], input=commands, text=True, check=True)
            server.stdin.write("\n")
            server.stdin.flush()
            assert server.stdout.readline() == "listening\n"
            yield f"rtsp://{host}:{port}"
        finally:
            server.kill()


@pytest.mark.skipif(bool(lan.missing()), reason=lan.missing() or "network namespaces")
def test_multicast_is_used_if_it_is_chosen_or_the_camera_offers_nothing_else() -> None:
    for transport in ("multicast", "tcp"):
        # A separate server, because GStreamer's may refuse a session while it ends the media of the previous one.
        with neighbour(H264) as base:
            recording = record(config(f"{base}/cam0", transport=transport), 30)
        assert recording.error is None and recording.stats.packets_lost == 0
        assert len(decode(recording.video)) == len(recording.video)


def _tunnelled(base: str) -> str:
    return base.replace("rtsp:", "rtsp+http:")


def test_a_tunnel_over_http_delivers_every_frame_and_the_audio() -> None:
    """Runs longer than the interval of keep-alives, which are requests in the tunnel, too."""
    with gst_server(f"{H264} {ALAW}") as base:
        recording = record(config(f"{_tunnelled(base)}/cam0"), 160, timeout_s=20)
    assert recording.error is None and recording.close_s < 1
    assert recording.stats.packets_lost == recording.stats.access_units_dropped == 0
    assert len(decode(recording.video)) == len(recording.video) >= 160
    assert {packet.codec for packet in recording.audio} == {Codec.PCMA}


def test_login_is_answered_in_a_tunnel() -> None:
    with gst_server("--user", "viewer", "--password", "pass word", "--digest", H264) as base:
        url = f"{_tunnelled(base)}/cam0"
        assert len(record(config(url, username="viewer", password="pass word"), 10).video) >= 10
        with pytest.raises(AuthenticationError):
            record(config(url, username="viewer", password="wrong"))

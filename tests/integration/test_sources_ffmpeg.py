"""HLS from Debian's ffmpeg, and hostile playlists."""

import asyncio
import base64
import contextlib
import functools
import http.server
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import av
import pytest

from ninjacam.core import errors
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Packet
from ninjacam.sources.ffmpeg_http import MAX_REQUESTS
from ninjacam.sources.registry import runs_native_code
from ninjacam.supervision.control import Json
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.tls import server_context
from tests.harness.capture import capture
from tests.harness.processes import Process, wait_until
from tests.integration.source_support import config, record, stamps, steps, write_file

needs_ffmpeg = [
    pytest.mark.ffmpeg,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed"),
]
SECRET = "hunter2-of-the-yard"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=320, height=240, seconds=2, gop=10, bframes=2, bitrate_bps=300_000))


@pytest.fixture(scope="module")
def folder(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip with audio: `film.mp4`, and two parts, `a.ts` and `b`, with unrelated continuity counters."""
    folder = tmp_path_factory.mktemp("hls")
    write_file(clip, folder / "film.mp4", silence=True)
    write_file(clip, folder / "a.ts")
    (folder / "b").write_bytes(not_following((folder / "a.ts").read_bytes()))
    return folder


def not_following(part: bytes) -> bytes:
    """Return the same part with continuity counters that do not continue from the last packet of each PID."""
    counters: dict[int, list[int]] = {}
    for at in range(0, len(part), 188):
        pid = (part[at + 1] & 31) << 8 | part[at + 2]
        counters.setdefault(pid, []).append(part[at + 3] & 15)
    following = {(last[-1] + 1 - last[0]) % 16 for last in counters.values()}
    by = next(by for by in range(16) if by not in following)
    return b"".join(
        part[at : at + 3] + bytes([part[at + 3] & 0xF0 | (part[at + 3] + by) & 15]) + part[at + 4 : at + 188]
        for at in range(0, len(part), 188)
    )


def sender(film: Path, *output: str) -> Process:
    """Run Debian's ffmpeg, which sends the film unchanged in a loop, in real time."""
    return Process(
        "ffmpeg",
        ["ffmpeg", "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i", film, "-c", "copy", *output],
    )  # fmt: skip


class _Files(http.server.SimpleHTTPRequestHandler):
    """`texts`: custom responses: playlists or redirects. `seen`: (path, Host, Authorization)."""

    protocol_version = "HTTP/1.1"
    texts: dict[str, str]
    login: str
    seen: list[tuple[str, str, str]]

    def do_GET(self) -> None:
        self.close_connection = False  # some servers always do this: only the length marks the end
        authorization = self.headers.get("Authorization", "")
        self.seen.append((self.path, self.headers["Host"], authorization))
        if self.path.endswith(".m3u8") and authorization != self.login:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="yard"')
            self.end_headers()
        elif (text := self.texts.get(self.path)) is None:
            super().do_GET()
        elif not text.startswith("#"):
            self.send_response(302)
            self.send_header("Location", text)
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.apple.mpegurl")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class WebServer:
    """A plain web server on 127.0.0.1. `url`: of its root."""

    def __init__(self, directory: Path, login: str = "", *, tls: bool = False) -> None:
        self.texts: dict[str, str] = {}
        self.seen: list[tuple[str, str, str]] = []
        basic = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
        handler = type("Handler", (_Files,), {"texts": self.texts, "login": basic, "seen": self.seen})
        bound = functools.partial(handler, directory=str(directory))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), bound)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if tls:
            self.url = f"https://127.0.0.1:{self.port}"
            self._server.socket = server_context().wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="web", daemon=True
        )
        self._thread.start()

    def playlist(self, *lines: str, name: str = "/cam.m3u8") -> str:
        """Return the URL of a finished playlist."""
        head = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:1"]
        self.texts[name] = "\n".join([*head, *lines, "#EXT-X-ENDLIST", ""])
        return self.url + name

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


@contextlib.contextmanager
def web_server(directory: Path, login: str = "", *, tls: bool = False) -> Iterator[WebServer]:
    server = WebServer(directory, login, tls=tls)
    try:
        yield server
    finally:
        server.stop()


class TestLivePlaylist:
    pytestmark = needs_ffmpeg

    @pytest.fixture(scope="class")
    @classmethod
    def live(cls, folder: Path) -> Iterator[Path]:
        """Yield the directory of a playlist that ffmpeg keeps writing."""
        (folder / "live").mkdir()
        playlist = folder / "live/live.m3u8"
        flags = ("-hls_time", "1", "-hls_list_size", "5", "-hls_flags", "delete_segments")
        with sender(folder / "film.mp4", "-f", "hls", *flags, str(playlist)) as ffmpeg:
            wait_until(
                lambda: playlist.exists() and playlist.read_text().count("EXTINF") >= 3,
                20,
                "three parts",
                processes=[ffmpeg],
            )
            yield playlist.parent

    def test_frames_arrive_in_order_and_at_their_own_pace(self, live: Path, clip: Clip) -> None:
        with web_server(live) as server:
            settings = config(f"{server.url}/live.m3u8", read_timeout_s=5)
            assert runs_native_code(settings)
            recording = record(settings, 60, timeout_s=30)
        assert recording.error is None
        assert steps(stamps(recording.video), clip.frames) == {1}
        first, last = recording.video[0], recording.video[-1]
        shown_s = max(packet.pts - first.pts for packet in recording.video) / VIDEO_CLOCK_HZ
        # Three parts are ready and could be delivered at once.
        assert (last.received_ns - first.received_ns) / 1e9 > 0.8 * shown_s > 1.5
        decoded = recording.decoding_times()
        assert decoded == sorted(decoded)
        assert {packet.codec for packet in recording.audio} == {Codec.AAC}
        assert len(decode_sound(recording.tracks[1].extradata, recording.audio)) == len(recording.audio)
        assert recording.close_s < 1

    def test_a_lost_server_is_an_error(self, live: Path) -> None:
        server = WebServer(live)
        recording = record(
            config(f"{server.url}/live.m3u8", read_timeout_s=5), 10_000, at={5: server.stop}, timeout_s=30
        )
        assert isinstance(recording.error, errors.ConnectionRefusedSourceError)


def decode_sound(description: bytes, packets: list[Packet]) -> list[av.AudioFrame]:
    context = av.CodecContext.create("aac", "r")
    assert isinstance(context, av.AudioCodecContext)
    context.extradata, context.options = description, {"err_detect": "explode"}
    return [frame for packet in packets for frame in context.decode(av.Packet(packet.data))]


def test_a_missing_playlist_is_an_error(folder: Path) -> None:
    with web_server(folder) as server, pytest.raises(errors.StreamNotFoundError):
        record(config(f"{server.url}/nothing.m3u8"))


def test_a_missing_segment_is_skipped(folder: Path, clip: Clip) -> None:
    with web_server(folder) as server:
        parts = [line for name in ("a.ts", "gone.ts", "b?part=2") for line in ("#EXTINF:2,", name)]
        recording = record(config(server.playlist(*parts)), 10_000)
    assert len(recording.video) == 2 * clip.frames
    assert isinstance(recording.error, errors.SourceEndedError)


def test_segments_of_one_file_are_read_by_ranges_or_not_at_all(folder: Path) -> None:
    with web_server(folder) as server:  # Python's server does not support ranges
        url = server.playlist("#EXTINF:2,", "#EXT-X-BYTERANGE:1880@188", "a.ts")
        with pytest.raises(errors.ProtocolError, match="byte ranges"):
            record(config(url))


def test_the_password_is_sent_to_its_own_host_only(folder: Path, clip: Clip) -> None:
    with web_server(folder, f"viewer:{SECRET}") as server, web_server(folder) as other:
        elsewhere = f"http://localhost:{other.port}/b"
        url = server.playlist("#EXTINF:2,", "a.ts", "#EXTINF:2,", elsewhere)
        recording = record(config(url, username="viewer", password=SECRET), clip.frames + 5)
        assert len(recording.video) >= clip.frames + 5
        assert other.seen == [("/b", f"localhost:{other.port}", "")]
        with pytest.raises(errors.AuthenticationError) as caught:
            record(config(url, username="viewer", password=SECRET + "-wrong"))
    assert SECRET not in str(caught.value)


def test_another_host_gets_no_password_even_if_it_asks(folder: Path) -> None:
    with web_server(folder, f"viewer:{SECRET}") as server, web_server(folder, "other:login") as other:
        url = server.playlist(name="/cam.m3u8")
        variant = f"http://localhost:{other.port}/variant.m3u8"
        server.texts["/cam.m3u8"] = f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000000\n{variant}\n"
        with pytest.raises(errors.AuthenticationError):
            record(config(url, username="viewer", password=SECRET))
        assert other.seen and {authorization for *_, authorization in other.seen} == {""}


def test_a_playlist_does_not_lead_from_tls_to_clear_text(folder: Path, clip: Clip) -> None:
    """A part over https plays; the same part over http is not requested."""
    with web_server(folder, tls=True) as server, web_server(folder) as in_clear:
        safe = server.playlist("#EXTINF:2,", "a.ts", name="/safe.m3u8")
        assert len(record(config(safe, verify_tls=False), clip.frames).video) >= clip.frames
        url = server.playlist("#EXTINF:2,", f"{in_clear.url}/a.ts")
        with pytest.raises(errors.ProtocolError, match="refers from https: to http:"):
            record(config(url, verify_tls=False))
        assert in_clear.seen == []


OUTSIDE = {
    "file": ("file://{folder}/a.ts", errors.ProtocolError),
    "nested": ("concat:{folder}/a.ts", errors.SourceError),
    "metadata": ("http://169.254.169.254/a.ts", errors.ForbiddenAddressError),
    "redirect": ("/redirect.ts", errors.ForbiddenAddressError),
    "redirect-to-file": ("/redirect-to-file.ts", errors.ProtocolError),
    "loopback": ("http://127.0.0.2:{port}/a.ts", errors.ForbiddenAddressError),
}


@pytest.mark.parametrize("kind", OUTSIDE)
def test_a_playlist_leads_to_no_file_and_no_forbidden_host(folder: Path, kind: str) -> None:
    """The files exist and would play: only the refusal prevents it."""
    part, error = OUTSIDE[kind]
    with web_server(folder) as server:
        server.texts["/redirect.ts"] = "http://100.100.100.200/a.ts"
        server.texts["/redirect-to-file.ts"] = f"file://{folder}/a.ts"
        url = server.playlist("#EXTINF:2,", part.format(folder=folder, port=server.port))
        with pytest.raises(error) as caught:
            record(config(url, allowed_networks=("127.0.0.1/32",)))
    assert str(folder) not in str(caught.value)


def test_an_encrypted_playlist_is_reported_and_no_key_is_read_from_a_file(folder: Path) -> None:
    (folder / "key").write_bytes(bytes(16))
    with web_server(folder) as server:
        for key in ("key", f"file://{folder}/key"):
            url = server.playlist(f'#EXT-X-KEY:METHOD=AES-128,URI="{key}"', "#EXTINF:2,", "a.ts")
            with pytest.raises(errors.SourceError) as caught:
                record(config(url))
            assert str(folder) not in str(caught.value)
            assert key != "key" or "encrypted" in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtmp", "rtmps", "srt"])
def test_a_protocol_that_only_ffmpeg_speaks_is_rejected_and_nothing_is_sent(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = config(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/live/cam")
        with pytest.raises(errors.UnsupportedSchemeError, match="Use the camera's rtsp: URL"):
            record(settings)
        question = json.dumps({"source": asdict(settings), "timeout_s": 5})
        probe = [sys.executable, "-m", "ninjacam.capture.probe"]
        done = subprocess.run(probe, input=question, capture_output=True, text=True, timeout=60, check=True)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["retryable"]) == ("unsupported_scheme", False)


PART = "#EXTINF:2,"
OUT_OF_BOUNDS = {
    "file": (PART, "file://{folder}/a.ts"),
    "concat": (PART, "concat:{folder}/a.ts|{folder}/b"),
    "subfile": (PART, "subfile,,start,0,end,0,,:{folder}/a.ts"),
    "data": (PART, "data:video/mp2t;base64,R0AAEAAAsA0="),
    "crypto": (PART, "crypto+file://{folder}/a.ts"),
    "tcp": (PART, "tcp://127.0.0.2:{port}"),
    "udp": (PART, "udp://127.0.0.2:{port}"),
    "rtp": (PART, "rtp://127.0.0.2:{port}"),
    "rtsp": (PART, "rtsp://127.0.0.2:{port}/a"),
    "rtmp": (PART, "rtmp://127.0.0.2:{port}/a"),
    "ftp": (PART, "ftp://127.0.0.2:{port}/a.ts"),
    "gopher": (PART, "gopher://127.0.0.2:{port}/a.ts"),
    "http": (PART, "http://127.0.0.2:{port}/a.ts"),
    "proxy": (PART, "httpproxy://127.0.0.2:{port}/a.ts"),
    "tls": (PART, "tls://127.0.0.2:{port}"),
    "name": (PART, "http://localhost.:{port}@127.0.0.2:{port}/a.ts"),
    "variant": ("#EXT-X-STREAM-INF:BANDWIDTH=1", "http://127.0.0.2:{port}/b.m3u8"),
    "rendition": (
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="tcp://127.0.0.2:{port}"',
        "#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"",
        "rtp://127.0.0.2:{port}",
    ),
    "key": ('#EXT-X-KEY:METHOD=AES-128,URI="tcp://127.0.0.2:{port}"', PART, "a.ts"),
    "map": ('#EXT-X-MAP:URI="udp://127.0.0.2:{port}"', PART, "a.ts"),
    "redirect": (PART, "/redirect.ts"),
    "redirect-to-tcp": (PART, "/redirect-to-tcp.ts"),
    "nested": ("#EXT-X-STREAM-INF:BANDWIDTH=1", "/nested.m3u8"),
    "sdp": (PART, "/sdp"),
}  # fmt: skip


def test_no_playlist_makes_the_capture_process_open_a_socket_or_a_file_of_its_choice(
    folder: Path, tmp_path: Path
) -> None:
    """In the real process. The listeners are at forbidden addresses; the files would play."""

    async def watch(urls: dict[str, str]) -> dict[str, Json]:
        async with capture(tmp_path, "", record="off") as child:
            child.assign_all(urls, ["127.0.0.1/32"])
            await child.until(lambda: len(child.report.get("cameras", {})) == len(urls), 30)
            cameras = child.report["cameras"]
            await child.until(lambda: all(camera["error"] for camera in child.report["cameras"].values()), 60)
            cameras = child.report["cameras"]
            await child.stop()
            return dict(cameras)

    with (
        web_server(folder) as server,
        socket.create_server(("127.0.0.2", 0)) as forbidden,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
    ):
        port = forbidden.getsockname()[1]
        datagrams.bind(("127.0.0.2", port))
        sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.2\ns=-\nc=IN IP4 127.0.0.2\nt=0 0\nm=video {port} RTP/AVP 96\n"
        (folder / "sdp").write_text(sdp)
        server.texts["/redirect.ts"] = f"http://127.0.0.2:{port}/a.ts"
        server.texts["/redirect-to-tcp.ts"] = f"tcp://127.0.0.2:{port}"
        server.playlist(PART, f"file://{folder}/a.ts", name="/nested.m3u8")
        urls = {
            kind: server.playlist(
                *(line.format(folder=folder, port=port) for line in lines), name=f"/{kind}.m3u8"
            )
            for kind, lines in OUT_OF_BOUNDS.items()
        }
        urls["sdp-itself"] = f"{server.url}/sdp"
        urls["away"] = f"{server.url}/redirect.ts"
        cameras = asyncio.run(watch(urls))
        forbidden.settimeout(0.1)
        datagrams.settimeout(0.1)
        with pytest.raises(TimeoutError):
            forbidden.accept()
        with pytest.raises(TimeoutError):
            datagrams.recv(100)
    assert {kind for kind, camera in cameras.items() if camera["last_video_ns"]} == set()
    for camera in cameras.values():
        assert str(folder) not in camera["error"]["message"]
        assert camera["error"]["code"] not in ("error", "config")


TOO_MUCH = {
    "bytes": (["# " + "x" * 1000] * 1100, "larger than"),
    "streams": ([f"#EXT-X-STREAM-INF:BANDWIDTH={n}\na.ts" for n in range(40)], "streams"),
    "parts": (["#EXTINF:0.1,\na.ts"] * 10_500, "parts"),
    "requests": (["#EXTINF:0.1,\ngone.ts"] * 500, "more files"),
}


@pytest.mark.parametrize("kind", TOO_MUCH)
def test_a_playlist_costs_a_bounded_amount_of_memory_and_requests(folder: Path, kind: str) -> None:
    lines, message = TOO_MUCH[kind]
    with web_server(folder) as server:
        with pytest.raises(errors.ProtocolError, match=message):
            record(config(server.playlist(*lines)))
        assert len(server.seen) <= MAX_REQUESTS + 1


def test_a_playlist_that_never_ends_is_rejected(folder: Path) -> None:
    """It is sent in pieces, without a length."""

    def answer(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n#EXTM3U\n")
            while True:
                connection.sendall(b"#EXTINF:2,\nhttp://camera/a.ts\n" * 2000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: answer(server.accept()[0]), name="endless", daemon=True)
        thread.start()
        with pytest.raises(errors.ProtocolError, match="larger than"):
            record(config(f"http://127.0.0.1:{server.getsockname()[1]}/cam.m3u8"))
        thread.join(5)

"""The RTSP client against the fake camera, with its faults, over real sockets."""

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

import pytest

from ninjacam.core import errors
from ninjacam.core.packets import Codec, Flags, Kind
from ninjacam.sources.registry import open_source, runs_native_code
from ninjacam.testing.authentication import Login, Scheme
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, VideoName, make_clip
from ninjacam.testing.tls import server_context
from tests.harness.fair_clock import fair_s, spell
from tests.harness.processes import wait_until
from tests.integration.source_support import config, decode, record, stamps, steps


def clip_of(codec: VideoName = "h264", **changes: object) -> Clip:
    options = {"width": 640, "height": 360, "seconds": 2, "gop": 10, "bitrate_bps": 800_000, **changes}
    return make_clip(SceneOptions(codec=codec, **options))  # type: ignore[arg-type]  # a test's own


@pytest.fixture(scope="module")
def clip() -> Clip:
    return clip_of()


@contextmanager
def scripted_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a TCP server that handles each connection with `answer`; yield its port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                with suppress(OSError):
                    answer(connection)

    thread = threading.Thread(target=serve, name="scripted-server", daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_each_codec_arrives_complete_and_in_order(codec: VideoName) -> None:
    clip = clip_of(codec)
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 30)
    assert recording.error is None
    first = recording.video[0]
    assert first.flags & Flags.KEY and first.flags & Flags.CONFIG and not first.flags & Flags.DISCONT
    assert (first.width_px, first.height_px) == (640, 360)
    assert recording.tracks[0].codec is first.codec
    assert steps(stamps(recording.video), clip.frames) == {1}
    assert recording.stats.packets_lost == recording.stats.access_units_dropped == 0
    assert recording.close_s < 1


def test_bframes_have_decoding_times_that_never_decrease() -> None:
    clip = clip_of(bframes=2)
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 40)
    shown = [packet.pts for packet in recording.video]
    assert shown != sorted(shown)
    decoded = recording.decoding_times()
    assert decoded == sorted(decoded)


@pytest.mark.parametrize(
    ("audio", "codec"), [("aac", Codec.AAC), ("pcm_alaw", Codec.PCMA), ("pcm_mulaw", Codec.PCMU)]
)
def test_audio_is_delivered_too(audio: str, codec: Codec) -> None:
    clip = clip_of(audio=audio)
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 30)
        silent = record(config(camera.url(), audio=False), 5)
    track = recording.tracks[1]
    assert track.kind is Kind.AUDIO and track.codec is codec
    sounds = [packet for packet in recording.audio if packet.codec is codec]
    assert len(sounds) > 10
    between = Counter(b.pts - a.pts for a, b in pairwise(sounds))
    # The point where the camera's loop restarts.
    between.subtract({step: 1 for step in between if step != sounds[0].duration})
    assert set(+between) == {sounds[0].duration}
    assert len(silent.tracks) == 1 and not silent.audio


@pytest.mark.parametrize("scheme", ["basic", "digest", "digest-sha256"])
@pytest.mark.parametrize("qop", [False, True])
def test_login_is_answered(clip: Clip, scheme: Scheme, qop: bool) -> None:
    with FakeRtspCamera(clip, login=Login(scheme, qop=qop)) as camera:
        url = camera.url(login=False)
        assert len(record(config(url, username="admin", password="secret"), 5).video) >= 5
        assert len(record(config(camera.url()), 5).video) >= 5  # user info in the URL also works
        with pytest.raises(errors.AuthenticationError, match="rejects the user name or password"):
            record(config(url, username="admin", password="wrong"))
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            record(config(url))


def test_a_wrong_password_is_tried_once(clip: Clip) -> None:
    with FakeRtspCamera(clip, login=Login("digest")) as camera:
        with pytest.raises(errors.AuthenticationError):
            record(config(camera.url(login=False), username="admin", password="wrong"))
        assert camera.stats.connections == 1


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ({"describe_status": 404}, errors.StreamNotFoundError),
        ({"describe_status": 403}, errors.AuthenticationError),
        ({"describe_status": 503}, errors.ProtocolError),
        ({"no_video": True}, errors.NoVideoError),
        ({"codec_name": "VP8"}, errors.UnsupportedCodecError),
        ({"web_page": True}, errors.NotACameraError),
        ({"refuse_tcp": True, "refuse_udp": True}, errors.ProtocolError),
        ({"hang": ("DESCRIBE",)}, errors.SourceTimeoutError),
        ({"hang": ("*",)}, errors.SourceTimeoutError),
    ],
)
def test_each_failure_has_its_own_error(
    clip: Clip, faults: dict[str, object], error: type[Exception]
) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.set_faults("*", **faults)
        started = fair_s()
        with pytest.raises(error):
            record(config(camera.url(), open_timeout_s=1.0))
        assert fair_s() - started < 2


def test_wrong_hosts_and_wrong_ports_have_different_errors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(errors.ConnectionRefusedSourceError, match=str(port)):
        record(config(f"rtsp://127.0.0.1:{port}/"))
    with pytest.raises(errors.HostNotFoundError, match=r"no-such-camera\.invalid"):
        record(config("rtsp://no-such-camera.invalid/"))
    with pytest.raises(errors.ForbiddenAddressError):
        record(config("rtsp://169.254.169.254/"))
    with pytest.raises(errors.ForbiddenAddressError):
        record(config(f"rtsp://127.0.0.1:{port}/", allowed_networks=("10.0.0.0/8",)))
    with pytest.raises(errors.UnsupportedSchemeError):
        record(config("ftp://127.0.0.1/"))
    with pytest.raises(errors.ConfigError):
        record(config("rtsp://10.0.0.1\\@127.0.0.1/"))


@pytest.mark.parametrize(
    ("greeting", "text"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n<html>", "web"),
        (b"\x00\x01\x02\x03\x04" * 9, "RTSP"),
    ],
)
def test_another_service_is_not_a_camera(greeting: bytes, text: str) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(greeting)
        connection.recv(1000)

    with scripted_server(greet) as port, pytest.raises(errors.NotACameraError, match=text):
        record(config(f"rtsp://127.0.0.1:{port}/"))


def test_at_most_three_redirects_are_followed(clip: Clip) -> None:
    with FakeRtspCamera(clip, login=Login("digest")) as camera, FakeRtspCamera(clip) as first:
        first.faults.redirect_to = camera.url(login=False)
        recording = record(config(first.url(), username="admin", password="secret"), 5)
        assert len(recording.video) >= 5
        first.faults.redirect_to = first.url()
        with pytest.raises(errors.ProtocolError, match="too often"):
            record(config(first.url()))
        assert first.stats.connections == 1 + 4


def test_a_redirect_is_checked_like_the_first_address(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.faults.redirect_to = "rtsp://169.254.169.254/latest"
        with pytest.raises(errors.ForbiddenAddressError):
            record(config(camera.url()))
        camera.faults.redirect_to = "file:///etc/passwd"
        with pytest.raises(errors.ProtocolError):
            record(config(camera.url()))


def test_a_redirect_from_tls_to_clear_text_is_not_followed(clip: Clip) -> None:
    login = Login("basic")
    with (
        FakeRtspCamera(clip, login=login) as in_clear,
        FakeRtspCamera(clip, login=login, ssl_context=server_context()) as camera,
    ):
        camera.faults.redirect_to = in_clear.url(login=False)
        url = camera.url(login=False).replace("rtsp:", "rtsps:")
        with pytest.raises(errors.ProtocolError, match="not followed"):
            record(config(url, username="admin", password="secret", verify_tls=False))
        assert in_clear.stats.connections == 0


def test_credentials_do_not_follow_a_redirect_to_another_host(clip: Clip) -> None:
    with (
        FakeRtspCamera(clip, login=Login("basic"), host="127.0.0.2") as thief,
        FakeRtspCamera(clip) as camera,
    ):
        camera.faults.redirect_to = thief.url(login=False)
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            record(config(camera.url(), username="admin", password="secret"))


def test_credentials_do_not_return_at_the_next_redirect(clip: Clip) -> None:
    with (
        FakeRtspCamera(clip, login=Login("basic"), host="127.0.0.2") as thief,
        FakeRtspCamera(clip, host="127.0.0.2") as friend,
        FakeRtspCamera(clip) as camera,
    ):
        camera.faults.redirect_to = friend.url()
        friend.faults.redirect_to = thief.url(login=False)
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            record(config(camera.url(), username="admin", password="secret"))


def test_tls_is_verified_unless_switched_off(clip: Clip) -> None:
    with FakeRtspCamera(clip, ssl_context=server_context()) as camera:
        assert camera.url().startswith("rtsps:")
        recording = record(config(camera.url(), verify_tls=False), 10)
        assert steps(stamps(recording.video), clip.frames) == {1}
        with pytest.raises(errors.ProtocolError, match="certificate"):
            record(config(camera.url()))


def test_lost_packets_cost_only_their_frames(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.faults.loss = 0.05
        recording = record(config(camera.url()), 40)
    assert recording.stats.packets_lost > 0
    assert recording.stats.access_units_dropped > 0
    assert any(packet.flags & Flags.DISCONT for packet in recording.video)
    # Received data is complete: every key frame decodes on its own.
    keys = [packet for packet in recording.video if packet.is_key]
    assert all(len(decode([key])) == 1 for key in keys)


@pytest.mark.parametrize(("sdp", "in_band"), [(True, False), (False, True)])
def test_parameter_sets_are_in_band_wherever_they_were_sent(clip: Clip, sdp: bool, in_band: bool) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.set_faults(sdp_parameter_sets=sdp, in_band_parameter_sets=in_band)
        recording = record(config(camera.url()), 25)
    keys = [packet for packet in recording.video if packet.is_key]
    assert len(keys) >= 2
    assert all(len(decode([key])) == 1 for key in keys)
    assert [bool(key.flags & Flags.CONFIG) for key in keys] == [True] + [False] * (len(keys) - 1)


def test_a_new_resolution_is_announced_on_its_first_key_frame(clip: Clip) -> None:
    other = clip_of(width=320, height=240)
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 50, at={15: lambda: camera.switch_clip(other)})
    assert recording.error is None
    sizes = [(packet.width_px, packet.height_px) for packet in recording.video]
    assert sizes[0] == (640, 360) and sizes[-1] == (320, 240)
    change = sizes.index((320, 240))
    assert recording.video[change].is_key and recording.video[change].flags & Flags.CONFIG
    assert {(frame.width, frame.height) for frame in decode(recording.video[change:])} == {(320, 240)}


def test_garbage_between_packets_is_skipped(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 60, at={20: camera.inject})
    assert recording.error is None
    assert len(recording.video) >= 60


def test_a_connection_that_sends_only_garbage_is_closed(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        noise = bytes(range(1, 36)) * 30_000
        recording = record(config(camera.url()), 500, at={5: lambda: camera.inject(noise)})
    assert isinstance(recording.error, errors.ProtocolError)


def test_garbled_payloads_do_no_harm(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.faults.garbage = 0.2
        recording = record(config(camera.url()), 60)
    assert recording.error is None


def test_a_frozen_camera_is_stalled(clip: Clip) -> None:
    def freeze() -> None:
        camera.set_faults(freeze=True, sender_reports=False, hang=("*",))

    with FakeRtspCamera(clip) as camera:
        started = fair_s()
        recording = record(config(camera.url(), read_timeout_s=1.0), 500, at={10: freeze})
    assert isinstance(recording.error, errors.SourceStalledError)
    assert fair_s() - started < 5


def test_a_dropped_connection_has_ended(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 500, at={10: camera.drop})
    assert isinstance(recording.error, errors.SourceEndedError)


def test_a_session_is_kept_alive_at_the_interval_that_the_camera_requires(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.set_faults(session_timeout_s=2, rtcp_keeps_alive=False)
        recording = record(config(camera.url()), 110)
    assert recording.error is None
    assert len(recording.video) >= 110


def test_sender_reports_set_the_capture_time(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.set_faults(sender_report_interval_s=0.2, wall_offset_s=-3600.0)
        before_ns = time.time_ns()
        recording = record(config(camera.url()), 40)
    told = [packet.captured_ns for packet in recording.video if packet.captured_ns]
    assert len(told) > 20
    expected = (before_ns / 1e9 - 3600, time.time() - 3600)
    assert all(expected[0] - 1 <= captured_ns / 1e9 <= expected[1] + 1 for captured_ns in told)


def test_slow_responses_are_awaited(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        camera.set_faults(trickle_s=0.0005)
        assert len(record(config(camera.url()), 5).video) >= 5


def test_closing_sends_teardown_and_leaves_nothing_behind(clip: Clip) -> None:
    with FakeRtspCamera(clip) as camera:
        recording = record(config(camera.url()), 10)
        wait_until(lambda: camera.stats.open_connections == 0, 2, "the end of the connection")
        assert camera.stats.methods["TEARDOWN"] == 1
    assert recording.close_s < 1


def test_an_open_that_is_cancelled_closes_its_connection(clip: Clip) -> None:
    def asked() -> int:
        return camera.stats.methods["DESCRIBE"]

    async def cancel() -> None:
        opening = asyncio.create_task(open_source(config(camera.url())))
        await asyncio.to_thread(lambda: wait_until(asked, 5, "the question that is not answered"))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening

    with FakeRtspCamera(clip) as camera:
        camera.set_faults(hang=("DESCRIBE",))
        asyncio.run(cancel())
        wait_until(lambda: camera.stats.open_connections == 0, 2, "the end of the connection")


def test_a_source_that_was_never_run_can_be_closed(clip: Clip) -> None:
    async def open_and_close() -> None:
        source = await open_source(config(camera.url()))
        await source.close()
        await source.close()

    with FakeRtspCamera(clip) as camera:
        asyncio.run(open_and_close())


def test_garbage_from_one_camera_does_not_affect_its_neighbours(clip: Clip) -> None:
    async def run() -> float:
        counts = [0, 0]
        sources = [await open_source(config(camera.url(path))) for path in ("/a", "/b")]

        async def play(index: int) -> None:
            def count(_packet: object) -> None:
                counts[index] += 1

            with pytest.raises(errors.SourceError):
                await sources[index].run(count)

        tasks = [asyncio.create_task(play(index)) for index in (0, 1)]
        await asyncio.sleep(1)
        camera.set_faults("/a", garbage=1.0)
        before = counts[1]
        with spell() as passed:
            await asyncio.sleep(2)
        after = counts[1]
        for source in sources:
            await source.close()
        await asyncio.gather(*tasks)
        return (after - before) / passed.fair_s

    with FakeRtspCamera({"/a": clip, "/b": clip}) as camera:
        assert asyncio.run(run()) >= 22


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_udp_delivers_every_frame(codec: VideoName) -> None:
    clip = clip_of(codec)
    with FakeRtspCamera(clip, login=Login("digest")) as camera:
        settings = config(camera.url(), transport="udp")
        assert not runs_native_code(settings)
        recording = record(settings, 30)
        with pytest.raises(errors.AuthenticationError) as caught:
            record(config(camera.url(login=False), username="admin", password="hunter2", transport="udp"))
    assert "hunter2" not in str(caught.value)
    assert recording.error is None
    assert steps(stamps(recording.video), clip.frames) == {1}
    assert recording.close_s < 1

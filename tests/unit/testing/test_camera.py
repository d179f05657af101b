"""The fake camera against FFmpeg's client, and its faults as they look on the wire."""

import hashlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

import av
import pytest

from ninjacam.testing import stamp
from ninjacam.testing.authentication import Login, Scheme
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.faults import Faults
from ninjacam.testing.scenes import AudioName, SceneOptions, VideoName, make_clip
from ninjacam.testing.tls import server_context
from tests.unit.testing.decoding import luma
from tests.unit.testing.rtsp_client import Rtp, RtspClient, digest_parameters

SCENE = SceneOptions(width=320, height=180, seconds=1, gop=5, bitrate_bps=500_000)


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SCENE)


@pytest.fixture
def camera(clip: Clip) -> Iterator[FakeRtspCamera]:
    with FakeRtspCamera(clip) as running:
        yield running


def open_by_ffmpeg(
    camera: FakeRtspCamera, transport: str = "tcp", path: str = ""
) -> av.container.InputContainer:
    options = {"rtsp_transport": transport, "analyzeduration": "200000"}
    options["tls_verify"] = "0"  # its certificate is its own, and newer versions of FFmpeg check it
    return av.open(camera.url(path), options=options, timeout=5)


def stamps(camera: FakeRtspCamera, transport: str, count: int = 12) -> list[int | None]:
    with open_by_ffmpeg(camera, transport) as container:
        return [stamp.read(luma(frame)) for frame in itertools.islice(container.decode(video=0), count)]


def assert_complete(numbers: list[int | None], loop: int) -> None:
    assert numbers[0] is not None
    assert numbers == [(numbers[0] + place) % loop for place in range(len(numbers))]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("scheme", ["none", "basic", "digest"])
def test_ffmpeg_gets_every_frame(clip: Clip, transport: str, scheme: Scheme) -> None:
    with FakeRtspCamera(clip, login=Login(scheme)) as camera:
        assert_complete(stamps(camera, transport), 25)


@pytest.mark.parametrize("aggregate", [True, False])
@pytest.mark.parametrize("codec", ["hevc", "mjpeg"])
def test_ffmpeg_gets_every_frame_of_other_codecs(codec: VideoName, aggregate: bool) -> None:
    with FakeRtspCamera(make_clip(replace(SCENE, codec=codec)), aggregate=aggregate) as camera:
        assert_complete(stamps(camera, "tcp"), 25)


@pytest.mark.parametrize("audio", ["aac", "pcm_alaw", "pcm_mulaw"])
def test_ffmpeg_gets_the_audio(audio: AudioName) -> None:
    with (
        FakeRtspCamera(make_clip(replace(SCENE, audio=audio))) as camera,
        open_by_ffmpeg(camera) as container,
    ):
        assert container.streams.audio[0].codec_context.name == audio
        sound = (packet for packet in container.demux(audio=0) if packet.size)
        decoded = [frame for packet in itertools.islice(sound, 8) for frame in packet.decode()]
        assert decoded


def test_rtsps_serves_ffmpeg(clip: Clip) -> None:
    with FakeRtspCamera(clip, ssl_context=server_context()) as camera:
        assert camera.url().startswith("rtsps://")
        assert_complete(stamps(camera, "tcp"), 25)


@pytest.mark.parametrize(("scheme", "name"), [("digest", "md5"), ("digest-sha256", "sha256")])
@pytest.mark.parametrize("qop", [False, True])
def test_digest_accepts_only_the_right_password(clip: Clip, scheme: Scheme, name: str, qop: bool) -> None:
    def hashed(*parts: str) -> str:
        return hashlib.new(name, ":".join(parts).encode()).hexdigest()

    with (
        FakeRtspCamera(clip, login=Login(scheme, "me", "pass", qop=qop)) as camera,
        RtspClient(camera) as client,
    ):
        refused = client.request("DESCRIBE")
        assert refused.status == 401
        given = digest_parameters(refused.headers["www-authenticate"])
        for password, status in (("wrong", 401), ("pass", 200)):
            middle = ["00000001", "abc", "auth"] if qop else []
            one, two = hashed("me", given["realm"], password), hashed("DESCRIBE", client.url)
            response = hashed(one, given["nonce"], *middle, two)
            extra = ', qop=auth, nc=00000001, cnonce="abc"' if qop else ""
            value = (
                f'Digest username="me", realm="{given["realm"]}", nonce="{given["nonce"]}", '
                f'uri="{client.url}", response="{response}"{extra}'
            )
            assert client.request("DESCRIBE", Authorization=value).status == status


def test_frame_k_is_sent_at_its_time_on_the_monotonic_clock(camera: FakeRtspCamera) -> None:
    with open_by_ffmpeg(camera) as container:
        ages = []
        for frame in itertools.islice(container.decode(video=0), 40):
            number = stamp.read(luma(frame))
            assert number is not None
            ages.append((time.monotonic() * 25 - number) % 25 / 25)
    # FFmpeg's parser keeps each picture for one interval of 40 ms. Some frames are late on a busy machine.
    assert min(ages[-20:]) < 0.08


def test_new_client_starts_at_a_key_frame(camera: FakeRtspCamera) -> None:
    with RtspClient(camera) as client:
        client.play()
        first = client.rtp()
        assert first.payload[0] & 31 == 24  # STAP-A of the parameter sets and the IDR slice, or its beginning


def test_gop_at_once_starts_with_the_last_key_frame(clip: Clip) -> None:
    with FakeRtspCamera(make_clip(replace(SCENE, gop=25)), gop_at_once=True) as camera:
        started_s = time.monotonic()
        number = stamps(camera, "tcp", 1)
        assert number == [0]
        assert time.monotonic() - started_s < 0.9


def test_many_clients_play_many_streams(clip: Clip) -> None:
    with FakeRtspCamera({"/a": clip, "/b": clip}) as camera:
        for path in ("/a", "/b", "/b"):
            with open_by_ffmpeg(camera, path=path) as container:
                assert next(container.decode(video=0)).width == 320
        assert camera.stats.connections == 3
        assert camera.stats.methods["DESCRIBE"] == 3


def test_unknown_path_is_not_found(camera: FakeRtspCamera) -> None:
    with pytest.raises(av.HTTPNotFoundError):
        av.open(camera.url("/other"), timeout=5)


def test_connections_are_counted(camera: FakeRtspCamera) -> None:
    with RtspClient(camera) as client:
        client.play()
        client.rtp()
        assert camera.stats.open_connections == 1
    deadline_s = time.monotonic() + 5
    while camera.stats.open_connections and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert camera.stats.open_connections == 0
    assert [request.method for request in camera.stats.requests] == ["DESCRIBE", "SETUP", "PLAY"]


def test_camera_comes_back_on_the_same_port(clip: Clip) -> None:
    camera = FakeRtspCamera(clip)
    camera.start()
    url = camera.url()
    camera.stop()
    with pytest.raises(OSError):
        av.open(url, timeout=2)
    with camera:
        assert camera.url() == url
        assert_complete(stamps(camera, "tcp", 3), 25)


def test_taken_port_is_an_error(camera: FakeRtspCamera, clip: Clip) -> None:
    with pytest.raises(OSError):
        FakeRtspCamera(clip, port=camera.port).start()


# Faults


def sequence_gaps(packets: list[Rtp]) -> int:
    return sum((b.sequence - a.sequence) & 0xFFFF != 1 for a, b in itertools.pairwise(packets))


def flat(units: list[list[Rtp]]) -> list[Rtp]:
    return [packet for unit in units for packet in unit]


def test_healthy_camera_has_no_gaps_and_even_times(camera: FakeRtspCamera) -> None:
    with RtspClient(camera) as client:
        client.play()
        units = client.access_units(30)
    assert sequence_gaps(flat(units)) == 0
    assert {(b[0].time - a[0].time) & 0xFFFFFFFF for a, b in itertools.pairwise(units)} == {3600}


def test_frozen_camera_keeps_the_connection_and_answers(camera: FakeRtspCamera) -> None:
    with RtspClient(camera, timeout_s=0.5) as client:
        client.play()
        client.access_units(2)
        camera.faults.freeze = True
        with pytest.raises(TimeoutError):
            client.access_units(10)
    assert camera.stats.connections == 1


def test_a_thawed_camera_continues_at_a_key_frame(camera: FakeRtspCamera) -> None:
    camera.faults.freeze = True
    with RtspClient(camera) as client:
        client.play()
        time.sleep(0.1)
        camera.faults.freeze = False
        assert client.rtp().payload[0] & 31 == 24


def test_drop_cuts_all_clients(camera: FakeRtspCamera) -> None:
    with RtspClient(camera) as one, RtspClient(camera) as two:
        for client in (one, two):
            client.play()
        camera.drop()
        for client in (one, two):
            with pytest.raises(ConnectionError):
                client.access_units(50)


def test_lost_packets_leave_gaps(camera: FakeRtspCamera) -> None:
    camera.faults.loss = 0.3
    with RtspClient(camera) as client:
        client.play()
        packets = [client.rtp() for _ in range(40)]
    assert sequence_gaps(packets) > 3


def test_reordered_packets_all_arrive(camera: FakeRtspCamera) -> None:
    camera.set_faults(reorder=0.5)
    with RtspClient(camera) as client:
        client.play()
        packets = [client.rtp() for _ in range(60)]
    assert sequence_gaps(packets) > 3
    numbers = sorted((packet.sequence - packets[0].sequence + 100) & 0xFFFF for packet in packets[:50])
    assert len(set(numbers)) == 50


def test_garbage_keeps_the_framing_and_injection_breaks_it(camera: FakeRtspCamera) -> None:
    camera.faults.garbage = 1.0
    with RtspClient(camera) as client:
        client.play()
        kinds = {client.rtp().payload[0] for _ in range(30)}
        assert len(kinds) > 5
        camera.inject(b"\0" * 100)
        with pytest.raises(ValueError, match="lost sync"):
            client.access_units(50)


@pytest.mark.parametrize("seconds", [-3600.0, 7200.0])
def test_the_clock_jumps_and_the_pace_stays(camera: FakeRtspCamera, seconds: float) -> None:
    with RtspClient(camera) as client:
        client.play()
        before = client.access_units(2)[-1][0]
        camera.jump(seconds)
        after = client.access_units(3)
    jumps = [(b.time - a.time) & 0xFFFFFFFF for a, b in itertools.pairwise([before, *(u[0] for u in after)])]
    assert sum(jump != 3600 for jump in jumps) == 1
    assert (round(seconds * 90_000) + 3600) & 0xFFFFFFFF in jumps


def test_resolution_changes_in_the_same_session(camera: FakeRtspCamera) -> None:
    other = make_clip(replace(SCENE, width=640, height=360))
    with open_by_ffmpeg(camera) as container:
        widths = []
        for frame in itertools.islice(container.decode(video=0), 40):
            widths.append(frame.width)
            if len(widths) == 5:
                camera.switch_clip(other)
    assert set(widths) == {320, 640}
    assert camera.stats.connections == 1


def test_the_sender_report_contains_the_wall_clock(camera: FakeRtspCamera) -> None:
    camera.set_faults(wall_offset_s=86_400.0, sender_report_interval_s=0.2)
    with RtspClient(camera) as client:
        client.play()
        while True:
            channel, data = client.packet()
            if channel == 1:
                break
    assert data[1] == 200
    wall_s = int.from_bytes(data[8:12], "big") - 2_208_988_800 + int.from_bytes(data[12:16], "big") / 2**32
    assert wall_s - time.time() == pytest.approx(86_400, abs=2)


@pytest.mark.parametrize(
    ("faults", "status"),
    [(Faults(describe_status=503), 503), (Faults(redirect_to="rtsp://127.0.0.1:1/x"), 302)],
)
def test_description_is_refused(camera: FakeRtspCamera, faults: Faults, status: int) -> None:
    camera.set_faults(describe_status=faults.describe_status, redirect_to=faults.redirect_to)
    with RtspClient(camera) as client:
        answer = client.request("DESCRIBE")
    assert answer.status == status
    assert answer.headers.get("location", "") == faults.redirect_to


def test_description_can_lack_video_codec_and_parameter_sets(camera: FakeRtspCamera) -> None:
    with RtspClient(camera) as client:
        assert "sprop-parameter-sets" in client.request("DESCRIBE").body
        camera.set_faults(sdp_parameter_sets=False)
        assert "sprop-parameter-sets" not in client.request("DESCRIBE").body
        camera.set_faults(codec_name="VP8")
        assert "a=rtpmap:96 VP8/90000" in client.request("DESCRIBE").body
        camera.set_faults(no_video=True)
        assert "m=video" not in client.request("DESCRIBE").body


def test_parameter_sets_can_be_missing_in_band(clip: Clip) -> None:
    with FakeRtspCamera(clip, aggregate=False) as camera:
        camera.faults.in_band_parameter_sets = False
        with RtspClient(camera) as client:
            client.play()
            kinds = {packet.payload[0] & 31 for packet in flat(client.access_units(12))}
        assert kinds & {7, 8} == set()
        assert_complete(stamps(camera, "tcp", 4), 25)  # the description still has them


def test_a_web_page_is_served_in_place_of_a_camera(camera: FakeRtspCamera) -> None:
    camera.faults.web_page = True
    with RtspClient(camera) as client:
        answer = client.request("OPTIONS")
    assert (answer.status, "<h1>" in answer.body) == (400, True)


def test_responses_can_hang_and_be_late_and_trickle(camera: FakeRtspCamera) -> None:
    camera.set_faults(hang=("DESCRIBE",))
    with RtspClient(camera, timeout_s=0.3) as client:
        assert client.request("OPTIONS").status == 200
        with pytest.raises(TimeoutError):
            client.request("DESCRIBE")
    for delay_s, trickle_s in ((0.2, 0.0), (0.0, 0.001)):
        camera.set_faults(hang=[], answer_delay_s=delay_s, trickle_s=trickle_s)
        with RtspClient(camera) as client:
            started_s = time.monotonic()
            assert client.request("OPTIONS").status == 200
            assert time.monotonic() - started_s > 0.1


def test_transport_can_be_refused(camera: FakeRtspCamera) -> None:
    camera.set_faults(refuse_tcp=True, refuse_udp=True)
    with RtspClient(camera) as client:
        for transport in ("RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP;unicast;client_port=5000-5001"):
            assert client.request("SETUP", "/track0", Transport=transport).status == 461


def test_session_that_is_not_kept_alive_is_cut(camera: FakeRtspCamera) -> None:
    camera.faults.session_timeout_s = 1
    with RtspClient(camera) as kept, RtspClient(camera) as silent:
        assert (
            "timeout=1"
            in kept.request("SETUP", "/track0", Transport="RTP/AVP/TCP;interleaved=0-1").headers["session"]
        )
        silent.play()
        with pytest.raises(ConnectionError):
            silent.access_units(200)
        assert kept.request("OPTIONS").status == 200


def test_unknown_fault_is_an_error(camera: FakeRtspCamera) -> None:
    with pytest.raises(ValueError, match="frost"):
        camera.set_faults(frost=True)

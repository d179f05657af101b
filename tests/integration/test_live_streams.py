"""The data that viewers receive from a real uvicorn process."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam.core.packets import CameraState
from tests.harness.fair_clock import fair_s
from tests.integration.live_harness import (
    Engine,
    RawSocket,
    RawStream,
    Server,
    Site,
    prepare_site,
    running_server,
    subscribe,
    wait_until,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return prepare_site(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def shared_engine(site: Site) -> Iterator[Engine]:
    with Engine(site.directory / "run") as engine:
        engine.write_status()
        yield engine


@pytest.fixture
def engine(shared_engine: Engine) -> Engine:
    for slug in shared_engine.cameras:
        shared_engine.set_state(slug, CameraState.LIVE)
    return shared_engine


@pytest.fixture(scope="module")
def server(site: Site, shared_engine: Engine) -> Iterator[Server]:
    with running_server(site) as server:
        yield server
    assert "Traceback" not in server.output


def test_mjpeg_is_multipart_with_a_boundary_after_each_frame(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawStream(server.port, "/cam/live/door/mjpeg", site.cookie("viewer")) as stream:
        head = stream.head().lower()
        assert head.startswith("http/1.1 200")
        assert "multipart/x-mixed-replace; boundary=ninjacam" in head
        assert "no-store" in head and "x-accel-buffering: no" in head and "content-encoding: identity" in head
        stream.read_until(b"--ninjacam\r\n")
        part = stream.read_until(b"--ninjacam\r\n")
        fields, _, picture = part.partition(b"\r\n\r\n")
        assert b"X-Ninjacam-State: live" in fields and b"X-Ninjacam-Timestamp: 20" in fields
        assert picture.startswith(b"\xff\xd8") or b"\xff\xd8" in picture


@pytest.mark.ffmpeg
@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_reads_the_mjpeg(site: Site, engine: Engine, server: Server) -> None:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-headers", f"Authorization: {site.bearer('viewer')['Authorization']}\r\n",
         "-count_frames", "-read_intervals", "%+#20", "-show_entries", "stream=codec_name,width,height,nb_read_frames",
         "-of", "json", f"http://127.0.0.1:{server.port}/cam/live/door/mjpeg"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    stream = json.loads(done.stdout)["streams"][0]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("mjpeg", 320, 180)
    assert int(stream["nb_read_frames"]) >= 20


def test_a_head_request_gets_the_headers_only(site: Site, engine: Engine, server: Server) -> None:
    answer = server.get("/cam/live/door/mjpeg", site.cookie("viewer"), "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert server.get("/cam/live/door/mjpeg", site.cookie("viewer"), "POST").status == 405


def test_an_unknown_view_is_a_404_problem(site: Site, engine: Engine, server: Server) -> None:
    for path in ("/cam/live/door/mjpeg?view=nope", "/cam/live/door/snapshot.jpg?view=nope"):
        answer = server.get(path, site.cookie("viewer"))
        assert answer.status == 404
        assert answer.json()["code"] == "view_not_found"
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("query", ["width=x", "width=1", "quality=0", "quality=101", "fps=-1", "fps=nan"])
def test_a_bad_parameter_is_a_400_problem(site: Site, engine: Engine, server: Server, query: str) -> None:
    answer = server.get(f"/cam/live/door/mjpeg?{query}", site.cookie("viewer"))
    assert (answer.status, answer.json()["code"]) == (400, "bad_request")


def test_a_snapshot_is_one_jpeg_with_its_time(site: Site, engine: Engine, server: Server) -> None:
    answer = server.get("/cam/live/door/snapshot.jpg?view=edges", site.cookie("viewer"))
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.body.startswith(b"\xff\xd8") and "x-ninjacam-timestamp" in answer.headers


def test_a_snapshot_of_a_camera_that_is_down_is_a_503_problem_with_the_reason(
    site: Site, engine: Engine, server: Server
) -> None:
    error = {
        "code": "connection_refused",
        "message": "The host answers, the port does not.",
        "retryable": True,
    }
    engine.set_state("door", CameraState.RECONNECTING, error)
    answer = server.get("/cam/live/door/snapshot.jpg", site.cookie("viewer"))
    assert (answer.status, answer.json()["code"]) == (503, "connection_refused")
    assert answer.json()["detail"] == "The camera refuses the connection."


def test_without_a_camera_process_mjpeg_answers_503_within_six_seconds(
    site: Site, engine: Engine, server: Server
) -> None:
    engine.close_sockets("yard")
    try:
        answer = server.get("/cam/live/yard/mjpeg", site.cookie("admin"))
    finally:
        engine.open_sockets("yard")
    assert (answer.status, answer.json()["code"]) == (503, "stream_unavailable")


def test_a_jpeg_camera_is_passed_through_without_decoding(site: Site, engine: Engine, server: Server) -> None:
    with RawStream(server.port, "/cam/live/jpeg/mjpeg", site.cookie("admin")) as stream:
        stream.read_until(b"\xff\xd8")
        wait_until(lambda: engine.subscribers("jpeg") == {"packets": 1, "pixels": 0})
        engine.set_state("jpeg", CameraState.RECONNECTING)
        wait_until(
            lambda: engine.subscribers("jpeg")["pixels"] == 1, what="it continues with the placeholder"
        )
        stream.buffer = b""
        stream.read_until(b"X-Ninjacam-State: reconnecting")


def test_passthrough_begins_at_a_key_frame_and_loses_nothing(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.tell(**subscribe(7))
        state, stream = viewer.receive_json("state"), viewer.receive_json("stream")
        assert (state["id"], state["state"], state["view_error"]) == (7, "live", None)
        assert stream["id"] == 7 and stream["codec"].startswith("avc1.") and stream["format"] == "annexb"
        assert (stream["width"], stream["height"]) == (320, 180)
        frames = [viewer.receive_frame() for _ in range(60)]
        assert frames[0].flags & 3 == 3  # KEY and CONFIG
        assert all(frame.stream == stream["stream"] and frame.size == (320, 180) for frame in frames)
        first = frames[0].sequence
        assert [frame.sequence for frame in frames] == list(range(first, first + 60))
        units = engine.cameras["door"].units
        assert all(frame.payload == units[frame.sequence % len(units)][0] for frame in frames)
        wait_until(lambda: engine.subscribers("door")["pixels"] == 0, what="no other viewer is left")


def test_a_second_viewer_of_the_worker_gets_a_frame_at_once(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as first:
        first.tell(**subscribe())
        first.receive_frame()
        engine.cameras["door"].frozen = True
        try:
            with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as second:
                second.tell(**subscribe())
                assert second.receive_frame().flags & 1
                assert engine.subscribers("door")["packets"] == 1
        finally:
            engine.cameras["door"].frozen = False


@pytest.mark.ffmpeg
@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_fmp4_is_a_file_that_ffprobe_reads(
    site: Site, engine: Engine, server: Server, tmp_path: Path
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.tell(**subscribe(form="fmp4"))
        assert viewer.receive_json("stream")["format"] == "fmp4"
        frames = [viewer.receive_frame() for _ in range(50)]
    assert frames[0].payload[4:8] == b"ftyp" and all(frame.payload[4:8] == b"moof" for frame in frames[1:])
    file = tmp_path / "live.mp4"
    file.write_bytes(b"".join(frame.payload for frame in frames))
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,width,nb_read_frames",
         "-of", "json", str(file)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    assert json.loads(done.stdout)["streams"] == [
        {"codec_name": "h264", "width": 320, "nb_read_frames": "50"}
    ]


def test_a_codec_that_the_browser_lacks_is_transcoded(site: Site, engine: Engine, server: Server) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("admin")) as viewer:
        viewer.tell(**subscribe(camera="jpeg"))
        wait_until(lambda: engine.subscribers("jpeg") == {"packets": 0, "pixels": 1})
        viewer.tell(**subscribe(2, camera="jpeg", codecs=["h264", "mjpeg"]))
        assert viewer.receive_json("stream")["codec"] == "mjpeg"
        frame = viewer.receive_frame()
        assert frame.flags & 1 and frame.payload.startswith(b"\xff\xd8")


def test_states_are_sent_with_the_message_and_the_error_of_the_view(
    site: Site, engine: Engine, server: Server
) -> None:
    door = engine.cameras["door"]
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.tell(**subscribe(view="edges"))
        assert viewer.receive_json("state")["state"] == "live"
        error = {"code": "timeout", "message": "10.0.0.5 gives no answer in time.", "retryable": True}
        engine.set_state("door", CameraState.STALLED, error)
        state = viewer.receive_json("state")
        assert (state["state"], state["message"]) == ("stalled", "The camera does not answer.")
        door.view_errors["edges"] = {
            "code": "processor",
            "message": "edges: ZeroDivisionError",
            "traceback": "...",
        }
        engine.set_state("door", CameraState.LIVE)
        try:
            told = viewer.receive_json("state")["view_error"]
            assert told == {"code": "processor", "message": "edges: ZeroDivisionError"}, "no traceback"
        finally:
            door.view_errors.clear()


def test_each_viewer_of_a_stream_reads_its_state_in_the_own_language(
    site: Site, engine: Engine, server: Server
) -> None:
    error = {
        "code": "connection_refused",
        "message": "10.0.0.5 answers, but nothing listens on port 554: check the port, and that streaming is on.",
        "template": "%(host)s answers, but nothing listens on port %(port)s: check the port, and that streaming is on.",
        "values": {"host": "10.0.0.5", "port": 554},
        "retryable": True,
    }
    korean = {"Accept-Language": "ko"}
    with contextlib.ExitStack() as stack:
        viewers = [
            stack.enter_context(RawSocket(server.port, "/cam/live/ws", {**site.bearer(name), **language}))
            for name in ("viewer", "admin")
            for language in (korean, {})
        ]
        for viewer in viewers:
            viewer.tell(**subscribe())
            assert viewer.receive_json("state")["state"] == "live"
        try:
            engine.set_state("door", CameraState.RECONNECTING, error)
            messages = [viewer.receive_json("state")["message"] for viewer in viewers]
            detail = server.get("/cam/live/door/snapshot.jpg", {**site.bearer("viewer"), **korean}).json()[
                "detail"
            ]
        finally:
            engine.set_state("door", CameraState.LIVE)
    assert messages == [
        "카메라가 연결을 거부합니다.",
        "The camera refuses the connection.",
        "10.0.0.5 호스트는 응답하지만 554번 포트가 열려 있지 않습니다. 포트를 확인하고 카메라의 스트리밍이 켜져 있는지 "
        "확인하세요.",
        error["message"],
    ]
    assert detail == "카메라가 연결을 거부합니다."


def test_a_dead_camera_process_is_reported_and_recovered(site: Site, engine: Engine, server: Server) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("admin")) as viewer:
        viewer.tell(**subscribe(camera="yard"))
        viewer.receive_frame()
        engine.close_sockets("yard")
        state = viewer.receive_json("state")
        while state["state"] != "reconnecting":
            state = viewer.receive_json("state")
        engine.open_sockets("yard")
        while state["state"] != "live":
            state = viewer.receive_json("state")
        assert viewer.receive_frame().flags & 1


OFF = (
    (CameraState.DISABLED, None, "disabled", "is disabled"),
    (
        CameraState.FAILED,
        {"code": "config", "message": "The stored password cannot be read.", "retryable": False},
        "config",
        "password cannot be read",
    ),
)


@pytest.mark.parametrize(("state", "error", "code", "sentence"), OFF)
def test_a_disabled_camera_is_reported_until_it_is_enabled(
    site: Site,
    engine: Engine,
    server: Server,
    state: CameraState,
    error: dict[str, object] | None,
    code: str,
    sentence: str,
) -> None:
    with (
        RawSocket(server.port, "/cam/live/ws", site.bearer("admin")) as viewer,
        RawStream(server.port, "/cam/live/yard/mjpeg", site.cookie("admin")) as stream,
    ):
        viewer.tell(**subscribe(camera="yard"))
        viewer.receive_frame()
        stream.read_until(b"X-Ninjacam-State: live")
        engine.close_sockets("yard")
        engine.set_state("yard", state, error)
        engine.write_status()
        try:
            told = viewer.receive_json("state")
            assert (told["state"], told["message"]) == (state.value, error["message"] if error else "")
            stream.read_until(b"\r\n0\r\n\r\n")  # the last chunk
            for path in ("/cam/live/yard/mjpeg", "/cam/live/yard/snapshot.jpg"):
                begun = fair_s()
                answer = server.get(path, site.cookie("admin"))
                assert fair_s() - begun < 2
                assert (answer.status, answer.json()["code"]) == (503, code)
                assert sentence in answer.json()["detail"]
                assert answer.headers["x-ninjacam-state"] == state.value
        finally:
            engine.set_state("yard", CameraState.LIVE)
            engine.write_status()
            engine.open_sockets("yard")
        while told["state"] != "live":
            told = viewer.receive_json("state")
        assert viewer.receive_frame().flags & 1


def test_a_change_of_size_is_announced_before_its_first_frame(
    site: Site, engine: Engine, server: Server
) -> None:
    from tests.integration.live_harness import encode_h264

    yard = engine.cameras["yard"]
    before = yard.units
    with RawSocket(server.port, "/cam/live/ws", site.bearer("admin")) as viewer:
        viewer.tell(**subscribe(camera="yard", form="fmp4"))
        assert viewer.receive_json("stream")["width"] == 320
        yard.units, yard.size = encode_h264(640, 360), (640, 360)
        try:
            assert viewer.receive_json("stream")["width"] == 640
            frame = viewer.receive_frame()
            assert frame.flags & 3 == 3 and frame.payload[4:8] == b"ftyp" and frame.size == (640, 360)
        finally:
            yard.units, yard.size = before, (320, 180)


def test_two_subscriptions_of_one_view_have_separate_streams(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.tell(**subscribe(1))
        viewer.tell(**subscribe(2))
        assert viewer.receive_json("stream")["stream"] != viewer.receive_json("stream")["stream"]
        assert engine.subscribers("door")["packets"] == 1


def test_refusals_on_the_socket_are_errors_of_the_subscription(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        for message, code in (
            (subscribe(1, view="nope"), "view_not_found"),
            (subscribe(2, camera="yard"), "not_found"),
            (subscribe(3, camera="nothing"), "not_found"),
            (subscribe(4, form="avi"), "bad_request"),
            (subscribe(5, codecs=["vp8"]), "unsupported_codec"),
            (subscribe(-1), "bad_request"),
            ({"op": "dance", "id": 6}, "bad_request"),
        ):
            viewer.tell(**message)
            answer = viewer.receive_json("error")
            assert (answer["code"], answer["id"]) == (code, message["id"])
        viewer.send_text("no JSON")
        assert viewer.receive_json("error")["code"] == "bad_request"
        viewer.tell(op="ping", t=12.5)
        assert viewer.receive_json("pong")["t"] == 12.5


def test_a_socket_carries_at_most_64_subscriptions(site: Site, engine: Engine, server: Server) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        for number in range(65):
            viewer.tell(**subscribe(number, view="edges"))
        assert viewer.receive_json("error") == {
            "op": "error", "id": 64, "code": "limit",
            "message": "One socket carries at most 64 subscriptions to frames.",
        }  # fmt: skip
        # Which take no place of theirs.
        viewer.tell(**{**subscribe(65, view="edges"), "format": "annotations"})
        while viewer.receive_json("state")["id"] != 65:
            pass


def test_messages_that_are_too_long_or_too_many_close_the_socket(
    site: Site, engine: Engine, server: Server
) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.send_text(" " * 70_000)
        assert viewer.read_close() == 1009
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        for _ in range(400):
            viewer.tell(op="ping", t=1)
        assert viewer.read_close() == 1008


def test_an_unsubscribed_stream_is_freed_at_once(site: Site, engine: Engine, server: Server) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.tell(**subscribe())
        viewer.receive_frame()
        viewer.tell(op="unsubscribe", id=1)
        wait_until(lambda: engine.subscribers("door")["packets"] == 0, timeout_s=1)


def test_other_paths_are_passed_to_django(server: Server) -> None:
    assert server.get("/").body == b"a page of Django"
    assert server.get("/live/door/mjpeg").status == 404
    with RawSocket(server.port, "/elsewhere", {}) as refused:
        assert refused.status == 403
    assert server.get("/cam/live/ws").status == 426


def test_health_reports_whether_an_engine_runs(engine: Engine, server: Server) -> None:
    engine.write_status()
    assert server.get("/cam/healthz").json() == {"status": "ok", "engine": True}
    engine.write_status(age_s=60)
    assert server.get("/cam/healthz").json() == {"status": "ok", "engine": False}
    engine.write_status()


def test_metrics_are_for_administrators(site: Site, engine: Engine, server: Server) -> None:
    assert server.get("/cam/metrics").status == 401
    assert server.get("/cam/metrics", site.bearer("viewer")).status == 403
    assert server.get("/cam/metrics", site.bearer("admin", "narrow")).status == 403

    def metrics() -> str:
        answer = server.get("/cam/metrics", site.bearer("admin"))
        assert answer.status == 200
        return answer.body.decode()

    wait_until(lambda: "\nninjacam_viewers 0\n" in metrics(), what="the viewers of other tests are gone")
    assert 'ninjacam_camera_packets_lost_total{camera="door"} 3' in metrics()

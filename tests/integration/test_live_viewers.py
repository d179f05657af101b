"""The cost of viewers, and the effect of slow, vanished or numerous viewers on others."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.fair_clock import fair_s, spell
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

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return prepare_site(tmp_path_factory.mktemp("viewers"))


@pytest.fixture(scope="module")
def engine(site: Site) -> Iterator[Engine]:
    with Engine(site.directory / "run", unit_bytes=60_000, jpeg_bytes=66_000) as engine:
        yield engine


@pytest.fixture
def server(site: Site, engine: Engine) -> Iterator[Server]:
    with running_server(site, SEND_TIMEOUT_S=3) as server:
        yield server


def resident_kb(server: Server) -> int:
    status = Path(f"/proc/{server.probe()['pid']}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_viewers_hold_neither_threads_nor_database_connections(site: Site, engine: Engine) -> None:
    with contextlib.ExitStack() as stack:
        # These viewers read only their first frame, and must stay connected until the last one is.
        server = stack.enter_context(running_server(site, SEND_TIMEOUT_S=600))
        for count in range(30):
            headers = {**site.cookie("viewer"), "Origin": f"http://127.0.0.1:{server.port}"}
            viewer = stack.enter_context(RawSocket(server.port, "/cam/live/ws", headers))
            viewer.tell(**subscribe())
            viewer.receive_frame()
            stream = stack.enter_context(RawStream(server.port, "/cam/live/door/mjpeg", headers))
            stream.read_until(b"--ninjacam\r\n")
            if count == 2:
                few = server.probe()
                few_tasks = len(list(Path(f"/proc/{few['pid']}/task").iterdir()))
        many = server.probe()
        tasks = len(list(Path(f"/proc/{many['pid']}/task").iterdir()))
    assert many["viewers"] == 60
    # A small thread pool reads permissions. Its number of threads depends on the machine's load.
    started = set(many["threads"]) - set(few["threads"])
    assert all(name.startswith("ninjacam-live-auth") for name in started) and len(started) <= 4, started
    assert tasks - few_tasks <= len(started)
    assert many["database_connections"] == 0
    assert many["feeds"] == 2
    assert many["encodings"] == 1


def test_a_viewer_that_stops_reading_affects_nobody_and_is_disconnected(
    site: Site, engine: Engine, server: Server
) -> None:
    with contextlib.ExitStack() as stack:
        healthy = stack.enter_context(RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")))
        healthy.tell(**subscribe())
        first = healthy.receive_frame()
        before_kb = resident_kb(server)
        for _ in range(5):
            slow = stack.enter_context(
                RawSocket(server.port, "/cam/live/ws", site.bearer("viewer"), receive_bytes=4096)
            )
            slow.tell(**subscribe())
            stack.enter_context(
                RawStream(server.port, "/cam/live/door/mjpeg", site.bearer("viewer"), receive_bytes=4096)
            )
        cut = False
        previous, begun = first.sequence, fair_s()
        late_us: list[float] = []
        with spell() as passed:
            while not cut:
                for _ in range(25):
                    frame = healthy.receive_frame()
                    assert frame.sequence == previous + 1
                    # Earlier viewers waited here while the others connected.
                    if frame.sequence > first.sequence + 100:
                        late_us.append(time.time() * 1e6 - frame.captured_us)
                    previous = frame.sequence
                cut = server.probe()["viewers"] == 1
                assert fair_s() - begun < 30
        assert max(late_us, default=0) < 500_000 * passed.slowdown
        assert resident_kb(server) - before_kb < 10 * 3_000 + 10_000


def test_a_slow_viewer_continues_at_a_key_frame(site: Site, engine: Engine, server: Server) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer"), receive_bytes=4096) as slow:
        slow.tell(**subscribe())
        frame = slow.receive_frame()
        gaps = 0
        begun = fair_s()
        while not gaps and fair_s() - begun < 60:
            wait_until(lambda: server.probe()["dropped"] > 0, timeout_s=20)
            for _ in range(250):
                following = slow.receive_frame()
                if following.sequence != frame.sequence + 1:
                    gaps += 1
                    assert following.flags & 1, "after a gap comes a key frame"
                frame = following
        assert gaps


def test_a_vanished_viewer_is_freed_within_a_second(site: Site, engine: Engine, server: Server) -> None:
    with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
        viewer.tell(**subscribe())
        viewer.receive_frame()
        with RawStream(server.port, "/cam/live/door/mjpeg", site.bearer("viewer")) as stream:
            stream.read_until(b"--ninjacam\r\n")
            assert server.probe()["viewers"] == 2
    wait_until(lambda: server.probe()["viewers"] == 0, timeout_s=1)
    wait_until(lambda: engine.subscribers("door") == {"packets": 0, "pixels": 0}, timeout_s=4)
    probe = server.probe()
    assert (probe["feeds"], probe["encodings"]) == (0, 0)


def test_memory_stays_flat_over_many_short_lived_viewers(site: Site, engine: Engine, server: Server) -> None:
    """`tests/trials/test_viewers.py` tests more of them."""
    assert grown_by(site, server, 300) < 0.05


def grown_by(site: Site, server: Server, viewers: int) -> float:
    """Return the growth of the server's memory by `viewers` viewers that follow its first 100: 0.05 is 5 %."""

    def come_and_go(times: int) -> None:
        for number in range(times):
            if number % 2:
                with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
                    viewer.tell(**subscribe(form="fmp4" if number % 4 == 1 else "annexb"))
                    viewer.receive_frame()
            else:
                with RawStream(server.port, "/cam/live/door/mjpeg", site.bearer("viewer")) as stream:
                    stream.read_until(b"--ninjacam\r\n")

    come_and_go(100)
    before_kb = resident_kb(server)
    come_and_go(viewers)
    wait_until(lambda: server.probe()["viewers"] == 0)
    return resident_kb(server) / before_kb - 1


def test_a_full_worker_reports_it(site: Site, engine: Engine) -> None:
    with (
        running_server(site, MAX_VIEWERS_PER_WORKER=1) as server,
        RawStream(server.port, "/cam/live/door/mjpeg", site.bearer("viewer")) as stream,
    ):
        stream.read_until(b"--ninjacam\r\n")
        answer = server.get("/cam/live/door/mjpeg", site.bearer("viewer"))
        assert (answer.status, answer.json()["code"]) == (503, "limit")
        with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")) as viewer:
            assert viewer.read_close() == 1013


def test_compression_of_video_is_reported_once_with_a_prominent_warning(site: Site, engine: Engine) -> None:
    offer = {
        **site.bearer("viewer"),
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    }
    with running_server(site, "uvicorn-deflate") as server:
        with RawSocket(server.port, "/cam/live/ws", site.bearer("viewer")):
            pass
        assert "COMPRESSES" not in server.output
        for _ in range(2):
            with RawSocket(server.port, "/cam/live/ws", offer):
                pass
        wait_until(lambda: "COMPRESSES" in server.output)
    assert server.output.count("COMPRESSES") == 1
    with running_server(site, "uvicorn") as server, RawSocket(server.port, "/cam/live/ws", offer):
        pass
    assert "COMPRESSES" not in server.output

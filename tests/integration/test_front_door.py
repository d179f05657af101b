"""Network attacks on the web workers, and their outcome, on each of the servers that the README names."""

import base64
import contextlib
import os
import re
import resource
import selectors
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ninjacam.front_door.gate import MAX_WAITING_PER_USER
from ninjacam.live.snapshot import AT_ONCE_OF_USER, MAX_WAITING_OF_USER
from tests.harness.asgi_servers import SERVERS, AsgiServer
from tests.harness.attackers import CHUNK, RawClient, idle_connections
from tests.harness.fair_clock import fair_s
from tests.harness.processes import wait_until
from tests.harness.warm_cli import run_command

LOGIN = ("POST /login/ HTTP/1.1", "Content-Type: application/x-www-form-urlencoded")
APPLICATION = "ninjacam.site.asgi:application"
PASSWORD = "correct horse battery staple\n"
FLOOD_BYTES = 64 << 20
DEADLINE_S = 10.0


@dataclass
class Front:
    server: AsgiServer
    temporary: Path

    def client(self, **options: object) -> RawClient:
        return RawClient(self.server.port, **options)  # type: ignore[arg-type]

    def health(self, source: str = "") -> float:
        """Return the seconds until /healthz answers on a new connection."""
        begun_s = fair_s()
        with RawClient(self.server.port, source=source) as client:
            client.request("GET /healthz HTTP/1.1")
            assert client.answer()[0] == 200
        return fair_s() - begun_s

    def memory_bytes(self) -> int:
        pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.server.worker_pids()]
        return sum(pages) * resource.getpagesize()

    def temporary_files(self) -> set[str]:
        """Return the open temporary files, including deleted ones. Gunicorn's workers each have one."""
        found = set()
        for pid in self.server.worker_pids():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    found.add(os.readlink(link))
        return {name for name in found if name.startswith(str(self.temporary))}


def environment(data: Path) -> dict[str, str]:
    (data / "tmp").mkdir(exist_ok=True)
    return {
        "NINJACAM_DATA": str(data),
        "TMPDIR": str(data / "tmp"),
        "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings",
        "NINJACAM_FORWARDED_ALLOW_IPS": "127.0.0.1",  # so that 127.0.0.2 and others are not trusted as proxies
        "PYTHONWARNINGS": "",
    }


def cli(data: Path, *arguments: str, stdin: str = "") -> str:
    """The output of `ninjacam ARGUMENTS`."""
    done = run_command([*arguments, "--data", str(data)], os.environ, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("front-door")
    cli(directory, "createuser", "boss", "--admin", "--password-stdin", stdin=PASSWORD)
    return directory


@pytest.fixture(scope="module")
def token(data: Path) -> str:
    return cli(data, "token", "create", "tests", "--scope", "*").split()[-1]


@pytest.fixture(scope="module")
def fronts(data: Path) -> Iterator[dict[str, Front]]:
    """The product's application under each server, started with the README's command."""
    with contextlib.ExitStack() as stack:
        servers = {
            name: stack.enter_context(AsgiServer(name, APPLICATION, environment=environment(data)))
            for name in SERVERS
        }
        fronts: dict[str, Front] = {name: Front(server, data / "tmp") for name, server in servers.items()}
        for front in fronts.values():
            # The first page imports modules. Tests that measure memory begin after that.
            with front.client() as client:
                client.request("GET /login/ HTTP/1.1")
                client.answer()
        yield fronts


@pytest.fixture(params=SERVERS)
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Front:
    return fronts[request.param]


# --- bodies ---


def test_a_body_that_announces_too_much_is_rejected_before_it_is_read(front: Front) -> None:
    with front.client() as client:
        client.request(*LOGIN, "Content-Length: 800000000")
        status, text = client.answer()
    assert status == 413
    assert '"code": "too_large"' in text


def test_an_endless_body_is_rejected_at_one_megabyte(front: Front) -> None:
    before = front.memory_bytes()
    with front.client() as client:
        client.request(*LOGIN, "Transfer-Encoding: chunked")
        client.flood(b"1000\r\n" + b"x" * 4096 + b"\r\n", FLOOD_BYTES)
        assert client.ending().status in (0, 413)  # 0: the response is lost if more data followed it
        assert client.sent_bytes < FLOOD_BYTES // 2
    assert front.memory_bytes() - before < 16 << 20


def test_slow_posts_write_nothing_to_the_disk(front: Front) -> None:
    before = front.temporary_files()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(front.client()) for _ in range(4)]
        for client in clients:
            client.request(*LOGIN, "Content-Length: 1000000", body=b"a=" + b"x" * 999_000)
        refused = stack.enter_context(front.client())
        refused.request(*LOGIN, "Content-Length: 200000000", body=b"a=")
        assert refused.answer()[0] == 413
        front.health()
        assert front.temporary_files() == before
        for client in clients:
            client.send(b"x" * 998)
            assert client.answer()[0] == 403  # Django receives it, and the CSRF cookie is missing


def test_a_stream_accepts_no_body(front: Front) -> None:
    with front.client() as client:
        client.request("GET /live/door/mjpeg HTTP/1.1", "Content-Length: 10")
        assert client.answer()[0] == 413


# --- heads ---


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n", b"a: " + b"b" * 100 + b"\r\n"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\na: ", CHUNK),
        ("GET /", CHUNK),
        ("POST /login/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\na: ", CHUNK),
        ("POST /login/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", CHUNK),
        ("", b"\r\n" * 1000),
    ],
    ids=["headers", "header", "url", "trailer", "chunk-extension", "empty-lines"],
)
def test_endless_requests_are_cut_off(front: Front, begin: str, piece: bytes) -> None:
    before = front.memory_bytes()
    with front.client() as client:
        client.send(begin.encode())
        client.flood(piece, FLOOD_BYTES)
        client.ending()
        assert client.sent_bytes < FLOOD_BYTES // 2  # most of it is in the kernel's buffers
    assert front.memory_bytes() - before < 8 << 20


@pytest.mark.parametrize(
    ("line", "headers", "statuses"),
    [
        ("GET /" + "a" * 8200 + " HTTP/1.1", [], (414,)),
        ("GET /healthz HTTP/1.1", [f"a{number}: b" for number in range(100)], (431,)),
        ("GET /healthz HTTP/1.1", [f"a{number}: " + "b" * 7000 for number in range(10)], (431,)),
    ],
    ids=["url", "headers", "bytes"],
)
def test_a_head_that_is_too_large_is_rejected(
    front: Front, line: str, headers: list[str], statuses: tuple[int, ...]
) -> None:
    with front.client() as client:
        client.request(line, *headers)
        assert client.answer()[0] in statuses


def test_what_browsers_send_is_accepted(front: Front) -> None:
    with front.client() as client:
        client.request("GET /healthz?" + "a" * 4000 + " HTTP/1.1", *[f"a{n}: {'b' * 500}" for n in range(80)])
        assert client.answer()[0] == 200


def test_a_flood_of_pipelined_requests_uses_no_memory(front: Front) -> None:
    before = front.memory_bytes()
    with front.client() as client:
        client.flood(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 1 << 20)
        assert front.health() < 1
    assert front.memory_bytes() - before < 16 << 20


# --- time ---


def hold_open(front: Front) -> list[tuple[str, float, int]]:
    """Return (kind, seconds until it ended, status) of connections that stay open until the server's timeout."""
    with contextlib.ExitStack() as stack:
        idle, head, body, chunks, handshake, again = (stack.enter_context(front.client()) for _ in range(6))
        head.send(b"GET /healthz HTTP/1.1\r\nHost: 127")
        body.request(*LOGIN, "Content-Length: 1000", body=b"a=")
        chunks.request(*LOGIN, "Transfer-Encoding: chunked", body=b"1\r\na\r\n")
        handshake.send(b"GET /live/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n")
        again.request("GET /healthz HTTP/1.1")
        assert again.answer()[0] == 200
        ends = {"idle": idle, "head": head, "body": body, "chunks": chunks, "ws": handshake, "again": again}
        found = []
        for what, client in ends.items():
            end = client.ending(4 * DEADLINE_S)
            found.append((what, end.took_s, end.status))
        return found


def test_heads_and_bodies_and_idle_connections_have_a_deadline(fronts: dict[str, Front]) -> None:
    with ThreadPoolExecutor(len(fronts)) as pool:
        for name, ends in zip(fronts, pool.map(hold_open, fronts.values()), strict=True):
            for what, took_s, status in ends:
                assert took_s < 2.5 * DEADLINE_S, (name, what, took_s)
                assert status == (408 if what in ("body", "chunks") else 0), (name, what, status)


# --- numbers ---


@pytest.mark.parametrize("first", [b"", b"GET /healthz HT"], ids=["idle", "slow-heads"])
def test_thousands_of_connections_lock_nobody_out(front: Front, first: bytes) -> None:
    with idle_connections(front.server.port, 2600, first=first) as clients:
        assert len(clients) == 2600
        assert max(front.health() for _ in range(3)) < 1.5
        wait_until(lambda: sum(client.is_closed() for client in clients) > 500, 10, "the oldest are closed")
        assert front.health() < 1.5


def test_one_address_cannot_hold_idle_connections_without_limit(front: Front) -> None:
    with (
        idle_connections(front.server.port, 300, source="127.0.0.2") as flood,
        idle_connections(front.server.port, 5, source="127.0.0.3") as others,
    ):
        wait_until(lambda: sum(client.is_closed() for client in flood) >= 236, 10, "all but 64 are closed")
        assert not any(client.is_closed() for client in others)
        assert sum(client.is_closed() for client in flood) == 236
        for source in ("127.0.0.2", "127.0.0.4"):
            assert front.health(source) < 1


# --- users ---


@dataclass
class Flood:
    """Requests of one user on a connection each, followed by one of another user, all from one address."""

    front: Front
    tokens: dict[str, str]
    answered: list[tuple[str, int]] = field(default_factory=list)
    """(user, status) in the order of the answers."""

    clients: list[RawClient] = field(default_factory=list)

    def ask(self, user: str, line: str) -> None:
        with self.front.client(timeout_s=60.0) as client:
            self.clients.append(client)
            client.request(line, f"Authorization: Bearer {self.tokens[user]}")
            with contextlib.suppress(EOFError, OSError):  # the test has ended
                self.answered.append((user, client.answer()[0]))

    def run(self, line: str, count: int, is_full: Callable[[], bool]) -> int:
        """Send `count` requests of Ann, and one of Bob as soon as `is_full`. Return Ann's responses before Bob's."""
        with ThreadPoolExecutor(count + 1) as pool:
            ann = [pool.submit(self.ask, "ann", line) for _ in range(count)]
            wait_until(is_full, 30, "the flood has arrived")
            pool.submit(self.ask, "bob", line).result(60)
            before = [user for user, _ in self.answered].index("bob")
            for client in self.clients:
                with contextlib.suppress(OSError):
                    client.socket.shutdown(socket.SHUT_RDWR)
            for each in ann:
                each.result(60)
        return before


@pytest.fixture(scope="module")
def tokens(data: Path, token: str, fronts: dict[str, Front]) -> dict[str, str]:
    """Return tokens of two users who may view the camera "door". Without an engine, it has no frames."""
    made = {}
    with fronts["uvicorn"].client() as client:
        body = b'{"slug": "door", "url": "rtsp://127.0.0.1:9/x"}'
        client.request(
            "POST /api/v1/cameras HTTP/1.1",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            body=body,
        )
        assert client.answer()[0] == 201
    for user in ("ann", "bob"):
        cli(data, "createuser", user, "--admin", "--password-stdin", stdin=PASSWORD)
        made[user] = cli(data, "token", "create", "tests", "--user", user, "--scope", "*").split()[-1]
    return made


def test_many_snapshot_requests_of_one_user_do_not_delay_another(
    fronts: dict[str, Front], tokens: dict[str, str]
) -> None:
    """Each takes 5 s because no frame arrives. Eight of one user run at once, and 32 wait."""
    taken = AT_ONCE_OF_USER + MAX_WAITING_OF_USER

    def flood_with_snapshots(front: Front) -> tuple[int, Flood]:
        flood = Flood(front, tokens)
        line = "GET /live/door/snapshot.jpg HTTP/1.1"
        before = flood.run(line, taken + 2, lambda: flood.answered.count(("ann", 429)) == 2)
        return before, flood

    with ThreadPoolExecutor(len(fronts)) as pool:
        for name, (before, flood) in zip(
            fronts, pool.map(flood_with_snapshots, fronts.values()), strict=True
        ):
            assert before < taken, (name, "Bob's was answered after all of Ann's")
            assert ("bob", 503) in flood.answered, name


def test_many_commands_of_one_user_do_not_delay_another(front: Front, tokens: dict[str, str]) -> None:
    """When the server continues, all of them are in its accept queue, with Bob's behind Ann's."""
    pids = front.server.worker_pids()
    line = "GET /api/v1/cameras HTTP/1.1"
    with contextlib.ExitStack() as stack:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stack.callback(os.kill, pid, signal.SIGCONT)
        clients = [stack.enter_context(front.client(timeout_s=60.0)) for _ in range(MAX_WAITING_PER_USER + 1)]
        for client in clients[:-1]:
            client.request(line, f"Authorization: Bearer {tokens['ann']}", "Connection: close")
        clients[-1].request(line, f"Authorization: Bearer {tokens['bob']}", "Connection: close")
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        answers = order_of_answers(clients)
    assert answers.index(clients[-1]) < MAX_WAITING_PER_USER // 2, "Bob's waited for Ann's"
    assert len(answers) > MAX_WAITING_PER_USER // 2


def order_of_answers(clients: list[RawClient]) -> list[RawClient]:
    """Omits requests whose connections were closed to make room (0006-front-door.md)."""
    answers = []
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map():
            for key, _ in selector.select(60):
                selector.unregister(key.fileobj)
                with contextlib.suppress(EOFError, ConnectionError):
                    assert key.data.answer()[0] == 200
                    answers.append(key.data)
    return answers


# --- values ---

VALUES = ("%00", "a%00b", "%ff", "%ed%a0%80", "9" * 400, "-1", "1e999", "NaN", "", "x" * 3000, "99999-01-01T00:00:00Z",
          "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59")  # fmt: skip
STREAMS = {
    "live/{}/mjpeg": ("view", "width", "quality", "fps", "sig"),
    "live/{}/snapshot.jpg": ("view", "width", "quality", "sig"),
    "rec/{}/hls.m3u8": ("start", "end"),
    "rec/{}/clip.mp4": ("start", "end", "download"),
    "rec/{}/at.jpg": ("time", "width", "view", "nearest"),
    "rec/{}/segment/1.mp4": ("sig",),
}


def test_no_value_in_the_url_of_a_stream_causes_a_server_error(front: Front, token: str) -> None:
    mark = len(front.server.output)
    with front.client() as client:
        for address, names in STREAMS.items():
            paths = [address.format(value) for value in VALUES]
            usual = "start=2026-01-01T00:00:00Z&end=2026-01-01T00:01:00Z&time=2026-01-01T00:00:00Z"
            paths += [
                f"{address.format('nothing')}?{usual}&{name}={value}" for name in names for value in VALUES
            ]
            for path in paths:
                client.request(f"GET /{path} HTTP/1.1", f"Authorization: Bearer {token}")
                status, text = client.answer()
                assert 400 <= status < 500, (path, status, text)
    assert "Traceback" not in front.server.output[mark:]


# --- the log ---

WEBSOCKET = (
    b"GET /live/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(b"0" * 16) + b"\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /rec/door/segment/99999999999999999999.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /rec/door/segment/1.mp4 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /live/%00/mjpeg?%ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /api/v1/cameras/%00 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: nothing\r\nConnection: Upgrade\r\n\r\n",
    b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nabc",
    WEBSOCKET,
    WEBSOCKET + b"\x81\x85\0\0\0\0\xff\xff\xff\xff\xff",
    WEBSOCKET + b"\xff\xff\xff\xff\xff",
    WEBSOCKET.replace(b"Host: 127.0.0.1", b"Host: evil.example"),
)


def test_anonymous_clients_cause_only_a_few_log_lines_and_no_traceback(front: Front) -> None:
    mark = len(front.server.output)
    for _ in range(20):
        for data in GARBAGE:
            with front.client() as client:
                client.send(data)
                client.reset()
    front.health()
    front.health()
    written = front.server.output[mark:]
    assert "Traceback" not in written, written[-3000:]
    # Uvicorn's access log, which serve disables.
    counted = re.sub(r"^INFO: .*\n", "", written, flags=re.MULTILINE)
    assert len(counted.splitlines()) <= 30, counted


# --- the end ---


@pytest.mark.parametrize("name", SERVERS)
def test_connections_without_a_request_do_not_delay_the_exit(name: str, data: Path) -> None:
    """Servers of its own: those of other tests may still process requests of clients that have left."""
    with (
        AsgiServer(name, APPLICATION, environment=environment(data)) as server,  # type: ignore[arg-type]
        RawClient(server.port),
        RawClient(server.port) as again,
        RawClient(server.port) as head,
    ):
        again.request("GET /healthz HTTP/1.1")
        assert again.answer()[0] == 200
        head.send(b"GET /heal")
        begun_s = fair_s()
        server.child.terminate()
        server.child.wait(30)
        assert fair_s() - begun_s < 2.0, server.tail()

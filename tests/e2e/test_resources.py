"""Resource usage of viewers, revocation, and access: the live routes of the running product."""

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from benchmarks.proc import pss_bytes, thread_count
from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import fair_s
from tests.harness.http import HttpClient
from tests.harness.processes import ROOT, python, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer, WsViewer

SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
PASSWORD = "a long way from home"
CUT_S = 10.0


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with FakeCamera(*SMALL) as camera, Product(tmp_path_factory.mktemp("resources"), workers=2) as product:
        for slug in ("door", "yard"):
            product.add_camera(slug, camera.url())
        for name in ("stranger", "guest"):
            product.cli("createuser", name, "--password-stdin", stdin=PASSWORD + "\n")
        grant(product, "guest")
        product.wait_for_state("door")
        yield product


def grant(product: Product, user: str) -> int:
    """Return the grant's id."""
    answer = product.client.post("/api/v1/cameras/door/grants", json_body={"role": "view", "user": user})
    assert answer.status == 201, answer.text
    return int(answer.json()["id"])


def django(product: Product, code: str) -> None:
    """Run `code` in the product's Django shell."""
    environment = {"DJANGO_SETTINGS_MODULE": "ninjacam.site.settings", "NINJACAM_DATA": str(product.data)}
    script = f"import django; django.setup(); {code}"
    subprocess.run(python("-c", script), env={**os.environ, **environment}, cwd=ROOT, check=True, timeout=30)


def mjpeg(product: Product, token: str = "", query: str = "") -> MjpegViewer:
    return MjpegViewer(product.url(f"/live/door/mjpeg?{query}"), token or product.token)


def player(product: Product, token: str = "") -> WsViewer:
    return WsViewer(product.websocket_url, token or product.token, [("door", "")])


# Resource usage


def database_files(pid: int) -> int:
    """Return the number of open file descriptors of the database: connections."""
    directory = f"/proc/{pid}/fd"
    found = 0
    for name in os.listdir(directory):
        try:
            found += "ninjacam.sqlite3" in os.readlink(f"{directory}/{name}")
        except OSError:
            continue
    return found


def test_viewers_use_neither_threads_nor_database_connections(product: Product) -> None:
    web = product.web_pids()
    threads: list[int] = []
    files: list[int] = []
    with ExitStack() as many:
        pictures = [many.enter_context(mjpeg(product)) for _ in range(15)]
        players = [many.enter_context(player(product)) for _ in range(15)]
        for picture in pictures:
            picture.wait_live()
        for socket in players:
            socket.wait_units(1)
        for _ in range(20):
            time.sleep(0.1)
            threads.append(sum(map(thread_count, web)))
            files.append(sum(map(database_files, web)))
    # Two threads of each worker query the database. They hold a connection (three files) only during the query.
    assert max(threads) <= len(web) * (1 + 2)
    assert min(files) == 0
    assert max(files) <= len(web) * 2 * 3
    assert product.web_pids() == web


def family(product: Product) -> list[int]:
    return [*product.web_pids(), *product.pids("capture"), *product.pids("vision"), product.engine_pid()]


def _has_frame(viewer: MjpegViewer) -> bool:
    return viewer.count > 0


def _has_unit(viewer: WsViewer) -> bool:
    return bool(viewer.units)


def come_and_go(product: Product, viewers: int, *, at_once: int = 20) -> None:
    """Connect and disconnect clients: half JPEG snapshots, half players, in several sizes."""
    for start in range(0, viewers, at_once):
        with ExitStack() as stack:
            pictures = [
                stack.enter_context(mjpeg(product, query=f"width={320 + 160 * (number % 2)}"))
                for number in range(start, start + at_once // 2)
            ]
            players = [stack.enter_context(player(product)) for _ in range(at_once // 2)]
            for picture in pictures:
                wait_until(partial(_has_frame, picture), 10, "a picture")
            for socket in players:
                wait_until(partial(_has_unit, socket), 10, "an access unit")


def test_short_lived_viewers_leak_no_memory(product: Product) -> None:
    pids = family(product)
    come_and_go(product, 100)
    time.sleep(1.5)  # the decoder is idle
    before = sum(map(pss_bytes, pids))
    come_and_go(product, 300)
    time.sleep(1.5)
    after = sum(map(pss_bytes, pids))
    assert family(product) == pids
    assert after < before * 1.05, f"{before / 2**20:.1f} MB became {after / 2**20:.1f} MB"
    assert wait_until(lambda: product.camera("door")["health"]["subscribers"] == 0, 5, "no subscriber left")


# Revocation


USERS = "from django.contrib.auth import get_user_model; users = get_user_model().objects"


def revoke_token(product: Product, user: str, token: str) -> None:
    product.cli("token", "revoke", token)


def delete_grant(product: Product, user: str, token: str) -> None:
    items = product.client.get("/api/v1/cameras/door/grants").json()["items"]
    number = next(item["id"] for item in items if item["user"] == user)
    assert product.client.request("DELETE", f"/api/v1/grants/{number}").status == 204


def deactivate_user(product: Product, user: str, token: str) -> None:
    django(product, f"{USERS}; users.filter(username={user!r}).update(is_active=False)")


def delete_user(product: Product, user: str, token: str) -> None:
    django(product, f"{USERS}; users.get(username={user!r}).delete()")


REVOCATIONS = (delete_grant, revoke_token, deactivate_user, delete_user)


def test_viewers_who_lose_their_permission_are_disconnected(product: Product) -> None:
    users = [revoke.__name__ for revoke in REVOCATIONS]
    django(product, f"{USERS}; [users.create_user(name) for name in {users!r}]")
    tokens = []
    for user in users:
        grant(product, user)
        tokens.append(product.make_token("to leave", "view", user=user))
    with ExitStack() as stack:
        pictures = [stack.enter_context(mjpeg(product, token)) for token in tokens]
        players = [stack.enter_context(player(product, token)) for token in tokens]
        other = stack.enter_context(mjpeg(product))
        for picture in (*pictures, other):
            picture.wait_live()
        for socket in players:
            socket.wait_units(5)
        revoked_s = []
        for revoke, user, token in zip(REVOCATIONS, users, tokens, strict=True):
            revoke(product, user, token)
            revoked_s.append(fair_s())
        for user, since_s, picture, socket in zip(users, revoked_s, pictures, players, strict=True):
            wait_until(partial(_is_cut, picture, socket), since_s + CUT_S - fair_s(), f"cut: {user}")
        received = [len(socket.units) for socket in players]
        time.sleep(0.5)
        assert received == [len(socket.units) for socket in players]
        other.wait_live()
        assert not other.ended
    for token in tokens:
        refused = HttpClient(product.base, token=token).get("/live/door/snapshot.jpg")
        assert refused.status in (401, 404)


def _is_cut(picture: MjpegViewer, socket: WsViewer) -> bool:
    return bool(picture.ended) and bool(socket.ended or any(m["op"] == "error" for m in socket.messages))


# Access


class Person:
    """A user with a session cookie and a token of all scopes; an anonymous user has neither."""

    def __init__(self, product: Product, name: str, password: str) -> None:
        self.cookie = product.login(name, password) if name else HttpClient(product.base)
        self.token = product.make_token(f"{name}'s", "*", user=name) if name else ""
        self.bearer = HttpClient(product.base, token=self.token)


@pytest.fixture(scope="module")
def people(product: Product) -> dict[str, Person]:
    return {
        "anonymous": Person(product, "", ""),
        "stranger": Person(product, "stranger", PASSWORD),
        "guest": Person(product, "guest", PASSWORD),
        "admin": Person(product, "boss", "correct horse battery staple"),
    }


EXPECTED = {
    "mjpeg": {"anonymous": 401, "stranger": 404, "guest": 200, "admin": 200},
    "snapshot": {"anonymous": 401, "stranger": 404, "guest": 200, "admin": 200},
    "ws": {"anonymous": 4401, "stranger": 404, "guest": 200, "admin": 200},
    "healthz": {"anonymous": 200, "stranger": 200, "guest": 200, "admin": 200},
    "metrics": {"anonymous": 401, "stranger": 403, "guest": 403, "admin": 200},
}
PATHS = {
    "mjpeg": "/live/door/mjpeg",
    "snapshot": "/live/door/snapshot.jpg",
    "ws": "/live/ws",
    "healthz": "/healthz",
    "metrics": "/metrics",
}


def status_of(product: Product, route: str, path: str, headers: dict[str, str]) -> int:
    """Return the status of the response.

    For the socket: its close code, 404 or 403 for a refused subscription, 200 for a frame.
    """
    if route == "ws":
        return status_of_socket(product, path, headers)
    if route == "mjpeg":
        return status_of_stream(product, path, headers)
    answer = HttpClient(product.base).get(path, headers=headers)
    assert answer.status < 400 or answer.json()["status"] == answer.status
    if route == "snapshot" and answer.status == 200:
        assert answer.body.startswith(b"\xff\xd8")
    return answer.status


def status_of_stream(product: Product, path: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        if answer.status == 200:
            assert b"image/jpeg" in answer.read(2000)
        else:
            assert json.load(answer)["status"] == answer.status
        return answer.status


def status_of_socket(product: Product, path: str, headers: dict[str, str]) -> int:
    subscribe = {
        "op": "subscribe",
        "id": 1,
        "camera": "door",
        "view": "",
        "format": "annexb",
        "codecs": ["h264"],
    }
    url = product.url(path).replace("http", "ws", 1)
    origin = {"Origin": product.base} if "Cookie" in headers else {}
    with connect(url, additional_headers={**headers, **origin}, compression=None, max_queue=None) as socket:
        try:
            socket.send(json.dumps({**subscribe, "width": None}))
            while True:
                message = socket.recv(10)
                if isinstance(message, bytes):
                    return 200
                told = json.loads(message)
                if told["op"] == "error":
                    return {"not_found": 404, "forbidden": 403}[told["code"]]
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0


@pytest.mark.parametrize("who", ["anonymous", "stranger", "guest", "admin"])
@pytest.mark.parametrize("route", list(PATHS))
def test_a_live_route_accepts_cookie_and_token_and_signature(
    product: Product, people: dict[str, Person], route: str, who: str
) -> None:
    person, expected = people[who], EXPECTED[route][who]
    ways = {
        "cookie": {"Cookie": person.cookie.cookie_header} if who != "anonymous" else {},
        "token": {"Authorization": f"Bearer {person.token or 'nc_forged_token'}"},
    }
    got = {way: status_of(product, route, PATHS[route], headers) for way, headers in ways.items()}
    assert got == dict.fromkeys(ways, expected)
    if route in ("mjpeg", "snapshot", "ws"):
        signed(product, person, route, expected)


def signed(product: Product, person: Person, route: str, expected: int) -> None:
    """A signed link grants its creator's access to this route only."""
    answer = person.bearer.post("/api/v1/links", json_body={"camera": "door", "kind": route})
    if expected != 200:
        assert answer.status == (401 if expected in (401, 4401) else 404), answer.text
        forged = status_of(product, route, f"{PATHS[route]}?sig=eyJ0aGlzIjoibm9uZSJ9:1abcde:forged", {})
        assert forged == (4401 if route == "ws" else 401)
        return
    assert answer.status == 201, answer.text
    signature = answer.json()["url"].partition("?")[2]
    assert status_of(product, route, f"{PATHS[route]}?{signature}", {}) == 200
    for other in PATHS:
        if other not in (route, "healthz"):
            refused = status_of(product, other, f"{PATHS[other]}?{signature}", {})
            assert refused == (4401 if other == "ws" else 401), other


def test_a_token_is_limited_to_its_scopes(product: Product) -> None:
    expected: dict[str, dict[str, Any]] = {
        "view:door": {"snapshot": 200, "ws": 200, "metrics": 403},
        "view:yard": {"snapshot": 404, "ws": 404, "metrics": 403},
        "metrics": {"snapshot": 404, "ws": 404, "metrics": 200},
    }
    for scope, routes in expected.items():
        headers = {"Authorization": f"Bearer {product.make_token(scope, scope)}"}
        got = {route: status_of(product, route, PATHS[route], headers) for route in routes}
        assert got == routes, scope

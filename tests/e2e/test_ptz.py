"""Cameras that move, in the product: API, held keys, and processes killed during a movement."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import SHUT_RDWR
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from ninjacam.testing.http_ptz_camera import FakeHttpPtzCamera
from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.harness.chrome import CHROMIUM, Browser
from tests.harness.processes import wait_until
from tests.harness.server import PASSWORD, Product

REFRESH_S = 0.08


@pytest.fixture(scope="module")
def camera() -> Iterator[FakeOnvifCamera]:
    with FakeOnvifCamera() as started:
        started.extras.auxiliary = ["tt:IRLamp|On", "tt:IRLamp|Off"]
        started.extras.recordings = ("3", "2026-01-01T12:00:00Z", "2026-01-08T12:00:00Z")
        yield started


@pytest.fixture(scope="module")
def product(camera: FakeOnvifCamera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("product") / "data", workers=1) as started:
        # No video is sent there: commands do not depend on it.
        login = {"username": "admin", "password": "secret"}
        started.add_camera("dome", "rtsp://127.0.0.1:9/", "--onvif", camera.url, **login)
        started.add_camera("fixed", "rtsp://127.0.0.1:9/")
        started.cli("createuser", "guest", "--password-stdin", stdin=PASSWORD + "\n")
        socket = started.data / "run/dome.device"
        wait_until(socket.exists, 30, "the socket for commands", processes=[started])
        yield started


@pytest.fixture(autouse=True)
def healthy(camera: FakeOnvifCamera) -> None:
    camera.faults = type(camera.faults)()
    camera.commands.clear()


@contextmanager
def socket_of(product: Product, token: str = "") -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token or product.token}"}
    with connect(product.websocket_url, additional_headers=headers) as socket:
        yield socket


@contextmanager
def held(socket: ClientConnection, **velocity: float) -> Iterator[None]:
    """Refresh a movement in a thread, as a page does."""
    ended = threading.Event()
    message = json.dumps({"op": "ptz", "camera": "dome", **velocity})

    def run() -> None:
        while not ended.is_set():
            try:
                socket.send(message)
            except Exception:  # The socket is closed or its worker was killed: the tests check this.
                return
            ended.wait(REFRESH_S)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def wait(condition: Callable[[], bool], what: str, product: Product) -> None:
    wait_until(condition, 20, what, processes=[product])


def ptz(product: Product, slug: str = "dome", **command: Any) -> Any:
    client = product.client
    path = f"/api/v1/cameras/{slug}/ptz"
    return client.post(path, json_body=command) if command else client.get(path)


def test_the_api_moves_a_camera_and_each_command_is_audited(
    product: Product, camera: FakeOnvifCamera
) -> None:
    found = ptz(product).json()
    assert found["continuous_move"] and found["home"] and found["presets"] == [{"token": "1", "name": "Door"}]
    assert ptz(product, command="move_to", pan=0.5, tilt=-0.5).status == 200
    assert camera.position[:2] == [0.5, -0.5]
    made = ptz(product, command="set_preset", name="Gate")
    assert made.json()["preset"] == "2" and camera.presets["2"][0] == "Gate"
    assert ptz(product, command="go_home").status == 200 and camera.position[:2] == [0, 0]
    assert ptz(product, command="goto_preset", preset="2").status == 200 and camera.position[0] == 0.5
    assert ptz(product, command="remove_preset", preset="2").status == 200
    assert ptz(product, command="move_for", pan=-1, duration_s=0.3).status == 200
    wait(lambda: bool(camera.named("Stop")), "the end of the movement", product)
    log = product.output
    for verb in ("ptz.move_to", "ptz.set_preset", "ptz.go_home", "ptz.goto_preset", "ptz.move_for"):
        assert f'"verb": "{verb}", "subject": "dome", "by": "boss (token)"' in log


def test_what_the_camera_reports_becomes_an_event_also_after_it_forgot_us(
    product: Product, camera: FakeOnvifCamera
) -> None:
    def events(ongoing: bool) -> list[dict[str, Any]]:
        found = product.client.get("/api/v1/events?camera=dome&kind=motion").json()["items"]
        return [event for event in found if (event["end"] is None) is ongoing]

    wait(lambda: camera.subscriptions > 0, "the subscription", product)
    camera.notify("tns1:VideoSource/MotionAlarm", "State", "true")
    wait(lambda: len(events(ongoing=True)) == 1, "the event", product)
    camera.notify("tns1:VideoSource/MotionAlarm", "State", "false")
    wait(lambda: len(events(ongoing=False)) == 1, "the end of the event", product)

    count = camera.subscriptions
    camera.forget_subscriptions()
    wait(lambda: camera.subscriptions > count, "another subscription", product)
    camera.notify("tns1:VideoSource/MotionAlarm", "State", "true", source="video2")
    wait(lambda: len(events(ongoing=True)) == 1, "another event", product)
    assert events(ongoing=True)[0]["label"] == "video2"


def test_errors_say_what_to_do(product: Product, camera: FakeOnvifCamera) -> None:
    def refused(slug: str = "dome", **command: Any) -> tuple[int, str]:
        answer = ptz(product, slug, **command)
        return answer.status, answer.json()["code"]

    assert refused("fixed", command="stop") == (503, "stream_unavailable")
    assert refused(command="goto_preset", preset="99") == (502, "command_rejected")
    assert refused(command="goto_preset") == (422, "invalid")
    assert refused(command="move_by") == (422, "invalid")
    assert refused(command="move_by", pan=7) == (422, "invalid")
    assert refused(command="explode") == (422, "invalid")
    camera.faults.fail = {"RelativeMove": "ActionNotSupported"}
    assert refused(command="move_by", pan=0.1) == (409, "command_unsupported")


def test_only_the_role_control_moves_a_camera(product: Product, camera: FakeOnvifCamera) -> None:
    viewing = product.make_token("viewing", "view")
    stranger = product.make_token("stranger", "*", user="guest")
    for token, status, code in ((viewing, 403, "forbidden"), (stranger, 404, "not_found")):
        client = type(product.client)(product.base, token=token)
        path = "/api/v1/cameras/dome/ptz"
        assert client.get(path).status == status
        assert client.post(path, json_body={"command": "stop"}).status == status
        with socket_of(product, token) as socket:
            socket.send(json.dumps({"op": "ptz", "camera": "dome", "pan": 1}))
            answer = json.loads(socket.recv(timeout=20))
            assert (answer["op"], answer["camera"], answer["code"]) == ("ptz", "dome", code)
    assert not camera.named("ContinuousMove", "Stop")


def test_a_held_key_moves_until_its_release(product: Product, camera: FakeOnvifCamera) -> None:
    printed = len(product.output)
    with socket_of(product) as socket:
        with held(socket, pan=0.5, zoom=-0.25):
            wait(lambda: len(camera.named("ContinuousMove")) >= 2, "a renewed movement", product)
        socket.send(json.dumps({"op": "ptz", "camera": "dome", "pan": 0}))
        wait(lambda: not camera.is_moving, "the stop", product)
    first = camera.named("ContinuousMove")[0].values
    assert (first["PanTilt.x"], first["Zoom.x"], first["Timeout"]) == ("0.5", "-0.25", "PT1S")
    log = product.output[printed:]
    assert log.count('"verb": "ptz.move", "subject": "dome"') == 1
    assert (
        log.count('"verb": "ptz.release", "subject": "dome", "by": "boss (token)", "reason": "released"') == 1
    )


@pytest.mark.parametrize(
    "message", [{"camera": "dome", "pan": "x"}, {"camera": 5, "pan": 1}, {"pan": 1, "camera": ""}]
)
def test_malformed_messages_are_refused(product: Product, message: dict[str, Any]) -> None:
    with socket_of(product) as socket:
        socket.send(json.dumps({"op": "ptz", **message}))
        assert json.loads(socket.recv(timeout=20))["code"] == "bad_request"


def test_a_lost_socket_stops_the_camera(product: Product, camera: FakeOnvifCamera) -> None:
    camera.faults.ignores_timeout = True
    with socket_of(product) as socket, held(socket, pan=1):
        wait(lambda: camera.is_moving, "the movement", product)
        socket.socket.shutdown(SHUT_RDWR)
        wait(lambda: not camera.is_moving, "the stop", product)


def test_a_client_that_falls_silent_stops_the_camera(product: Product, camera: FakeOnvifCamera) -> None:
    camera.faults.ignores_timeout = True
    with socket_of(product) as socket:
        socket.send(json.dumps({"op": "ptz", "camera": "dome", "pan": 1}))
        wait(lambda: camera.is_moving, "the movement", product)
        wait(lambda: not camera.is_moving, "the stop", product)


def test_a_killed_web_worker_stops_the_camera(product: Product, camera: FakeOnvifCamera) -> None:
    camera.faults.ignores_timeout = True
    with socket_of(product) as socket, held(socket, pan=1):
        wait(lambda: camera.is_moving, "the movement", product)
        os.kill(product.web_pids()[0], signal.SIGKILL)
        wait(lambda: not camera.is_moving, "the stop", product)
    wait(product.is_healthy, "the next web worker", product)


def test_a_killed_capture_process_stops_the_camera(product: Product, camera: FakeOnvifCamera) -> None:
    """This includes a camera that ignores the timeout of its movements: the next process stops it."""
    camera.faults.ignores_timeout = True
    with socket_of(product) as socket:
        with held(socket, pan=1):
            wait(lambda: camera.is_moving, "the movement", product)
            (capture,) = product.pids("capture")
            os.kill(capture, signal.SIGKILL)
        wait(lambda: not camera.is_moving, "the stop", product)
    wait(lambda: not (product.data / "run/dome.moving").exists(), "the acknowledged stop", product)


def patrol(product: Product) -> Any:
    return product.client.get("/api/v1/cameras/dome/patrol").json()


def test_a_patrol_survives_a_killed_capture_process_and_ends_when_a_user_moves_the_camera(
    product: Product, camera: FakeOnvifCamera
) -> None:
    wait((product.data / "run/dome.device").exists, "the socket for commands", product)
    body = {"steps": [{"preset": "1", "dwell_s": 3600}], "running": True}
    assert product.client.request("PUT", "/api/v1/cameras/dome/patrol", json_body=body).status == 200
    wait(lambda: bool(camera.named("GotoPreset")), "the first step", product)
    wait(lambda: patrol(product)["state"] == "running", "the state of the patrol", product)

    camera.commands.clear()
    (capture,) = product.pids("capture")
    os.kill(capture, signal.SIGKILL)
    wait(lambda: bool(camera.named("GotoPreset")), "the first step again", product)

    with socket_of(product) as socket:
        socket.send(json.dumps({"op": "ptz", "camera": "dome", "pan": 1}))
        wait(lambda: patrol(product)["state"] == "off", "the end of the patrol", product)
    assert patrol(product)["ended_by"] == "boss (token)"
    assert '"verb": "patrol.end", "subject": "dome", "by": "boss (token)"' in product.output


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_the_page_moves_the_camera_with_a_key_and_with_the_pointer(
    chromium: Browser, product: Product, camera: FakeOnvifCamera
) -> None:
    camera.faults.ignores_timeout = True
    with chromium.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/cameras/dome/"))
        tab.until("document.getElementById('ptz')?.hidden === false", 30)
        options = tab.js(
            "[...document.querySelectorAll('[data-presets] option')].slice(1).map((o) => o.text).join()"
        )
        assert options == "Home,Door"
        tab.js("document.getElementById('ptz').focus()")

        tab.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft")
        wait(lambda: camera.is_moving, "the movement", product)
        tab.call("Input.dispatchKeyEvent", type="keyUp", key="ArrowLeft")
        wait(lambda: not camera.is_moving, "the stop", product)

        box = tab.js(
            "(({ x, y }) => [x + 5, y + 5])(document.querySelector('.ptz .up').getBoundingClientRect())"
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
        tab.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        wait(lambda: camera.is_moving, "the movement", product)
        tab.call("Input.dispatchMouseEvent", type="mouseReleased", **{**at, "x": 1, "y": 1})
        wait(lambda: not camera.is_moving, "the stop", product)

        tab.js("document.querySelector('[data-presets]').value = 'preset:1';"
               "document.querySelector('[data-presets]').dispatchEvent(new Event('change')); 1")  # fmt: skip
        wait(lambda: bool(camera.named("GotoPreset")), "the preset", product)

        tab.js("document.getElementById('patrol').open = true; 1")
        tab.until("!document.querySelector('#patrol [data-do=add]').disabled", 30)
        assert not tab.js("document.querySelector('#patrol [data-do=stop]').checkVisibility()")
        count = len(camera.named("GotoPreset"))
        tab.js(
            "for (const name of ['add', 'start']) document.querySelector(`#patrol [data-do=${name}]`).click(); 1"
        )
        tab.until("document.querySelector('#patrol [data-note]').textContent.includes('step 1 of')", 30)
        wait(lambda: len(camera.named("GotoPreset")) > count, "the first step of the patrol", product)
        tab.js("document.querySelector('#patrol [data-do=stop]').click(); 1")
        tab.until("document.querySelector('#patrol [data-note]').textContent === 'The patrol is off.'", 30)

        steps = [{"preset": "1", "dwell_s": 60.0}, {"preset": "2", "dwell_s": 70.0}]
        url = "/api/v1/cameras/dome/patrol"
        assert product.client.request("PUT", url, json_body={"steps": steps, "running": True}).status == 200
        tab.navigate(product.url("/cameras/dome/"))
        tab.until("document.getElementById('ptz')?.hidden === false", 30)
        tab.js("load = fetch; fetch = (url, ...rest) => load(/ptz$/.test(url) ? '/lost' : url, ...rest); 1")
        tab.js("document.getElementById('patrol').open = true; 1")
        tab.until("document.querySelector('#patrol [data-do=stop]').checkVisibility()", 30)
        tab.js("document.querySelector('#patrol [data-do=stop]').click(); 1")
        wait(lambda: patrol(product)["state"] == "off", "the end of the patrol", product)
        assert patrol(product)["steps"] == steps, "the page could not list the presets"
    moves = [command.values for command in camera.named("ContinuousMove")]
    assert (moves[0]["PanTilt.x"], moves[-1]["PanTilt.y"]) == ("-0.5", "0.5")


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_the_page_shows_the_device_and_changes_its_settings(
    chromium: Browser, product: Product, camera: FakeOnvifCamera
) -> None:
    camera.encoders["main"]["gop"] = "250"
    camera.faults.clock_offset_s = 7200
    with chromium.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/cameras/dome/"))
        tab.js("document.querySelector('#device > details').open = true; 1")
        for part in ("device", "imaging", "outputs"):
            tab.until(f"document.querySelector('#device [data-part={part}]').hidden === false", 30)
        text = tab.js("document.getElementById('device').innerText")
        for expected in (
            "Example",
            "Dome 5",
            " s ahead",
            f"Snapshot: http://127.0.0.1:{camera.port}/snapshot.jpg",
            "Infrared lamp",
            "Its own recordings\n3; ",
            "A key frame every 10 s delays the first picture",
        ):
            assert expected in text

        tab.js("document.querySelector('[data-do=clock]').click(); 1")
        wait(lambda: abs(camera.faults.clock_offset_s) < 60, "the clock", product)
        tab.until("!/[0-9]{3}/.test(document.querySelector('[data-value=clock]').textContent)", 30)
        tab.js("document.querySelector('[name=ir_cut_filter]').value = 'off';"
               "document.querySelector('[name=ir_cut_filter]').dispatchEvent(new Event('change')); 1")  # fmt: skip
        wait(lambda: camera.imaging["IrCutFilter"] == "OFF", "the night mode", product)
        tab.js("document.querySelector('[name=ir_lamp]').value = 'on';"
               "document.querySelector('[name=ir_lamp]').dispatchEvent(new Event('change')); 1")  # fmt: skip
        wait(lambda: bool(camera.named("SendAuxiliaryCommand")), "the lamp", product)
        assert camera.named("SendAuxiliaryCommand")[0].values["AuxiliaryData"] == "tt:IRLamp|On"
        tab.js("document.querySelector('[data-part=outputs] [data-active=true]').click(); 1")
        wait(lambda: camera.relays == {"relay1": "active"}, "the output", product)

        form = "document.querySelectorAll('[data-profiles] > li')[1].querySelector('form')"
        tab.js(f"{form}.closest('details').open = true; 1")
        tab.until(f"{form}.hidden === false", 30)
        tab.js(f"{form}.gop_frames.value = 50; {form}.size.selectedIndex = 1; {form}.requestSubmit(); 1")
        wait(lambda: camera.encoders["main"]["gop"] == "50", "the encoder", product)
        assert camera.encoders["main"]["width"] == "1280"

        tab.js("document.querySelector('[data-do=streams]').click(); 1")
        tab.until("document.querySelector('#device [data-note]').textContent === 'Added: sub'", 30)
    streams = product.client.get("/api/v1/cameras/dome").json()["streams"]
    assert [each["name"] for each in streams] == ["main", "sub"]


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_the_form_reads_the_streams_of_a_new_camera(
    chromium: Browser, product: Product, camera: FakeOnvifCamera
) -> None:
    with chromium.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/add-camera/"))
        tab.until("document.getElementById('read-streams').hidden === false", 30)
        values = {
            "url": "rtsp://127.0.0.1/",
            "username": "admin",
            "password": "secret",
            "onvif_url": camera.url,
        }
        for name, value in values.items():
            tab.js(f"document.getElementsByName('{name}')[0].value = {json.dumps(value)}; 1")
        tab.js("document.getElementById('read-streams').click(); 1")
        tab.until("document.getElementsByName('sub_url')[0].value !== ''", 30)
        entered = tab.js(
            "['url', 'sub_url'].map((name) => document.getElementsByName(name)[0].value).join(' ')"
        )
    assert entered == "rtsp://127.0.0.1:8554/main rtsp://127.0.0.1:8554/sub"


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_a_found_camera_is_added_with_all_its_streams(
    chromium: Browser, product: Product, camera: FakeOnvifCamera
) -> None:
    """The search is replaced by a stub; tests/e2e/test_discovery.py searches a simulated network."""
    stream = {
        "url": "rtsp://127.0.0.1/guess",
        "name": "main",
        "state": "locked",
        "codec": "",
        "width_px": 0,
        "height_px": 0,
    }
    device = {
        "address": "127.0.0.1", "kind": "camera", "title": "Found", "slug": "found", "maker": "", "model": "",
        "certainty_word": "certain", "reasons": [], "needs_password": True, "streams": [stream],
        "onvif_url": camera.url, "camera": None,
    }  # fmt: skip
    events = f"event: device\ndata: {json.dumps(device)}\n\n"
    with chromium.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/discover/"))
        tab.until("document.getElementById('start').disabled === false", 30)
        tab.js(
            "const ask = window.fetch; window.fetch = (url, options) => String(url).endsWith('/discovery')"
            f" ? Promise.resolve(new Response({json.dumps(events)})) : ask(url, options);"
            " document.getElementById('start').click(); 1"
        )
        tab.until("document.querySelector('.device-add')?.hidden === false", 30)
        for name, value in {"username": "admin", "password": "secret"}.items():
            tab.js(f"document.querySelector('.device-add [name={name}]').value = '{value}'; 1")
        tab.js("document.querySelector('.device-add').requestSubmit(); 1")
        tab.until("document.querySelector('.device-known').hidden === false", 30)
        assert tab.js("document.querySelector('.device-note').textContent") == ""
    found = product.camera("found")
    assert [(each["name"], each["url"]) for each in found["streams"]] == [
        ("main", "rtsp://127.0.0.1:8554/main"), ("sub", "rtsp://127.0.0.1:8554/sub"),
    ]  # fmt: skip
    assert found["source"]["onvif_url"] == camera.url


def test_the_command_line_adds_the_streams_of_a_camera(product: Product, camera: FakeOnvifCamera) -> None:
    login = ["--username", "admin", "--password-stdin"]
    address = ["rtsp://127.0.0.1:8554/main", "--onvif", camera.url]
    added = product.cli("add", "gate", *address, *login, stdin="secret\n")
    assert "Its other streams: sub." in added
    product.cli("set", "gate", "--remove-stream", "sub")
    assert "Added streams: sub." in product.cli("set", "gate", "--read-streams")
    assert "none, because it has all of them" in product.cli("set", "gate", "--read-streams")


def test_a_camera_without_onvif_is_moved_and_stops_when_its_controller_is_killed(product: Product) -> None:
    """Its protocol has no timeout: the next capture process stops it."""
    with FakeHttpPtzCamera("axis") as camera:
        login = {"username": "admin", "password": "secret"}
        product.add_camera("axis", "rtsp://127.0.0.1:9/", "--onvif", camera.url, **login)
        wait((product.data / "run/axis.device").exists, "the socket for commands", product)
        assert ptz(product, "axis").json()["presets"] == [{"token": "Door", "name": "Door"}]
        assert ptz(product, "axis", command="move_to", pan=0.5).status == 200 and camera.position[0] == 90
        assert product.client.get("/api/v1/cameras/axis/imaging").json()["code"] == "command_unsupported"
        assert ptz(product, "axis", command="move_for", pan=1, duration_s=10).status == 200
        wait(lambda: camera.is_moving, "the movement", product)
        for pid in product.pids("capture"):
            os.kill(pid, signal.SIGKILL)
        wait(lambda: not camera.is_moving, "the stop", product)

"""Talk in the product: WebSocket, page, and processes killed while a user talks."""

import json
import os
import signal
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from benchmarks.clips import cache_dir
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.faults import Faults
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.chrome import CHROMIUM, Browser
from tests.harness.processes import wait_until
from tests.harness.server import PASSWORD, Product
from tests.harness.sound import decode_aac, decode_ulaw, strength

CHUNK_S = 0.02
TONE_HZ, FORBIDDEN_HZ = 1000, 6000
"""The second frequency exceeds the limit for 8 kHz sampling: it must not alias to 8000 - 6000 Hz."""


def pcm(seconds: float, tone_hz: float = TONE_HZ, rate_hz: int = 8000) -> bytes:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    samples: bytes = (12_000 * np.sin(2 * np.pi * tone_hz * times)).astype("<i2").tobytes()
    return samples


@pytest.fixture(scope="module")
def camera() -> Iterator[FakeRtspCamera]:
    clip = make_clip(SceneOptions(320, 180, seconds=4, gop=25, bitrate_bps=200_000), cache_dir=cache_dir())
    with FakeRtspCamera(clip) as started:
        yield started


@pytest.fixture(scope="module")
def product(camera: FakeRtspCamera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(
        tmp_path_factory.mktemp("product") / "data", workers=1, environment={"NINJACAM_HOSTS": "cam.test"}
    ) as started:
        started.add_camera("door", camera.url())
        for user in ("guest", "warden"):
            started.cli("createuser", user, "--password-stdin", stdin=PASSWORD + "\n")
        granted = started.client.post(
            "/api/v1/cameras/door/grants", json_body={"role": "control", "user": "warden"}
        )
        assert granted.status == 201, granted.text
        started.wait_for_state("door")
        wait_until((started.data / "run/door.talk").exists, 30, "the socket for talks", processes=[started])
        yield started
        assert "Traceback" not in started.output


@pytest.fixture(autouse=True)
def healthy(camera: FakeRtspCamera) -> None:
    stream = next(iter(camera.streams.values()))
    stream.faults = Faults(back_channel=("PCMU/8000",))
    camera.stats.audio.clear()


def wait(condition: Callable[[], object], what: str, product: Product) -> None:
    wait_until(lambda: bool(condition()), 20, what, processes=[product])


@contextmanager
def pressed(product: Product, token: str = "") -> Iterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {token or product.token}"}
    url = product.websocket_url.replace("/live/ws", "/live/door/talk")
    with connect(url, additional_headers=headers, close_timeout=1) as socket:
        yield socket


def answer(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(socket.recv(timeout=20))
    return message


ABNORMAL = 1006
"""The close code of a connection that ended without one (RFC 6455, section 7.1.5)."""


def last_words(socket: ClientConnection) -> tuple[int, list[str | bytes]]:
    """Read until the server closes the connection. Returns (close code, the messages before it)."""
    messages: list[str | bytes] = []
    try:
        while True:
            messages.append(socket.recv(timeout=20))
    except ConnectionClosed as closed:
        return (closed.rcvd.code if closed.rcvd else ABNORMAL), messages


@contextmanager
def talking(socket: ClientConnection) -> Iterator[None]:
    """Send a tone in real time in a thread, as a page does."""
    ended = threading.Event()
    chunk = pcm(CHUNK_S)

    def run() -> None:
        while not ended.wait(CHUNK_S):
            try:
                socket.send(chunk)
            except Exception:  # The socket is closed or its worker was killed: the tests check this.
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def heard(camera: FakeRtspCamera) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Return the audio that the camera's loudspeaker has played."""
    return decode_ulaw(b"".join(packet[12:] for packet in list(camera.stats.audio)))


def test_a_tone_reaches_the_loudspeaker_and_start_and_end_are_audited(
    product: Product, camera: FakeRtspCamera
) -> None:
    printed = len(product.output)
    with pressed(product) as socket:
        assert answer(socket) == {"op": "ready", "rate_hz": 8000, "codec": "pcm_mulaw"}
        with talking(socket):
            wait(lambda: len(camera.stats.audio) >= 25, "half a second of audio", product)
    wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)
    sound = heard(camera)
    assert strength(sound, TONE_HZ) > 100 * strength(sound, 1700)
    start = '"verb": "talk.start", "subject": "door", "by": "boss (token)", "result": "ok"'
    end = '"verb": "talk.end", "subject": "door", "by": "boss (token)", "reason": "released"'
    wait(
        lambda: all(product.output[printed:].count(line) == 1 for line in (start, end)),
        "the records",
        product,
    )
    assert product.camera("door")["state"] == "live"  # The video continues.
    wait(lambda: product.camera("door")["talk"] == {"state": "yes", "reason": ""}, "the ability", product)


def test_only_the_role_control_talks(product: Product, camera: FakeRtspCamera) -> None:
    viewing = product.make_token("viewing", "view")
    stranger = product.make_token("stranger", "*", user="guest")
    for token, code, close in (
        (viewing, "forbidden", 4403),
        (stranger, "not_found", 4403),
        ("nc_x_y", "not_authenticated", 4401),
    ):
        with pressed(product, token) as socket:
            assert answer(socket)["code"] == code
            assert last_words(socket)[0] == close
    assert camera.stats.open_talks == 0


def test_the_second_speaker_is_refused_and_reads_the_name_only_if_allowed(
    product: Product, camera: FakeRtspCamera
) -> None:
    warden = product.make_token("warden", "*", user="warden")
    with pressed(product) as first, talking(first):
        assert answer(first)["op"] == "ready"
        with pressed(product, warden) as second:
            refusal = answer(second)
            assert refusal["code"] == "speaker_busy" and "boss" not in refusal["message"]
            assert "Another user" in refusal["message"]
        with pressed(product) as third:
            assert answer(third)["message"] == "“boss” is talking through this camera."
        wait(lambda: len(camera.stats.audio) >= 5, "the first speaker's audio", product)


def test_a_talk_ends_when_the_role_is_revoked(product: Product, camera: FakeRtspCamera) -> None:
    grant = {"role": "control", "user": "guest"}
    number = product.client.post("/api/v1/cameras/door/grants", json_body=grant).json()["id"]
    guest = product.make_token("guest", "*", user="guest")
    with pressed(product, guest) as socket, talking(socket):
        assert answer(socket)["op"] == "ready"
        assert product.client.request("DELETE", f"/api/v1/grants/{number}").status == 204
        assert answer(socket)["code"] == "forbidden"
        wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)


def test_a_camera_without_a_loudspeaker_says_so(product: Product, camera: FakeRtspCamera) -> None:
    camera.faults.back_channel = ()
    with pressed(product) as socket:
        refusal = answer(socket)
        assert refusal["code"] == "no_loudspeaker" and "no loudspeaker" in refusal["message"]
        assert last_words(socket)[0] == 1000
    wait(lambda: product.camera("door")["talk"]["state"] == "no", "the ability", product)
    assert "loudspeaker" in product.camera("door")["talk"]["reason"]


def test_aac_is_sent_to_a_camera_that_takes_nothing_else(product: Product, camera: FakeRtspCamera) -> None:
    camera.faults.back_channel = ("MPEG4-GENERIC/16000/1",)
    with pressed(product) as socket:
        assert answer(socket) == {"op": "ready", "rate_hz": 16_000, "codec": "aac"}
        chunk = pcm(0.064, rate_hz=16_000)
        for _ in range(15):
            socket.send(chunk)
            threading.Event().wait(0.064)
        wait(lambda: len(camera.stats.audio) >= 10, "audio", product)
    packets = list(camera.stats.audio)
    for packet in packets:
        size_bits, header = int.from_bytes(packet[12:14], "big"), int.from_bytes(packet[14:16], "big")
        assert size_bits == 16 and header >> 3 == len(packet) - 16
    sound = decode_aac([packet[16:] for packet in packets], 16_000)[2048:]
    assert strength(sound, TONE_HZ, 16_000) > 100 * strength(sound, 1700, 16_000)


def test_a_lost_socket_ends_the_talk(product: Product, camera: FakeRtspCamera) -> None:
    with pressed(product) as socket, talking(socket):
        wait(lambda: len(camera.stats.audio) >= 5, "audio", product)
        socket.socket.shutdown(SHUT_RDWR)
        wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)


def test_a_silent_client_does_not_occupy_the_loudspeaker(product: Product, camera: FakeRtspCamera) -> None:
    with pressed(product) as socket:
        assert answer(socket)["op"] == "ready"
        assert answer(socket)["code"] == "talk_ended"
        assert last_words(socket)[0] == 1000
    wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)


def test_a_killed_web_worker_ends_the_talk(product: Product, camera: FakeRtspCamera) -> None:
    with pressed(product) as socket, talking(socket):
        wait(lambda: len(camera.stats.audio) >= 5, "audio", product)
        os.kill(product.web_pids()[0], signal.SIGKILL)
        wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)
    wait(product.is_healthy, "the next web worker", product)


def test_a_killed_capture_process_ends_the_talk_with_an_error(
    product: Product, camera: FakeRtspCamera
) -> None:
    with pressed(product) as socket, talking(socket):
        assert answer(socket)["op"] == "ready"
        (capture,) = product.pids("capture")
        os.kill(capture, signal.SIGKILL)
        assert answer(socket)["code"] == "stream_unavailable"
    product.wait_for_state("door")

    def is_back() -> bool:
        with pressed(product) as socket:
            return bool(answer(socket)["op"] == "ready")

    wait(is_back, "the next capture process", product)


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["{}"], 1008),
        ([b"odd"], 1008),
        ([bytes(20_000)], 1009),
        ([bytes(16_000)] * 200, 1008),
        ([b""] * 6000, 1008),
    ],
    ids=["text", "half a sample", "too long", "flood", "flood of nothing"],
)
def test_clients_that_send_garbage_or_floods_are_disconnected(
    product: Product, messages: list[str | bytes], code: int
) -> None:
    with pressed(product) as socket:
        try:
            for message in messages:
                socket.send(message)
        except ConnectionClosed:
            pass  # The flood.
        ended_with, said = last_words(socket)
        assert ended_with == code, said


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Audio for the browser's fake microphone: tones in bursts, so that its noise suppression does not remove them."""
    rate_hz = 48_000
    times = np.arange(rate_hz) / rate_hz
    tones = np.sin(2 * np.pi * TONE_HZ * times) + np.sin(2 * np.pi * FORBIDDEN_HZ * times)
    samples = (9000 * tones * (times % 0.4 < 0.25)).astype("<i2")
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def browser(voice: Path) -> Iterator[Browser]:
    with Browser(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
    ) as running:
        yield running


NOTE = "document.querySelector('#talk [data-note]').textContent"
STATE = "document.getElementById('talk').dataset.state"


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_the_page_talks_while_the_button_or_the_space_bar_is_held(
    browser: Browser, product: Product, camera: FakeRtspCamera
) -> None:
    with browser.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/cameras/door/"))
        tab.until("document.querySelector('ninjacam-player')?.muted === true", 30)
        tab.js("document.querySelector('ninjacam-player').muted = false")
        box = tab.js(
            "(({ x, y }) => [x + 9, y + 9])(document.querySelector('#talk button').getBoundingClientRect())"
        )
        at = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}

        tab.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        tab.until(f"{STATE} === 'talking'", 20)
        assert "Talking" in tab.js(NOTE)
        assert tab.js("document.querySelector('ninjacam-player').muted") is True
        assert tab.js("document.querySelector('#talk button').ariaPressed") == "true"
        wait(lambda: len(camera.stats.audio) >= 75, "audio", product)
        tab.call("Input.dispatchMouseEvent", type="mouseReleased", **{**at, "x": 1, "y": 1})
        wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)
        assert tab.js(NOTE) == "" and tab.js(STATE) == ""
        assert tab.js("document.querySelector('ninjacam-player').muted") is False
        sound = heard(camera)
        assert strength(sound, TONE_HZ) > 30 * strength(sound, 1700)
        assert strength(sound, TONE_HZ) > 30 * strength(sound, 8000 - FORBIDDEN_HZ)

        camera.stats.audio.clear()
        tab.js("document.querySelector('#talk button').focus()")
        space = {"key": " ", "windowsVirtualKeyCode": 32}
        tab.call("Input.dispatchKeyEvent", type="keyDown", **space)
        wait(lambda: len(camera.stats.audio) >= 5, "audio", product)
        tab.call("Input.dispatchKeyEvent", type="keyUp", **space)
        wait(lambda: camera.stats.open_talks == 0, "the end of the talk", product)

        camera.faults.back_channel = ()
        tab.call("Input.dispatchMouseEvent", type="mousePressed", **at)
        tab.until(f"{NOTE}.includes('no loudspeaker')", 20)
        tab.call("Input.dispatchMouseEvent", type="mouseReleased", **at)
        assert tab.js(STATE) == ""


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_an_insecure_page_says_why_it_has_no_microphone(browser: Browser, product: Product) -> None:
    base = f"http://cam.test:{product.port}"
    with browser.tab() as tab:
        for name, value in product.login().cookie_pairs():
            tab.set_cookie(name, value, base)
        tab.navigate(f"{base}/cameras/door/")
        tab.until("document.getElementById('talk') !== null", 30)
        tab.until(f"(document.querySelector('#talk button').click(), {NOTE}.includes('https'))", 20)


RESAMPLED = """
(async () => {
  const { Resampler } = await import("/static/ninjacam/pages/resampler.js");
  const [from, to, hz] = [FROM, TO, HZ];
  const resampler = new Resampler(from, to);
  const output = [];
  for (let at = 0; at < from; at += 128) {
    const piece = Float32Array.from({ length: 128 }, (_, n) => Math.sin((2 * Math.PI * hz * (at + n)) / from));
    output.push(...resampler.push(piece));
  }
  return output;
})()
"""


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(48_000, 8000), (44_100, 8000), (44_100, 16_000), (16_000, 48_000)]
)
def test_the_resampler_keeps_tones_and_removes_what_the_new_rate_cannot_carry(
    browser: Browser, product: Product, from_hz: int, to_hz: int
) -> None:
    with browser.tab() as tab:
        tab.navigate(product.url("/login/"))

        def resampled(hz: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
            code = RESAMPLED.replace("FROM", str(from_hz)).replace("TO", str(to_hz)).replace("HZ]", f"{hz}]")
            return np.array(tab.js(code))

        tone = resampled(1000)
        assert abs(len(tone) - to_hz) <= 0.01 * to_hz
        middle = tone[len(tone) // 4 : len(tone) // 2]
        assert abs(float(np.sqrt(np.mean(middle**2))) - np.sqrt(0.5)) < 0.02
        assert strength(tone, 1000, to_hz) > 1000 * strength(tone, 1700, to_hz)
        if to_hz < from_hz:
            alias = resampled(round(to_hz * 0.75))
            assert float(np.sqrt(np.mean(alias[500:] ** 2))) < 0.01

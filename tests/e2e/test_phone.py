"""A browser publishes without an app: Chromium with a fake camera publishes, and another browser plays the stream."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from itertools import pairwise

import av
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s
from tests.harness.server import Product
from tests.harness.viewers import WsViewer
from tests.unit.sources.phone_support import AVCC, KEY_FRAME, tag

pytestmark = [pytest.mark.chromium, pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")]
PLAYER = "ninjacam-player"


@dataclass(frozen=True)
class Stage:
    product: Product
    flags: tuple[str, ...]

    def add(self, slug: str) -> str:
        """Add a camera that waits for a publisher, and return the link to its publishing page."""
        self.product.cli("add", slug, "push:")
        return self.link(slug)

    def link(self, slug: str) -> str:
        page = self.product.login().get(f"/cameras/{slug}/").text
        assert "<svg" in page
        found = re.search(r'id="phone-url" readonly value="([^"]+)"', page)
        assert found, page
        return unescape(found[1])

    def phone(self) -> Browser:
        return Browser(*self.flags)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    directory = tmp_path_factory.mktemp("phone")
    film = directory / "camera.mjpeg"
    clip = make_clip(SceneOptions(width=640, height=360, seconds=2, codec="mjpeg"))
    film.write_bytes(b"".join(unit.data for unit in clip.video.units))
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    )
    environment = {"NINJACAM_HOSTS": "phone.test"}
    with Product(directory / "data", workers=1, environment=environment) as product:
        yield Stage(product, flags)


@pytest.fixture(scope="module")
def phone(stage: Stage) -> Iterator[Browser]:
    with stage.phone() as running:
        yield running


@contextlib.contextmanager
def admitted(address: str) -> Iterator[ClientConnection]:
    """Connect as the page does: retry while the camera starts."""

    deadline_s = fair_s() + 20
    while True:
        with connect(address) as socket:
            try:
                assert '"ready"' in str(socket.recv(10))
            except ConnectionClosed as closed:
                if not closed.rcvd or closed.rcvd.code != 1013 or fair_s() > deadline_s:
                    raise
            else:
                yield socket
                return
        time.sleep(0.1)


def start(tab: Tab, link: str) -> None:
    tab.navigate(link)
    tab.until("!document.getElementById('start').disabled")
    tab.js("document.getElementById('start').click()")


def wait_live(tab: Tab) -> None:
    tab.until("document.getElementById('state').dataset.is === 'live'", 20)


def wait_note(tab: Tab, key: str, timeout_s: float = 20) -> None:
    tab.until(f"document.getElementById('note').dataset.key === '{key}'", timeout_s)


def closing_code(socket: ClientConnection) -> int:
    """Wait until the server closes the connection. Return 0 if it sends no close code. Raises: TimeoutError."""
    try:
        while socket.recv(10):
            pass
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    return 0


def test_a_phone_is_a_camera_and_another_browser_shows_its_pictures(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("pocket")
    with phone.tab() as camera, Browser() as other, other.tab() as screen:
        start(camera, link)
        wait_live(camera)
        product.wait_for_state("pocket")
        health = product.camera("pocket")["health"]
        assert (health["codec"], health["audio_codec"]) == ("h264", "pcm_mulaw")
        product.sign_in(screen)
        screen.navigate(product.url("/cameras/pocket/"))
        assert len({screen.wait_for_stamp(PLAYER) for _ in range(3)}) >= 1
        camera.until("/^[1-9]\\d* ms/.test(document.getElementById('figures').textContent)", 20)
        assert camera.js("location.pathname") not in link, "the link was renewed"
        camera.js("document.getElementById('stop').click()")
        product.wait_for_state("pocket", "reconnecting")


FAKE_AAC = """globalThis.AudioEncoder = class {
  static isConfigSupported = async () => ({ supported: true });
  state = "configured";
  constructor({ output }) { this.output = output; }
  configure() {}
  close() {}
  encode({ timestamp }) {
    const chunk = new EncodedAudioChunk({ type: "key", timestamp, data: new Uint8Array(50) });
    this.output(chunk, { decoderConfig: { description: new Uint8Array([0x11, 0x88]) } });
  }
}"""


def test_browsers_that_read_frames_and_encode_audio_in_other_ways_work_too(
    stage: Stage, phone: Browser
) -> None:
    """Frames are read as in Safari, and the AAC encoder exists in Chromium on phones only."""
    product, link = stage.product, stage.add("other")
    with phone.tab(link) as tab:
        tab.js("delete globalThis.MediaStreamTrackProcessor")
        tab.js(FAKE_AAC)
        tab.until("!document.getElementById('start').disabled")
        tab.js("document.getElementById('start').click()")
        wait_live(tab)
        product.wait_for_state("other")
        health = product.camera("other")["health"]
        assert (health["codec"], health["audio_codec"]) == ("h264", "aac")
        with WsViewer(product.websocket_url, product.token, [("other", "")]) as viewer:
            viewer.wait_units(30)


def test_a_second_phone_is_refused_while_the_first_one_sends(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("shared")
    with stage.phone() as another, phone.tab() as first, another.tab() as second:
        start(first, link)
        wait_live(first)
        start(second, link)
        wait_note(second, "busy")
        assert product.camera("shared")["state"] == "live"
        first.js("document.getElementById('stop').click()")
        start(second, link)
        wait_live(second)
        product.wait_for_state("shared")


def test_a_revoked_key_ends_the_stream_and_its_page(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("lost")
    keys = "/api/v1/cameras/lost/publish-keys"
    with phone.tab() as tab:
        start(tab, link)
        wait_live(tab)
        product.wait_for_state("lost")
        (row,) = product.client.get(keys).json()["items"]
        assert product.client.request("DELETE", f"{keys}/{row['id']}").status == 204
        wait_note(tab, "invalid")
        assert product.client.get(link.removeprefix(product.base)).status == 404
        product.wait_for_state("lost", "failed")


def test_a_phone_that_vanishes_leaves_its_place_to_the_next_one(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("fallen")
    with stage.phone() as gone, gone.tab() as tab:
        start(tab, link)
        wait_live(tab)
        product.wait_for_state("fallen")
        os.killpg(os.getpgid(gone.pid), signal.SIGKILL)
        product.wait_for_state("fallen", "reconnecting")
    with phone.tab() as tab:
        start(tab, link)
        wait_live(tab)
        product.wait_for_state("fallen")


def test_garbage_ends_only_its_own_connection(stage: Stage) -> None:
    product = stage.product
    address = f"ws{stage.add('field').removeprefix('http')}ws"
    for garbage in ("text", b"", b"\xff" * 500, tag(9, 0, b"\xff" * 5000), bytes(1 << 21)):
        with admitted(address) as socket:
            pids = product.pids("capture")
            with contextlib.suppress(
                ConnectionClosed
            ):  # The server may close the connection during the send.
                socket.send(garbage)
            assert closing_code(socket) != 1000
    with admitted(address) as socket:
        socket.send(tag(9, 0, AVCC))
        for number in range(12):
            socket.send(tag(9, 40 * number, KEY_FRAME))
        assert '"ack"' in str(socket.recv(10))
        product.wait_for_state("field")
        socket.send(tag(9, 480, b"\x12\0\0\0\0"))  # an unknown codec
        assert closing_code(socket) == 4410, "the page may connect again"
    product.wait_for_state("field", "reconnecting")
    with admitted(address):
        pass
    assert product.pids("capture") == pids


def test_media_before_admission_and_forged_links_are_refused(stage: Stage) -> None:
    address = f"ws{stage.add('gate').removeprefix('http')}ws"
    with admitted(address) as first, connect(address) as second:
        first.send(tag(9, 0, AVCC))
        first.send(tag(9, 0, KEY_FRAME))  # It holds the place, so the second one is not admitted meanwhile.
        second.send(tag(9, 0, KEY_FRAME))
        assert closing_code(second) == 4410
    forged = address[:-6] + ("AAA/ws" if address[-6:-3] != "AAA" else "BBB/ws")
    with connect(forged) as socket:
        assert closing_code(socket) == 4404


def test_a_page_that_is_stopped_while_it_starts_stays_stopped(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("hasty")
    with phone.tab() as tab:
        tab.navigate(link)
        tab.until("!document.getElementById('start').disabled")
        tab.js(
            "addModule = AudioWorklet.prototype.addModule; sockets = 0; Socket = WebSocket;"
            "AudioWorklet.prototype.addModule = async function (url) {"
            " document.getElementById('stop').click(); await addModule.call(this, url); isLoaded = true; };"
            "WebSocket = class extends Socket { constructor(url) { super(url); sockets += 1; } };"
            "document.getElementById('sound').checked = true; document.getElementById('start').click(); 1"
        )
        tab.until("globalThis.isLoaded === true")
        tab.until("!document.getElementById('start').hidden && !document.getElementById('start').disabled")
        tab.js("new Promise((done) => setTimeout(done, 300))")
        assert tab.js("[sockets, document.getElementById('state').dataset.is]") == [0, "stopped"]
        tab.js(
            "AudioWorklet.prototype.addModule = addModule; tracks = [];"
            "open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
            "navigator.mediaDevices.getUserMedia = async (wish) => {"
            " const stream = await open(wish); tracks.push(...stream.getTracks()); return stream; };"
            "document.getElementById('start').click()"
        )
        wait_live(tab)
        product.wait_for_state("hasty")
        tab.js("for (const id of ['flip', 'stop']) document.getElementById(id).click(); 1")
        tab.until("tracks.length === 3 && tracks.every((each) => each.readyState === 'ended')")
        assert tab.js("document.getElementById('preview').srcObject") is None


def test_the_page_connects_again_after_its_server_was_killed(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("steady")
    with phone.tab() as tab:
        start(tab, link)
        wait_live(tab)
        os.kill(product.web_pids()[0], signal.SIGKILL)
        tab.until("document.getElementById('state').dataset.is === 'connecting'", 20)
        wait_live(tab)
        product.wait_for_state("steady")
        with WsViewer(product.websocket_url, product.token, [("steady", "")]) as viewer:
            viewer.wait_units(10)


DEVICE = """globalThis.asked = []; globalThis.lights = []; globalThis.locks = 0;
const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
devices.getUserMedia = (wish) => { asked.push(wish.video.facingMode); return open(wish); };
devices.enumerateDevices = async () => [{ kind: "videoinput" }, { kind: "videoinput" }];
MediaStreamTrack.prototype.getCapabilities = () => ({ torch: true });
MediaStreamTrack.prototype.applyConstraints = async ({ advanced }) => { lights.push(advanced[0].torch); };
Object.defineProperty(navigator, "wakeLock", { value: { request: async () => {
  locks += 1;
  return { release: async () => { locks -= 1; } };
} } });"""


def test_a_phone_has_two_cameras_a_light_and_a_screen_that_stays_on(stage: Stage, phone: Browser) -> None:
    """Chromium's fake camera has neither, so the browser's interfaces are replaced."""
    link = stage.add("equipped")
    with phone.tab() as tab:
        script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=DEVICE)["identifier"]
        start(tab, link)
        tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        wait_live(tab)
        tab.until("locks === 1 && !document.getElementById('flip').hidden")
        for shines in (True, False):
            tab.js("document.getElementById('torch').click()")
            tab.until(
                f"document.getElementById('torch').getAttribute('aria-pressed') === '{shines}'.toLowerCase()"
            )
        tab.js("document.getElementById('flip').click()")
        tab.until("asked.length === 2")
        assert tab.js("[lights, asked]") == [[True, False], ["environment", "user"]]
        wait_live(tab)
        tab.js("document.getElementById('stop').click()")
        tab.until("locks === 0 && document.getElementById('torch').hidden")


def test_the_page_says_why_it_cannot_start(stage: Stage, phone: Browser) -> None:
    link = stage.add("hall")
    with phone.tab() as tab:
        tab.navigate(link.replace("127.0.0.1", "phone.test"))
        tab.until("!document.getElementById('insecure').hidden")
        assert tab.js("document.getElementById('start').disabled")
        for name, key in (
            ("NotAllowedError", "denied"),
            ("NotFoundError", "missing"),
            ("NotReadableError", "in_use"),
        ):
            tab.navigate(link)
            tab.until("!document.getElementById('start').disabled")
            tab.js(
                f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{name}') }}"
            )
            tab.js("document.getElementById('start').click()")
            wait_note(tab, key)
        without(tab, link, "VideoEncoder", "MediaRecorder")
        wait_note(tab, "unsupported")


def without(tab: Tab, link: str, *names: str) -> None:
    """Open the page in a browser without these interfaces."""
    source = "".join(f"delete globalThis.{name};" for name in names)
    script = tab.call("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"]
    tab.navigate(link)
    tab.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


def test_a_browser_without_webcodecs_publishes_with_its_recorder(stage: Stage, phone: Browser) -> None:
    product, link = stage.product, stage.add("older")
    with phone.tab() as tab:
        without(tab, link, "VideoEncoder", "AudioEncoder")
        tab.until("!document.getElementById('start').disabled")
        tab.js("document.getElementById('start').click()")
        wait_live(tab)
        product.wait_for_state("older")
        with WsViewer(product.websocket_url, product.token, [("older", "")]) as viewer:
            units = viewer.wait_units(70)
        steps = [b.pts_us - a.pts_us for a, b in pairwise(units)]
        decoder = av.CodecContext.create("h264", "r")
        assert len([frame for unit in units for frame in decoder.decode(av.Packet(unit.data))]) > 50
        assert sum(unit.key for unit in units) >= 2 and min(steps) > 0
        assert 30_000 < sorted(steps)[len(steps) // 2] < 70_000
        health = product.camera("older")["health"]
        assert (health["codec"], health["audio_codec"], health["frames_dropped"]) == ("h264", "pcm_mulaw", 0)


FRAGMENTS = """(async () => {
  const { FragmentReader } = await import('/static/ninjacam/publish/fragment-reader.js');
  const fill = (count, byte) => new Array(count).fill(byte);
  const moov = [0, 0, 0, 16, 109, 111, 111, 118, ...fill(8, 255)];
  const large = [0, 0, 0, 1, 109, 100, 97, 116, ...fill(8, 255)];
  return [[], fill(7, 0), fill(64, 0), moov, large, fill(64, 255)].map((bytes) => {
    try {
      return new FragmentReader().feed(Uint8Array.from(bytes)).length;
    } catch (error) {
      return error.constructor.name;
    }
  });
})()"""


def test_a_recorder_that_writes_something_else_is_an_error(stage: Stage, phone: Browser) -> None:
    with phone.tab(stage.product.url("/login/")) as tab:
        assert tab.js(FRAGMENTS) == [0, 0, "Error", "Error", "Error", "Error"]


CONTROL = """(async () => {
  const { RateControl } = await import('/static/ninjacam/publish/rate-control.js');
  const rate = new RateControl(1_000_000);
  const seen = [];
  const step = (queuedMs, nowMs) => {
    const changed = rate.update((queuedMs * rate.bitrateBps) / 8000, nowMs);
    seen.push([Math.round(rate.bitrateBps / 1000), rate.isDropping, changed]);
  };
  step(0, 0); step(300, 1000); step(300, 1200); step(900, 1600); step(200, 2200); step(50, 2800);
  for (let ms = 3000; ms < 60_000; ms += 500) rate.update(0, ms);
  step(0, 60_000);
  for (let ms = 61_000; ms < 80_000; ms += 500) rate.update(rate.bitrateBps / 8, ms);
  step(2000, 80_000);
  return seen;
})()"""


def test_the_bitrate_follows_the_connection(stage: Stage, phone: Browser) -> None:
    with phone.tab(stage.product.url("/login/")) as tab:
        assert tab.js(CONTROL) == [
            [1000, False, False],
            [700, False, True],
            [700, False, False],  # not again immediately
            [490, True, True],  # frames are also skipped
            [490, True, False],  # until little is left
            [490, False, False],
            [1000, False, False],  # the value has risen again
            [150, True, False],
        ]


def test_mu_law_is_that_of_g711(stage: Stage, phone: Browser) -> None:
    with phone.tab(stage.product.url("/login/")) as tab:
        found = tab.js(
            "import('/static/ninjacam/publish/audio-sender.js')"
            ".then((m) => [0, 1, -1, 0.5, -0.5, 0.01, -0.01].map(m.encodeMuLaw))"
        )
    assert found == [255, 128, 0, 143, 15, 227, 99]

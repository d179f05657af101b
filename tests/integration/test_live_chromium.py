"""Playback in Chromium: fMP4 in MediaSource, access units in WebCodecs, MJPEG in `<img>`."""

from collections.abc import Iterator

import pytest

from tests.harness.chrome import CHROMIUM, Tab, chromium
from tests.integration.live_harness import Engine, Server, Site, prepare_site, running_server

pytestmark = [
    pytest.mark.chromium,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

OPEN = """
window.watch = (format, onstream, onframe) => {
  const socket = new WebSocket(`ws://${location.host}/cam/live/ws`);
  socket.binaryType = "arraybuffer";
  window.closeCode = 0;
  socket.onclose = (event) => (window.closeCode = event.code);
  socket.onopen = () => socket.send(JSON.stringify(
    {op: "subscribe", id: 1, camera: "door", view: "", format, codecs: ["h264"], width: null}));
  socket.onmessage = ({data}) => {
    if (typeof data !== "string") return onframe(new DataView(data), new Uint8Array(data, 36));
    const message = JSON.parse(data);
    if (message.op === "stream") onstream(message);
  };
};
true
"""
MEDIA_SOURCE = """
(async () => {
  const video = document.createElement("video");
  video.muted = video.autoplay = true;
  document.body.append(video);
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise((resolve) => (source.onsourceopen = resolve));
  window.video = video;
  window.failures = [];
  video.onerror = () => window.failures.push(video.error.message);
  let buffer, waiting = [];
  const pump = () => {
    if (buffer.updating || !waiting.length) return;
    buffer.appendBuffer(waiting.shift());
    const end = video.buffered.length && video.buffered.end(video.buffered.length - 1);
    const late = end && (video.currentTime < video.buffered.start(0) || end - video.currentTime > 1);
    if (late) video.currentTime = end - 0.2;
  };
  watch("fmp4", ({codec}) => {
    buffer = source.addSourceBuffer(`video/mp4; codecs="${codec}"`);
    buffer.onupdateend = pump;
  }, (_, payload) => { waiting.push(payload); pump(); });
  return true;
})()
"""
WEB_CODECS = """
window.decoded = 0; window.failures = []; window.size = "";
window.decoder = new VideoDecoder({
  output: (frame) => {
    window.decoded += 1;
    window.size = `${frame.displayWidth}x${frame.displayHeight}`;
    frame.close();
  },
  error: (error) => window.failures.push(String(error)),
});
watch("annexb", ({codec}) => decoder.configure({codec, optimizeForLatency: true}), (header, payload) => decoder.decode(
  new EncodedVideoChunk({type: header.getUint8(1) & 1 ? "key" : "delta",
                         timestamp: Number(header.getBigInt64(8, true)), data: payload})));
true
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return prepare_site(tmp_path_factory.mktemp("chromium"))


@pytest.fixture(scope="module")
def server(site: Site) -> Iterator[Server]:
    with Engine(site.directory / "run"), running_server(site) as server:
        yield server


@pytest.fixture
def tab(site: Site, server: Server) -> Iterator[Tab]:
    with chromium() as browser, browser.tab() as tab:
        url = f"http://localhost:{server.port}/"
        name, _, value = site.users["viewer"]["cookie"].partition("=")
        tab.set_cookie(name, value, url)
        tab.navigate(url)
        tab.js(OPEN)
        yield tab


def test_media_source_plays_our_mp4(tab: Tab) -> None:
    tab.js(MEDIA_SOURCE)
    tab.until("video.getVideoPlaybackQuality().totalVideoFrames >= 50")
    assert tab.js("failures") == []
    assert tab.js("`${video.videoWidth}x${video.videoHeight}`") == "320x180"


def test_web_codecs_decodes_our_access_units(tab: Tab) -> None:
    tab.js(WEB_CODECS)
    tab.until("decoded >= 50")
    assert tab.js("[failures.length, size]") == [0, "320x180"]


def test_an_img_element_shows_our_mjpeg_at_once(tab: Tab) -> None:
    tab.js("window.img = new Image(); img.src = '/cam/live/door/mjpeg'; document.body.append(img); true")
    tab.until("img.naturalWidth === 320", timeout_s=3)


def test_a_page_without_a_login_reads_the_close_code(tab: Tab) -> None:
    tab.call("Network.clearBrowserCookies")
    tab.js("watch('annexb', () => 0, () => 0); true")
    assert tab.until("window.closeCode") == 4401

"""Headless Chromium, driven by its debugging protocol (CDP) from synchronous tests."""

import base64
import contextlib
import json
import re
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.harness.fair_clock import fair_s
from tests.harness.processes import Process

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1280,800",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)
_ANSWER_TIMEOUT_S = 30.0
_STAMP_JS = (Path(__file__).parent / "stamp.js").read_text()


def stamp_js() -> str:
    """A JavaScript expression: {read(selector), sample(selector, ms)}."""
    return _STAMP_JS


@dataclass(frozen=True, slots=True)
class StampSample:
    """A frame number read from pixels, and the time at which the page drew it, in seconds of CLOCK_MONOTONIC."""

    number: int
    monotonic_s: float
    width_px: int
    height_px: int

    def latency_ms(self, *, fps: float = 25.0, loop: int = 250) -> float:
        """Return the delay since the camera sent the frame.

        For cameras scheduled by `ninjacam.testing.served_stream`.
        """
        return ((self.monotonic_s * fps - self.number) % loop) / fps * 1000


class Tab:
    """One page. `log`: its console messages, uncaught exceptions and failed requests."""

    def __init__(self, target: str, socket: ClientConnection) -> None:
        self.target = target
        self.log: list[str] = []
        self._socket = socket
        self._last_id = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Raises: RuntimeError: Chromium returns an error."""
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(_ANSWER_TIMEOUT_S))
            if message.get("id") == self._last_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Runtime.consoleAPICalled":
            self.log.append(
                " ".join(str(arg.get("value", arg.get("description"))) for arg in parameters["args"])
            )
        elif message.get("method") == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.log.append("EXCEPTION " + details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded":
            self.log.append(parameters["entry"]["text"])

    def js(self, expression: str) -> Any:
        """Return the JSON value of an expression; await promises. Raises: RuntimeError: the expression threw."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(
                details.get("exception", {}).get("description", details.get("text", "exception"))
            )
        return result["result"].get("value")

    def until(self, expression: str, timeout_s: float = 10.0) -> Any:
        """Poll until the expression is true, and return its value. Raises: TimeoutError: with the page's log."""
        deadline_s = fair_s() + timeout_s
        while True:
            value = self.js(expression)
            if value:
                return value
            if fair_s() > deadline_s:
                raise TimeoutError(f"never true in {timeout_s} s: {expression}\n" + "\n".join(self.log[-20:]))
            time.sleep(0.05)

    def navigate(self, url: str) -> None:
        """Open the URL and wait until the page has its styles and has run its scripts. Images may still load."""
        answer = self.call("Page.navigate", url=url)
        if answer.get("errorText"):
            raise RuntimeError(f"{url}: {answer['errorText']}")
        has_run_scripts = "performance.getEntriesByType('navigation')[0]?.domContentLoadedEventEnd > 0"
        arrived = "true" if url == "about:blank" else f"location.href !== 'about:blank' && {has_run_scripts}"
        self.until(f"document.readyState !== 'loading' && {arrived}")

    def set_cookie(self, name: str, value: str, url: str) -> None:
        self.call("Network.setCookie", name=name, value=value, url=url)

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the size in CSS pixels. `phone`: touch input and a device pixel ratio of 2."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            mobile=phone,
            deviceScaleFactor=2 if phone else 1,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def press(self, key: str) -> None:
        """Press a key by its DOM name: "Tab", "Enter", "a"."""
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}.get(key, 0)
        common = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def activate(self) -> None:
        """Bring this tab to the front, which hides the others."""
        self.call("Page.bringToFront")

    def screenshot(self, path: Path | None = None, *, whole: bool = False) -> bytes:
        """Return a PNG, and also write it to `path`."""
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        data = base64.b64decode(image["data"])
        if path:
            path.write_bytes(data)
        return data

    # Stamps

    def read_stamp(self, selector: str) -> int | None:
        """Return the number stamped in the first matching canvas, video or img, including those in shadow roots."""
        found = self.js(f"{_STAMP_JS}.read({json.dumps(selector)})")
        return None if found is None else int(found[0])

    def wait_for_stamp(self, selector: str, timeout_s: float = 15.0) -> int:
        """Raises: TimeoutError: no readable frame appears."""
        return int(self.until(f"(x => x && [x[0]])({_STAMP_JS}.read({json.dumps(selector)}))", timeout_s)[0])

    def sample_stamps(self, selector: str, seconds: float) -> list[StampSample]:
        """Return each new number seen during `seconds`, read in every animation frame of the page."""
        self.begin_sampling(selector, seconds)
        return self.take_samples()

    def begin_sampling(self, selector: str, seconds: float) -> None:
        """Begin `sample_stamps` and return immediately. `take_samples` waits for the result."""
        call = f"{_STAMP_JS}.sample({json.dumps(selector)}, {seconds * 1000})"
        self.js(f"void (globalThis.stampSamples = {call})")

    def take_samples(self) -> list[StampSample]:
        rows = self.js("globalThis.stampSamples")
        offset_s = time.monotonic() - time.time()
        return [StampSample(int(row[0]), row[1] / 1000 + offset_s, int(row[2]), int(row[3])) for row in rows]


class Browser(Process):
    """Chromium with its own profile, for the duration of the `with` block."""

    def __init__(self, *flags: str) -> None:
        assert CHROMIUM, "Chromium is not installed"
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={self._profile.name}", "about:blank"]
        super().__init__("chromium", command, environment={"HOME": self._profile.name})
        self._port = 0

    def start(self) -> Self:
        super().start()
        found = re.search(r"ws://127\.0\.0\.1:(\d+)/", self.wait_for_output("DevTools listening", 90))
        assert found
        self._port = int(found[1])
        return self

    @contextlib.contextmanager
    def tab(self, url: str = "") -> Iterator[Tab]:
        """Open a new page in front. It is closed at the end of the `with` block."""
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request) as response:
            target = json.load(response)
        with connect(target["webSocketDebuggerUrl"], max_size=1 << 26) as socket:
            tab = Tab(target["id"], socket)
            for domain in ("Runtime", "Log", "Page", "Network"):
                tab.call(f"{domain}.enable")
            if url:
                tab.navigate(url)
            try:
                yield tab
            finally:
                with contextlib.suppress(OSError, RuntimeError, TimeoutError, ConnectionClosed):
                    tab.call("Page.close")

    def close(self) -> None:
        super().close()
        self._profile.cleanup()


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    with Browser(*flags) as browser:
        yield browser

"""Headless Chromium, driven by its debugging protocol from synchronous tests."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0",
         "--window-size=1280,800", "--autoplay-policy=no-user-gesture-required", "--disable-dev-shm-usage",
         "--host-resolver-rules=MAP *.test 127.0.0.1"]  # fmt: skip


class Tab:
    def __init__(self, target: str, socket: ClientConnection) -> None:
        self.target = target
        self._socket = socket
        self._last_id = 0
        self.log: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._last_id += 1
        self._socket.send(json.dumps({"id": self._last_id, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(20))
            if message.get("id") == self._last_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Runtime.consoleAPICalled":
            self.log.append(
                " ".join(str(arg.get("value", arg.get("description"))) for arg in message["params"]["args"])
            )
        elif message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            self.log.append("EXCEPTION " + details.get("exception", {}).get("description", details["text"]))
        elif message.get("method") == "Log.entryAdded":
            self.log.append(message["params"]["entry"]["text"])

    def js(self, expression: str) -> Any:
        """The JSON value of an expression; promises are awaited. Raises: RuntimeError: it threw."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(
                result["exceptionDetails"].get("exception", {}).get("description", "exception")
            )
        return result["result"].get("value")

    def until(self, expression: str, timeout_s: float = 10.0) -> Any:
        """Poll until the expression is true, and return its value."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            value = self.js(expression)
            if value:
                return value
            time.sleep(0.05)
        raise TimeoutError(f"never true: {expression}\n" + "\n".join(self.log[-20:]))

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            mobile=phone,
            deviceScaleFactor=2 if phone else 1,
        )

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(image["data"]))


class Browser:
    def __init__(self, port: int) -> None:
        self._port = port

    @contextlib.contextmanager
    def tab(self, url: str) -> Iterator[Tab]:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request) as response:
            target = json.load(response)
        with connect(target["webSocketDebuggerUrl"], max_size=1 << 26) as socket:
            tab = Tab(target["id"], socket)
            for domain in ("Runtime", "Log", "Page", "Network"):
                tab.call(f"{domain}.enable")
            tab.call("Page.navigate", url=url)
            tab.until("document.readyState === 'complete' && location.href !== 'about:blank'")
            try:
                yield tab
            finally:
                with contextlib.suppress(Exception):
                    tab.call("Page.close")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    assert CHROMIUM
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            text=True,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert process.stderr
        try:
            port = next(
                int(found[1])
                for line in process.stderr
                if (found := re.search(r"ws://127\.0\.0\.1:(\d+)/", line))
            )
            os.set_blocking(process.stderr.fileno(), False)
            yield Browser(port)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
            process.stderr.close()

"""Viewers in their own threads. They record data and arrival times without judging them."""

import http.client
import json
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import cv2
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ninjacam.testing import stamp
from tests.harness.fair_clock import fair_s
from tests.harness.http import unverified_tls
from tests.harness.processes import wait_until

WS_HEADER = struct.Struct("<BBHIqqIHHI")


@dataclass(slots=True)
class Picture:
    """`at_s`: arrival time on the fair clock. `headers`: of the multipart part, with lower-case names."""

    at_s: float
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def stamp(self) -> int | None:
        image = cv2.imdecode(np.frombuffer(self.data, np.uint8), cv2.IMREAD_COLOR)
        return None if image is None else stamp.read(image)  # type: ignore[arg-type]


class _Viewer:
    """`ended`: the reason for the end; empty while the viewer is connected."""

    def __init__(self) -> None:
        self.ended = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def _run(self) -> None:
        raise NotImplementedError

    def start(self) -> Self:
        self._thread.start()
        return self

    def wait_ended(self, timeout_s: float) -> str:
        """Return the reason for the end."""
        return wait_until(lambda: self.ended, timeout_s, "the end of the stream")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(10)


class MjpegViewer(_Viewer):
    """A client that reads multipart/x-mixed-replace over one connection. `keep`: number of latest frames kept."""

    def __init__(self, url: str, token: str, *, keep: int = 4000) -> None:
        super().__init__()
        self.url = url
        self.token = token
        self.status = 0
        self.count = 0
        self.pictures: list[Picture] = []
        self._keep = keep

    def _run(self) -> None:
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
        try:
            connection.request(
                "GET", f"{parts.path}?{parts.query}", headers={"Authorization": f"Bearer {self.token}"}
            )
            connection.sock.settimeout(20)
            response = connection.getresponse()
            self.status = response.status
            if response.status != 200:
                self.ended = response.read(4000).decode()
                return
            while not self._stop.is_set():
                if not self._read_part(response):
                    self.ended = "closed by the server"
                    return
        except (OSError, http.client.HTTPException) as error:
            self.ended = f"{type(error).__name__}: {error}"
        finally:
            connection.close()

    def _read_part(self, response: http.client.HTTPResponse) -> bool:
        headers: dict[str, str] = {}
        while True:
            line = response.readline()
            if not line:
                return False
            name, colon, value = line.decode("latin-1").strip().partition(":")
            if colon:
                headers[name.lower()] = value.strip()
            elif not name and "content-length" in headers:
                break
        data = response.read(int(headers["content-length"]))
        self.pictures.append(Picture(fair_s(), data, headers))
        self.count += 1
        del self.pictures[: -self._keep]
        return True

    def wait_for(self, condition: Callable[[Picture], object], timeout_s: float, what: str) -> Picture:
        """Return the first frame from now on that satisfies the condition. Raises: AssertionError."""
        seen = self.count

        def found() -> Picture | None:
            nonlocal seen
            fresh, seen_now = self.pictures[-(self.count - seen) :] if self.count > seen else [], self.count
            seen = seen_now
            return next((picture for picture in fresh if condition(picture)), None)

        def or_ended() -> Picture | None:
            picture = found()
            assert picture or not self.ended, f"{what}: the viewer ended: {self.ended}"
            return picture

        return wait_until(or_ended, timeout_s, what)

    def wait_live(self, timeout_s: float = 15) -> Picture:
        """Return a stamped frame, which only the camera produces."""
        return self.wait_for(lambda picture: picture.stamp is not None, timeout_s, "a live picture")

    def wait_placeholder(self, timeout_s: float) -> Picture:
        return self.wait_for(
            lambda picture: picture.stamp is None, timeout_s, "a picture that says it is not live"
        )

    def longest_gap_s(self, since_s: float) -> float:
        """Return the longest gap from `since_s` to now, including those at both ends."""
        times = [picture.at_s for picture in self.pictures if picture.at_s >= since_s]
        return max(b - a for a, b in pairwise([since_s, *times, fair_s()]))


@dataclass(slots=True)
class Unit:
    """A binary message of the WebSocket. `at_s`: arrival time on the fair clock."""

    at_s: float
    key: bool
    sequence: int
    stream: int
    pts_us: int
    data: bytes


class WsViewer(_Viewer):
    """A player's connection: one socket, several subscriptions. `messages`: the received JSON."""

    def __init__(
        self,
        url: str,
        token: str,
        cameras: list[tuple[str, str]],
        *,
        format: str = "annexb",
        **fields: object,
    ) -> None:
        """`fields`: additional fields of each subscription."""
        super().__init__()
        self.url = url
        self.token = token
        self.units: list[Unit] = []
        self.messages: list[dict[str, Any]] = []
        self._subscriptions = [
            {"op": "subscribe", "id": number, "camera": slug, "view": view, "format": format,
             "codecs": ["h264", "hevc"], "width": None, **fields}
            for number, (slug, view) in enumerate(cameras)
        ]  # fmt: skip

    def _run(self) -> None:
        try:
            with connect(
                self.url,
                additional_headers={"Authorization": f"Bearer {self.token}"},
                compression=None,
                max_size=1 << 24,
                ssl=unverified_tls() if self.url.startswith("wss:") else None,
            ) as socket_:
                for subscription in self._subscriptions:
                    socket_.send(json.dumps(subscription))
                while not self._stop.is_set():
                    try:
                        message = socket_.recv(timeout=0.5)
                    except TimeoutError:
                        continue
                    self._note(message)
        except (ConnectionClosed, OSError) as error:
            self.ended = f"{type(error).__name__}: {error}"

    def _note(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.messages.append(json.loads(message))
            return
        _, flags, stream, sequence, pts_us, *_ = WS_HEADER.unpack_from(message)
        data = message[WS_HEADER.size :]
        self.units.append(Unit(fair_s(), bool(flags & 1), sequence, stream, pts_us, data))

    def units_of(self, number: int) -> list[Unit]:
        """Return all units that subscription `number` has received so far."""
        streams = {m["stream"] for m in self.messages if m["op"] == "stream" and m["id"] == number}
        return [unit for unit in self.units if unit.stream in streams]

    def wait_units(self, count: int, timeout_s: float = 15) -> list[Unit]:
        """Return the next `count` units."""
        seen = len(self.units)

        def enough() -> bool:
            assert not self.ended, f"the viewer ended: {self.ended}"
            return len(self.units) >= seen + count

        wait_until(enough, timeout_s, f"{count} access units over the WebSocket; heard {self.messages[-3:]}")
        return self.units[seen : seen + count]

    def wait_message(
        self, condition: Callable[[dict[str, Any]], object], timeout_s: float, *, after: int | None = None
    ) -> dict[str, Any]:
        """Return the first JSON message after `messages[:after]` (None: from now on) that satisfies the condition."""
        seen = len(self.messages) if after is None else after

        def found() -> dict[str, Any] | None:
            assert not self.ended, f"the viewer ended: {self.ended}"
            return next((message for message in self.messages[seen:] if condition(message)), None)

        try:
            return wait_until(found, timeout_s, "a message over the WebSocket")
        except AssertionError as error:
            error.add_note(f"The last messages: {self.messages[-3:]}")
            raise

    def wait_state(self, state: str, timeout_s: float, *, after: int | None = None) -> dict[str, Any]:
        return self.wait_message(
            lambda m: m.get("op") == "state" and m.get("state") == state, timeout_s, after=after
        )


class StoppedReader:
    """Opens an MJPEG stream and never reads it."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.socket()
        # A small receive buffer makes the server's writes block soon.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._socket.settimeout(10)
        self._socket.connect((parts.hostname or "", parts.port or 80))
        self._socket.sendall(
            f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

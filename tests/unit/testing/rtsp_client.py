"""A blocking RTSP client that shows everything: for looking at what the fake camera really sends."""

import re
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ninjacam.testing.camera import FakeRtspCamera


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: str


class RtspClient:
    """`timeout_s` of silence raises TimeoutError; a cut connection raises ConnectionError."""

    def __init__(self, camera: FakeRtspCamera, *, timeout_s: float = 5.0) -> None:
        self.url = camera.url(login=False)
        self._socket = socket.create_connection((camera.host, camera.port), timeout_s)
        self._file = self._socket.makefile("rb")
        self._session = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def request(self, method: str, suffix: str = "", **headers: str) -> Answer:
        lines = [
            f"{method} {self.url}{suffix} RTSP/1.0",
            "CSeq: 1",
            *([self._session] if self._session else []),
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        status = self._line()
        answered: dict[str, str] = {}
        while line := self._line():
            name, _, value = line.partition(":")
            answered[name.lower()] = value.strip()
        body = self._file.read(int(answered.get("content-length", "0"))).decode()
        if "session" in answered:
            self._session = f"Session: {answered['session'].partition(';')[0]}"
        return Answer(int(status.split(" ")[1]), answered, body)

    def _line(self) -> str:
        line = self._file.readline()
        if not line:
            raise ConnectionError("closed")
        return line.decode().strip()

    def play(self, tracks: int = 1) -> Answer:
        described = self.request("DESCRIBE")
        for number in range(tracks):
            channels = f"{2 * number}-{2 * number + 1}"
            self.request("SETUP", f"/track{number}", Transport=f"RTP/AVP/TCP;unicast;interleaved={channels}")
        assert self.request("PLAY").status == 200
        return described

    def packet(self) -> tuple[int, bytes]:
        """(channel, RTP or RTCP packet). Raises: ValueError: the framing is broken."""
        head = self._file.read(4)
        if len(head) < 4:
            raise ConnectionError("closed")
        if head[0] != 0x24:
            raise ValueError("lost sync")
        return head[1], self._file.read(int.from_bytes(head[2:], "big"))

    def rtp(self) -> "Rtp":
        """The next packet of channel 0."""
        while True:
            channel, data = self.packet()
            if channel == 0:
                return Rtp(
                    bool(data[1] & 0x80),
                    int.from_bytes(data[2:4], "big"),
                    int.from_bytes(data[4:8], "big"),
                    data[12:],
                )

    def access_units(self, count: int) -> list[list["Rtp"]]:
        """So many complete pictures, as the markers cut them."""
        out: list[list[Rtp]] = [[]]
        while True:
            packet = self.rtp()
            out[-1].append(packet)
            if packet.marker:
                if len(out) == count:
                    return out
                out.append([])


@dataclass(frozen=True, slots=True)
class Rtp:
    marker: bool
    sequence: int
    time: int
    payload: bytes


def digest_parameters(challenge: str) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', challenge))

"""A real RTSP camera in pure Python, for tests and demonstrations: plays clips at their pace, with faults on demand.

    with FakeRtspCamera(make_clip()) as camera:
        ...camera.url()...
        camera.faults.freeze = True

As a process of its own: `python -m ninjacam.testing.camera --help`.
Not here: what the camera says (`rtsp_session`), when it sends (`served_stream`), what can be wrong (`faults`).
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import cast

from ninjacam.testing.authentication import Login
from ninjacam.testing.clips import Clip
from ninjacam.testing.faults import Faults
from ninjacam.testing.rtp import PayloadCache
from ninjacam.testing.rtsp_session import CameraStats, ServerSession
from ninjacam.testing.served_stream import ServedStream
from ninjacam.testing.server_thread import ServerThread


class FakeRtspCamera(ServerThread):
    """Serves `clips` (path -> clip; a single clip is "/cam0") on 127.0.0.1. H.264, H.265, MJPEG, AAC and G.711.

    Runs in a daemon thread between `start` and `stop`, or by `serve` in a loop of yours. `port` 0: a free one, kept
    over a restart. Clients start at the next key frame, with `gop_at_once` at the last one. Methods are thread-safe.
    """

    def __init__(
        self,
        clips: Clip | Mapping[str, Clip],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        login: Login | None = None,
        ssl_context: ssl.SSLContext | None = None,
        gop_at_once: bool = False,
        aggregate: bool = True,
    ) -> None:
        super().__init__(host, port, ssl_context)
        by_path = {"/cam0": clips} if isinstance(clips, Clip) else clips
        self.login = login or Login()
        self.gop_at_once = gop_at_once
        self.stats = CameraStats()
        self.udp_ports = (0, 0)
        self.on_change: Callable[[], None] = lambda: None
        """Called in the camera's loop when a connection opens or closes."""
        cache = PayloadCache(aggregate=aggregate)
        self.streams = {path: ServedStream(path, clip, cache) for path, clip in by_path.items()}
        self._sessions: set[ServerSession] = set()
        self._udp: tuple[asyncio.DatagramTransport, ...] = ()

    def url(self, path: str = "", *, login: bool = True) -> str:
        """Of the stream at `path`, the first one without. `login`: put user and password in, if it asks for them."""
        scheme = "rtsps" if self._ssl_context else "rtsp"
        user = (
            f"{self.login.username}:{self.login.password}@" if login and self.login.scheme != "none" else ""
        )
        return f"{scheme}://{user}{self.host}:{self.port}{path or next(iter(self.streams))}"

    # Faults

    @property
    def faults(self) -> Faults:
        """Of the first stream; the others' are `streams[path].faults`."""
        return next(iter(self.streams.values())).faults

    def set_faults(self, path: str = "*", **changes: object) -> None:
        """Change `Faults` of one stream, or of all. Raises: ValueError: there is no such fault."""
        known = {field.name for field in fields(Faults)}
        if unknown := changes.keys() - known:
            raise ValueError(f"No such fault: {', '.join(sorted(unknown))}.")
        for stream in self._chosen(path):
            for name, value in changes.items():
                setattr(stream.faults, name, tuple(value) if isinstance(value, list) else value)

    def inject(self, data: bytes | None = None) -> None:
        """Write bytes (None: 5,000 random ones) into every connection, in breach of the protocol."""
        noise = random.randbytes(5000) if data is None else data

        def inject() -> None:
            for session in self._sessions:
                session.inject(noise)

        self.call(inject)

    def jump(self, seconds: float, path: str = "*") -> None:
        """Set the camera's media clock forward, or back; the pace stays."""

        def jump() -> None:
            for stream in self._chosen(path):
                stream.jump_s += seconds

        self.call(jump)

    def switch_clip(self, clip: Clip, path: str = "*") -> None:
        """Continue with `clip` (another resolution) in the same sessions."""

        def switch() -> None:
            for stream in self._chosen(path):
                stream.set_clip(clip)

        self.call(switch)

    def _chosen(self, path: str) -> list[ServedStream]:
        return list(self.streams.values()) if path == "*" else [self.streams[path]]

    # Life

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Run until `request_stop` or cancellation. Raises: OSError: the port is taken."""
        self._udp, self.udp_ports = await self._open_udp(asyncio.get_running_loop())
        try:
            await super().serve(on_ready)
        finally:
            for transport in self._udp:
                transport.close()
            await asyncio.sleep(0)  # they close in the next turn of the loop

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = ServerSession(self, reader, writer)
        self._sessions.add(session)
        self.stats.connections += 1
        self.stats.open_connections += 1
        self.on_change()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            self.stats.open_connections -= 1
            self.on_change()

    # What a session asks of its host

    def stream_at(self, path: str) -> ServedStream | None:
        if not path:
            return next(iter(self.streams.values()))
        base = path.rpartition("/track")[0] or path
        return self.streams.get(base.rstrip("/")) or self.streams.get(path.rstrip("/"))

    def send_udp(self, data: bytes, address: tuple[str, int], *, rtcp: bool) -> None:
        self.stats.bytes_sent += len(data)
        self._udp[rtcp].sendto(data, address)

    async def _open_udp(
        self, loop: asyncio.AbstractEventLoop
    ) -> tuple[tuple[asyncio.DatagramTransport, ...], tuple[int, int]]:
        """An even port for RTP and the odd one above it for RTCP (RFC 3550, section 11)."""
        for _ in range(100):
            port = random.randrange(20_000, 32_000) & ~1
            pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            try:
                for offset, bound in enumerate(pair):
                    bound.bind((self.host, port + offset))
            except OSError:
                for bound in pair:
                    bound.close()
                continue
            rtp, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=pair[0])
            rtcp, _ = await loop.create_datagram_endpoint(lambda: _RtcpIn(self._sessions), sock=pair[1])
            return (rtp, rtcp), (port, port + 1)
        raise OSError("No two free UDP ports.")


class _RtcpIn(asyncio.DatagramProtocol):
    def __init__(self, sessions: set[ServerSession]) -> None:
        self._sessions = sessions

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        for session in tuple(self._sessions):
            session.heard_rtcp(data, cast(tuple[str, int], addr[:2]))

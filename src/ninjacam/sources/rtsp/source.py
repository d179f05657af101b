"""A camera that plays over RTSP: delivers its packets, keeps the session alive, reports, says goodbye."""

import asyncio
import secrets
from typing import TYPE_CHECKING

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProtocolError, SourceEndedError, SourceError, SourceStalledError
from ninjacam.core.packets import Kind, Packet, Track
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.rtsp.connection import ChannelHandler, RtspConnection
from ninjacam.sources.rtsp.tracks import RtspTrack

if TYPE_CHECKING:
    from ninjacam.sources.rtsp.session import RtspSession

REPORT_INTERVAL_S = 5.0
MAX_KEEP_ALIVE_S = 30.0
MAX_EARLY_BYTES = 16 << 20
_TICK_S = 1.0
_GOODBYE_S = 0.5


class RtspSource(Source):
    """Made by `open_rtsp`; reading is paused until `run`."""

    def __init__(self, session: "RtspSession", config: SourceConfig, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.stats = SourceStats()
        self._session = session
        self._connection: RtspConnection = session.connection
        self._config = config
        self._clock = clock
        self._tracks: list[tuple[RtspTrack, int, int]] = []
        self._early: list[Packet] = []
        self._early_bytes = 0
        self._on_packet: OnPacket = self._keep_early
        self._ssrc = secrets.randbits(32)
        self._reported_ns = clock.monotonic_ns()
        self._closing = False

    def attach(self, tracks: list[tuple[RtspTrack, int, int]]) -> None:
        """Listen on the channels that the camera granted."""
        self._tracks = tracks
        self.tracks = tuple(track.track for track, _, _ in tracks)
        for track, rtp_channel, rtcp_channel in tracks:
            self._connection.handle(rtp_channel, track.receiver.receive)
            self._connection.handle(rtcp_channel, self._rtcp_handler(track))
        self._connection.on_resync = self._resync

    def deliver(self, packet: Packet) -> None:
        self._on_packet(packet)

    async def run(self, on_packet: OnPacket) -> None:
        self._on_packet = on_packet
        early, self._early = self._early, []
        for packet in early:
            on_packet(packet)
        ended = self._connection.ended
        ticking = asyncio.create_task(self._tick(), name="rtsp-tick")
        alive = asyncio.create_task(self._keep_alive(), name="rtsp-keep-alive")
        try:
            self._connection.resume()
            await asyncio.wait((ended, ticking, alive), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, ticking, alive):
                if task.done():
                    task.result()
        finally:
            ticking.cancel()
            alive.cancel()
            self._on_packet = _ignore

    def media_ns(self) -> int:
        return max(
            (track.receiver.media_ns for track, _, _ in self._tracks if track.track.kind is Kind.VIDEO),
            default=0,
        )

    def relax(self, interval_s: float) -> None:
        self._connection.relax(interval_s)

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._on_packet = _ignore
        if not self._connection.ended.done():
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    self._connection.relax(0)
                    self._connection.resume()
                    await self._session.request("TEARDOWN", self._session.uri, {})
            except (TimeoutError, SourceError):
                pass  # it was only politeness
        self._connection.fail(SourceEndedError("The camera was closed."))

    def _keep_early(self, packet: Packet) -> None:
        """Packets that come before `run`: some cameras send before they have answered PLAY."""
        self._early.append(packet)
        self._early_bytes += len(packet.data)
        if self._early_bytes > MAX_EARLY_BYTES:
            self._early.clear()
            self._connection.fail(ProtocolError("The camera sends, but does not answer."))

    def _rtcp_handler(self, track: RtspTrack) -> ChannelHandler:
        def handle(data: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
            if (
                track.receiver.receive_rtcp(bytes(data[start:stop]), received_ns)
                and track.track.kind is Kind.VIDEO
            ):
                raise SourceEndedError("The camera ended the stream.")
            return stop

        return handle

    def _resync(self) -> None:
        for track, _, _ in self._tracks:
            track.receiver.resync()

    async def _tick(self) -> None:
        """Once a second: is it still there, and is a report due?"""
        connection, limit_s = self._connection, self._config.read_timeout_s
        interval_s = min(_TICK_S, limit_s / 4)
        while True:
            await self._clock.sleep(interval_s)
            now_ns = self._clock.monotonic_ns()
            self.stats.bytes_received = connection.bytes_received
            if now_ns - connection.last_bytes_ns > limit_s * 1e9:
                connection.fail(SourceStalledError(f"The camera has sent nothing for {limit_s:g} s."))
                return
            connection.forgive()
            for track, _, _ in self._tracks:
                track.receiver.settle(now_ns)
            if now_ns - self._reported_ns >= REPORT_INTERVAL_S * 1e9:
                self._reported_ns = now_ns
                for track, _, rtcp_channel in self._tracks:
                    connection.write_interleaved(
                        rtcp_channel, track.receiver.receiver_report(self._ssrc, now_ns)
                    )

    async def _keep_alive(self) -> None:
        """A request in time, so that the camera does not forget the session. Answers are not waited for: data is."""
        session = self._session
        method = "GET_PARAMETER" if "GET_PARAMETER" in session.methods else "OPTIONS"
        interval_s = min(session.timeout_s / 2, MAX_KEEP_ALIVE_S)
        while True:
            await self._clock.sleep(interval_s)
            try:
                async with asyncio.timeout(interval_s):
                    answer = await session.request(method, session.uri, {})
            except TimeoutError:
                continue
            except SourceError as exc:
                session.connection.fail(exc)
                return
            if answer.status == 454:
                session.connection.fail(SourceEndedError("The camera has forgotten the session."))
                return


def _ignore(packet: Packet) -> None:
    """Nobody listens any more."""

"""A camera that plays over RTSP: delivers packets, keeps the session alive, sends reports, closes the session."""

import asyncio
import secrets
from dataclasses import replace
from typing import Protocol

from ninjacam.core.clock import Clock, until_tick_s
from ninjacam.core.errors import ProtocolError, SourceEndedError, SourceError, SourceStalledError
from ninjacam.core.packets import Codec, Kind, Packet, Track
from ninjacam.core.texts import sentence
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.delivery import Delivery
from ninjacam.sources.rtsp.messages import RtspMessage
from ninjacam.sources.rtsp.tracks import RtspTrack
from ninjacam.sources.track_clock import ClockOffset

REPORT_INTERVAL_S = 5.0
MAX_KEEP_ALIVE_S = 30.0
MAX_EARLY_BYTES = 16 << 20
_TICK_S = 1.0
_GOODBYE_S = 0.5
_GOODBYE_TICKS = 3
"""Seconds of video after which a BYE is assumed to be for another stream."""


class ControlSession(Protocol):
    """The session that keeps the camera playing: `RtspSession`."""

    @property
    def connection(self) -> RtspConnection: ...
    @property
    def delivery(self) -> Delivery: ...
    @property
    def uri(self) -> str: ...
    @property
    def methods(self) -> frozenset[str]: ...
    @property
    def timeout_s(self) -> float: ...
    async def request(self, method: str, uri: str, headers: dict[str, str]) -> RtspMessage: ...


class RtspSource(Source):
    """Created by `open_rtsp`; reading is paused until `run`."""

    def __init__(self, session: ControlSession, config: SourceConfig, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = ()
        self._codec: Codec | None = None
        """The video format: one of those that the SDP offers."""
        self.stats = SourceStats()
        self._session = session
        self._connection: RtspConnection = session.connection
        self._delivery: Delivery = session.delivery
        self._config = config
        self._clock = clock
        self._tracks: list[RtspTrack] = []
        self._early: list[Packet] = []
        self._early_bytes = 0
        self._on_packet: OnPacket = self._keep_early
        self._ssrc = secrets.randbits(32)
        self._reported_ns = clock.monotonic_ns()
        self._closing = False
        self._seen_packets = 0
        self._clock_offset = ClockOffset()
        self._compared_ns = 0
        """Time of the last compared sender report."""
        self._goodbye_ticks: int | None = None
        """Seconds since the camera sent BYE; None: it did not, or it continued."""

    def attach(self, tracks: list[RtspTrack]) -> None:
        """Listen to the tracks that the camera has granted, the video first."""
        self._tracks = tracks
        self.tracks = tuple(track.track for track in tracks)
        self._codec = self.tracks[0].codec
        self._delivery.listen(self._on_rtcp)
        self._connection.on_resync = self._resync
        self._connection.on_goodbye = self._note_goodbye

    def deliver(self, packet: Packet) -> None:
        if packet.codec is not self._codec and packet.kind is Kind.VIDEO:
            self._codec = packet.codec
            self.tracks = (replace(self.tracks[0], codec=packet.codec, extradata=b""), *self.tracks[1:])
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
            self._delivery.resume()
            await asyncio.wait((ended, ticking, alive), return_when=asyncio.FIRST_COMPLETED)
            for task in (ended, ticking, alive):
                if task.done():
                    task.result()
        finally:
            ticking.cancel()
            alive.cancel()
            self._on_packet = _ignore

    def media_ns(self) -> int:
        return self._tracks[0].receiver.media_ns if self._tracks else 0

    def relax(self, interval_s: float) -> None:
        self._delivery.relax(interval_s)
        for track in self._tracks:
            track.receiver.reception.set_read_at_once(is_read_at_once=not interval_s)

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._on_packet = _ignore
        if not self._connection.ended.done():
            try:
                async with asyncio.timeout(_GOODBYE_S):
                    self._delivery.relax(0)
                    self._delivery.resume()
                    await self._session.request("TEARDOWN", self._session.uri, {})
            except (TimeoutError, SourceError):
                pass  # TEARDOWN is optional.
        self._delivery.close()
        self._connection.fail(SourceEndedError("The camera was closed."))

    def _keep_early(self, packet: Packet) -> None:
        """Keep packets that arrive before `run`: some cameras send before they respond to PLAY."""
        self._early.append(packet)
        self._early_bytes += len(packet.data)
        if self._early_bytes > MAX_EARLY_BYTES:
            self._early.clear()
            self._connection.fail(ProtocolError("The camera sends packets, but does not respond."))

    def _on_rtcp(self, track: RtspTrack, data: bytes, received_ns: int) -> None:
        if track.receiver.receive_rtcp(data, received_ns) and track is self._tracks[0]:
            self._note_goodbye()

    def _note_goodbye(self) -> None:
        """Note that the camera announces the end of the stream. Some cameras mean another session, or restart, so
        `_tick` decides later."""
        self._goodbye_ticks = 0

    def _resync(self) -> None:
        for track in self._tracks:
            track.receiver.resync()

    async def _tick(self) -> None:
        """Run once a second: check liveness, and send a report if it is due."""
        connection, delivery, limit_s = self._connection, self._delivery, self._config.read_timeout_s
        interval_s = min(_TICK_S, limit_s / 4)
        while True:
            await self._clock.sleep(until_tick_s(interval_s, self._clock))
            now_ns = self._clock.monotonic_ns()
            self._measure(now_ns)
            if now_ns - delivery.last_bytes_ns > limit_s * 1e9:
                connection.fail(
                    SourceStalledError(
                        sentence("The camera has sent nothing for %(limit_s)s s.", limit_s=f"{limit_s:g}")
                    )
                )
                return
            if self._has_ended():
                connection.fail(SourceEndedError("The camera ended the stream."))
                return
            connection.forgive()
            for track in self._tracks:
                track.receiver.settle(now_ns)
            if now_ns - self._reported_ns >= REPORT_INTERVAL_S * 1e9:
                self._reported_ns = now_ns
                for track in self._tracks:
                    delivery.send_rtcp(track, track.receiver.receiver_report(self._ssrc, now_ns))

    def _measure(self, now_ns: int) -> None:
        """Update the statistics of the connection."""
        stats, receptions = self.stats, [track.receiver.reception for track in self._tracks]
        stats.bytes_received = self._delivery.bytes_received
        stats.packets_received = sum(each.earlier_packets + each.packets for each in receptions)
        video = receptions[0]
        stats.jitter_s = video.jitter_s
        if video.report is not None and video.report_received_ns != self._compared_ns:
            self._compared_ns = video.report_received_ns
            own_ns = self._clock.wall_ns() - (now_ns - video.report_received_ns)
            self._clock_offset.update(video.report.wall_ns, own_ns)
            stats.clock_offset_s = self._clock_offset.seconds

    def _has_ended(self) -> bool:
        """Return whether the camera has sent BYE and no video has arrived since the last tick."""
        packets = self._tracks[0].receiver.reception.packets
        came, self._seen_packets = packets != self._seen_packets, packets
        if self._goodbye_ticks is None:
            return False
        self._goodbye_ticks += 1
        if came and self._goodbye_ticks > _GOODBYE_TICKS:
            self._goodbye_ticks = None
        return not came

    async def _keep_alive(self) -> None:
        """Send requests in time, so that the camera keeps the session. A missing response does not end a session
        whose media continue: a method that is refused, or not answered, is replaced by the next one. A challenge
        that we cannot answer is a refusal, too."""
        session = self._session
        methods = [method for method in ("GET_PARAMETER", "OPTIONS") if method in session.methods]
        methods += [method for method in ("OPTIONS", "GET_PARAMETER") if method not in methods]
        while True:
            interval_s = min(session.timeout_s / 2, MAX_KEEP_ALIVE_S)
            await self._clock.sleep(interval_s)
            for _ in range(len(methods)):
                try:
                    async with asyncio.timeout(interval_s / 2):
                        answer = await session.request(methods[0], session.uri, {})
                    if answer.status < 300:
                        break
                except TimeoutError:
                    pass
                except SourceError:
                    if session.connection.ended.done():
                        return
                methods.append(methods.pop(0))


def _ignore(packet: Packet) -> None:
    """Ignore packets after the source was closed."""

"""Captures one stream of a camera: opens, monitors and publishes it, and reopens it after a loss."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from ninjacam.capture.demand import StreamDemand
from ninjacam.capture.figures import CameraFigures
from ninjacam.capture.liveness import MAX_PATIENCE_S, Pace, describe_silence
from ninjacam.capture.recording import CameraRecording
from ninjacam.capture.sink import PacketSink
from ninjacam.capture.timeline import PacketClock
from ninjacam.codecs.bitstream import SpsInfo, parameter_sets, parse_sps
from ninjacam.core.clock import SYSTEM_CLOCK, Clock, until_tick_s
from ninjacam.core.errors import (
    ConnectionRefusedSourceError,
    DecodeError,
    HostNotFoundError,
    NinjacamError,
    SourceEndedError,
    SourceStalledError,
    SourceTimeoutError,
)
from ninjacam.core.lifecycle import Backoff, Stop, supervise
from ninjacam.core.packets import LIVE, VIDEO, CameraState, Codec, Flags, Kind, Packet, StreamInfo
from ninjacam.core.streams import MAIN, split_key, stream_key
from ninjacam.core.texts import gettext_noop, origin_of, sentence
from ninjacam.hub.server import Channel, StreamServer
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.registry import open_source

logger = logging.getLogger("ninjacam.capture")

NOTICE_AFTER_S = 1.5
"""Seconds without a frame after which a notice describes the connection."""
SOURCE_SILENCE_S = MAX_PATIENCE_S + 5
"""Read timeout of sources. Capture itself decides liveness by the camera's pace, so sources must end later.
"""
RELAX_AFTER_S = 5.0
"""Seconds without subscribers after which a camera is read less often (`Source.relax`). By then, its clock is known.
"""
UNWATCHED_S, SLOW_UNWATCHED_S, RECORDED_S = 0.47, 0.23, 0.09
"""Read intervals of relaxed cameras: without recording, without recording below MIN_STEADY_FPS, and with recording,
because a crash loses unread data of recordings. The intervals are not multiples of common frame intervals, so that
some frames arrive just before they are read, and times (0001-time.md) are accurate to 10 ms."""
MIN_STEADY_FPS = 8.0
"""Frames per second above which the last frame of each batch has waited for less than the 0.25 s that
`capture.clock_rate` allows."""
WATCH_EVERY_S = 1.0
"""Maximum seconds between two checks of the camera, whose pace changes."""
BACKOFF = Backoff(first_s=0.5, max_s=2.0)
"""Delays between attempts. An attempt costs a TCP handshake, and viewers are waiting. With a key frame every 2 s, a
camera is live 5 s after it returns."""

SLEEP_BACKOFF = Backoff(first_s=2.0, max_s=15.0)
"""Delays between attempts to reach a sleeping camera that is needed: some are awake for only 20 s."""
FAILED_BACKOFF = Backoff(first_s=60.0, max_s=1800.0)
"""Delays before a failed stream besides `main` that is needed is connected again."""
_UNREACHABLE = (
    ConnectionRefusedSourceError,
    HostNotFoundError,
    SourceEndedError,
    SourceStalledError,
    SourceTimeoutError,
)
"""Errors that a sleeping camera may cause."""

_S = CameraState
MOVES: dict[CameraState, frozenset[CameraState]] = {
    _S.IDLE: frozenset({_S.CONNECTING}),
    _S.ASLEEP: frozenset({_S.CONNECTING, _S.LIVE, _S.RECONNECTING, _S.FAILED}),
    _S.CONNECTING: frozenset({_S.LIVE, _S.RECONNECTING, _S.FAILED, _S.IDLE, _S.ASLEEP}),
    _S.LIVE: frozenset({_S.STALLED, _S.RECONNECTING, _S.FAILED, _S.IDLE, _S.ASLEEP}),
    _S.STALLED: frozenset({_S.LIVE, _S.RECONNECTING, _S.FAILED, _S.IDLE, _S.ASLEEP}),
    _S.RECONNECTING: frozenset({_S.LIVE, _S.FAILED, _S.IDLE, _S.ASLEEP}),
    _S.FAILED: frozenset({_S.IDLE, _S.ASLEEP}),
}


class CameraCapture:
    """Owns a stream's connection, clock and `.packets` socket. Thread: the event loop.

    `main` is always connected. Other streams, and all streams of a camera that sleeps, are connected while they are
    used (`capture.demand`). `revision` identifies the configuration. `on_change()` is called when the state changes.
    """

    def __init__(
        self,
        *,
        slug: str,
        camera_id: int,
        source: SourceConfig,
        revision: str,
        run_dir: Path,
        on_change: Callable[[], None],
        stream: str = MAIN,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.key = stream_key(slug, stream)
        self.revision = revision
        is_always_needed = stream == MAIN and not source.sleeps
        self._config = source
        self.state = CameraState.CONNECTING if is_always_needed else self._rest_state
        self.error: NinjacamError | None = None
        self._clock = clock
        self._on_change = on_change
        self._timeline = PacketClock(clock)
        self._stop = Stop()
        self._source: Source | None = None
        self._recording = CameraRecording(run_dir / f"{slug}.pixels", clock)
        self._last_video_ns = 0  # Monotonic; the start of the connection until its first frame.
        self._pace = Pace()
        self._figures = CameraFigures(clock.monotonic_ns())
        epoch = clock.wall_ns() // 1_000_000_000
        self._hurried_ns = 0  # Monotonic.
        self._beat_s = 0.0
        self._is_released = False
        """Whether this connection was closed because the stream is unused."""
        self._demand = StreamDemand(always=is_always_needed, clock=clock)
        self._channel = Channel(
            StreamInfo(self.key, state=self.state, epoch=epoch),
            camera_id=camera_id,
            on_demand=lambda _: self._on_subscribers(),
        )
        self._server = StreamServer(run_dir / f"{self.key}.packets", lambda _request: self._channel)

    def record_to(self, sink: PacketSink | None) -> None:
        """Replace the sink, and close the previous one. This object owns the sink and closes it."""
        self._recording.record_to(sink, self._source.tracks if self._source is not None else None)
        self._demand.update(is_recorded=sink is not None)

    def need_recording(self, until_ns: float) -> None:
        """Set the wall-clock time until which recording alone keeps a sleeping camera connected."""
        if self._config.sleeps:
            self._demand.update(record_until_ns=until_ns)

    def _on_subscribers(self) -> None:
        self._hurry()
        self._demand.update(has_subscribers=self._channel.subscribers > 0)

    @property
    def _rest_state(self) -> CameraState:
        """Return the state of an unused stream."""
        return CameraState.ASLEEP if self._config.sleeps else CameraState.IDLE

    @property
    def sink(self) -> PacketSink | None:
        return self._recording.sink

    async def run(self) -> None:
        """Run until `stop`. Raises: ConfigError: the socket for publishing cannot be created."""
        await self._server.start()
        try:
            await self._run_until_failed()
            while split_key(self.key)[1] != MAIN and not self._stop.is_set():
                self._demand.failures += 1
                if not await self._stop.sleep(FAILED_BACKOFF.delay_s(self._demand.failures), self._clock):
                    self._move(self._rest_state, None)
                    await self._run_until_failed()
            await self._stop.wait()  # A failed camera keeps its socket, which reports the error.
        finally:
            self._channel.close()
            self.record_to(None)
            await self._server.close()

    async def _run_until_failed(self) -> None:
        """Return when stopped, or after an error that is not retried."""
        await supervise(
            self._run_once,
            stop=self._stop,
            backoff=BACKOFF,
            clock=self._clock,
            on_error=self._on_error,
            name=f"camera {self.key}",
        )

    async def stop(self) -> None:
        self._stop.set()
        if self._source is not None:
            await self._source.close()

    async def _run_once(self) -> None:
        """Connect, and reconnect whenever the stream is needed again. Return when stopped."""
        while not self._stop.is_set():
            await self._wait_for_demand()
            if self._stop.is_set():
                return
            try:
                if not await self._connect_once():
                    return
            except _UNREACHABLE as error:
                if not self._config.sleeps:
                    raise
                await self._sleep_after(error)
            self._channel.forget_gop()
            self._recording.flush()

    async def _sleep_after(self, error: NinjacamError) -> None:
        """Wait until the next attempt to reach a sleeping camera, or until a subscriber connects."""
        self._demand.misses += 1
        self._on_error(error, 0)
        delay_s = SLEEP_BACKOFF.delay_s(self._demand.misses)
        await _wait_for_any(self._clock.sleep(delay_s), self._demand.wait_for_next(), self._stop.wait())

    async def _wait_for_demand(self) -> None:
        """Return once the stream is needed, or the capture is stopped."""
        is_trying = self.state is not self._rest_state or self._demand.misses > 0
        if self._demand.left_s and is_trying:
            return
        if self.state is not self._rest_state:
            self._move(self._rest_state, None)
        self._demand.misses = 0
        await _wait_for_any(self._demand.wait(), self._stop.wait())
        if not self._stop.is_set():
            self._move(CameraState.CONNECTING, None)

    async def _connect_once(self) -> bool:
        """Connect, and receive until the connection ends. Return whether it ended because the stream is unused."""
        source = await self._open()
        if source is None:
            return False
        self._source = source
        self._is_released = False
        self._beat_s = 0.0
        self._hurried_ns = self._clock.monotonic_ns()
        watch = asyncio.create_task(self._watch(source), name=f"watch-{self.key}")
        try:
            if self._stop.is_set():
                return False
            self._timeline.restart()
            self._pace.connected()
            self._last_video_ns = self._clock.monotonic_ns()
            self._figures.connected(self._last_video_ns)
            self._channel.info = StreamInfo(
                self.key, source.tracks, self.state, self._channel.info.error, self._channel.info.epoch
            )
            self._recording.begin(source.tracks)
            await source.run(self._on_packet)
        except NinjacamError:
            if self._is_released:
                self._move(self._rest_state, None)
                return True
            if watch.done() and not watch.cancelled():
                watch.result()  # This task closed the source, so its error is the cause.
            raise
        else:
            return False
        finally:
            watch.cancel()
            self._figures.disconnected(source.stats)
            self._source = None
            await source.close()
            with contextlib.suppress(asyncio.CancelledError, SourceStalledError):
                await watch

    async def _open(self) -> Source | None:
        """Open the source. Return None if stopped meanwhile, so that a corrected address takes effect before the
        timeout of the wrong one."""
        config = replace(self._config, read_timeout_s=max(self._config.read_timeout_s, SOURCE_SILENCE_S))
        opening = asyncio.ensure_future(open_source(config, clock=self._clock))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((opening, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            opening.cancel()
        (outcome,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(outcome, asyncio.CancelledError):
            return None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def _watch(self, source: Source) -> None:
        """Close the source when the stream is no longer needed.

        Raises: SourceStalledError: the source has sent no media for too long; it is closed first. Media that do not
        form frames also prove that the camera is alive: `status` reports the problem.
        """
        while True:
            now_ns, media_ns = self._clock.monotonic_ns(), source.media_ns()
            has_media = media_ns > 0 or self._pace.has_frames
            silent_s = (now_ns - max(media_ns, self._last_video_ns)) / 1e9 - self._beat_s
            age_s = (now_ns - self._last_video_ns) / 1e9 - self._beat_s
            lost_after_s = self._pace.lost_after_s(has_media=has_media)
            if silent_s >= lost_after_s:
                error = SourceStalledError(
                    sentence(
                        "The camera is connected but has sent no video for %(lost_after_s)s s; check its power "
                        "and its network. It is being reconnected.",
                        lost_after_s=f"{lost_after_s:.2g}",
                    )
                )
                # Must precede closing the session, to which a frozen camera responds late.
                self._on_error(error, 0)
                await source.close()
                raise error
            stalled_after_s = self._pace.stalled_after_s()
            if age_s >= stalled_after_s and self.state is CameraState.LIVE:
                self._move(CameraState.STALLED, None)
            self._relax()
            needed_s = self._demand.left_s
            if not needed_s:
                logger.info("%s: disconnected, because nothing uses it", self.key)
                self._is_released = True
                await source.close()
                return
            due_s = min(needed_s, lost_after_s - silent_s)
            if self.state is CameraState.LIVE:
                due_s = min(due_s, stalled_after_s - age_s)
            await self._clock.sleep(max(0.05, min(due_s, until_tick_s(WATCH_EVERY_S, self._clock))))

    def _hurry(self) -> None:
        """Read packets at once for some time: there is a subscriber, or the clock must be learned again."""
        self._hurried_ns = self._clock.monotonic_ns()
        self._set_beat(0)

    def _relax(self) -> None:
        lately = self._clock.monotonic_ns() - self._hurried_ns < RELAX_AFTER_S * 1e9
        if lately or self._channel.subscribers or self._timeline.uses_arrival:
            return
        if self._recording.sink is not None:
            longest_s = RECORDED_S
        else:
            longest_s = UNWATCHED_S if self._figures.fps >= MIN_STEADY_FPS else SLOW_UNWATCHED_S
        # Double the interval each second: the kernel's receive window follows the size of the last batch, and a camera
        # with a full send buffer drops frames.
        self._set_beat(min(longest_s, 2 * self._beat_s or RECORDED_S))

    def _set_beat(self, seconds: float) -> None:
        if seconds != self._beat_s and self._source is not None:
            self._beat_s = seconds
            self._source.relax(seconds)

    def _on_packet(self, packet: Packet) -> None:
        self._figures.add(packet)
        if packet.kind is VIDEO:
            self._last_video_ns = packet.received_ns
            self._pace.add(packet.received_ns, is_key=bool(packet.flags & Flags.KEY))
            if packet.flags & Flags.CONFIG:
                sps = find_sps(packet)
                self._timeline.set_reorder_depth(reorder_depth(packet.codec, sps))
                self._figures.describe(packet, sps.fps if sps else 0.0)
            repaired = self._timeline.repair(packet)
            if self._beat_s and (repaired.flags & Flags.DISCONT or self._timeline.uses_arrival):
                self._hurry()
            if self.state is not LIVE:
                logger.info(
                    "%s: live, %s %dx%d", self.key, packet.codec.label, packet.width_px, packet.height_px
                )
                self._demand.meet()
                self._move(CameraState.LIVE, None)
        else:
            repaired = self._timeline.repair(packet)
        self._channel.publish(repaired)
        self._recording.add(repaired)

    def _on_error(self, error: NinjacamError, delay_s: float | None) -> None:
        self._channel.forget_gop()
        self._recording.flush()
        if self._config.sleeps and isinstance(error, _UNREACHABLE):
            known = self.state is CameraState.ASLEEP
            logger.log(logging.DEBUG if known else logging.INFO, "%s: asleep: %s", self.key, error)
            self._move(CameraState.ASLEEP, None)
            return
        known = self.error is not None and str(self.error) == str(error)
        logger.log(logging.DEBUG if known else logging.WARNING, "%s: %s", self.key, error)
        if delay_s is None:
            self._move(CameraState.FAILED, error)
        else:
            self._move(CameraState.RECONNECTING, error)

    def _move(self, state: CameraState, error: NinjacamError | None) -> None:
        if state is not self.state and state not in MOVES[self.state]:
            raise AssertionError(f"a camera cannot go from {self.state} to {state}")
        self.state, self.error = state, error
        info = self._channel.info
        tracks = self._source.tracks if self._source is not None else info.tracks
        self._channel.set_info(
            StreamInfo(info.camera, tracks, state, error.as_dict() if error else None, info.epoch)
        )
        self._on_change()

    def _notices(self, now_ns: int) -> list[tuple[str, str]]:
        """Return (code, sentence) for irregularities of a connected camera that are not errors."""
        source, since_ns = self._source, self._figures.connected_since_ns
        if self.state is CameraState.ASLEEP and self._demand.misses:
            return [
                (
                    "asleep",
                    gettext_noop(
                        "The camera does not answer, as is normal while it sleeps. Retrying while it is needed."
                    ),
                )
            ]
        if source is None or since_ns is None:
            return []
        found = []
        without_s = (now_ns - max(self._last_video_ns, since_ns)) / 1e9
        stalled_after_s = self._pace.stalled_after_s() if self._pace.has_frames else NOTICE_AFTER_S
        if without_s > stalled_after_s:
            has_media = source.media_ns() > 0 or self._pace.has_frames
            if not self._pace.has_frames or source.media_ns() > self._last_video_ns:
                found.append(describe_silence(source.stats, self._pace, has_media=has_media))
        if why := self._channel.gop_refused:
            found.append(
                (
                    "gop_not_kept",
                    sentence(
                        "New viewers wait for the next key frame: what lies between two is %(reason)s.",
                        reason=why,
                    ),
                )
            )
        if self._timeline.clock_rate is not None:
            found.append(("clock_rate", describe_rate(self._timeline.clock_rate)))
        return found

    def status(self) -> dict[str, Any]:
        """Return this camera's part of the engine's status. Rates are those since the last call at least 1 s ago."""
        now_ns = self._clock.monotonic_ns()
        rate = self._timeline.clock_rate
        stats = self._source.stats if self._source is not None else None
        tracks = self._channel.info.tracks
        return {
            "state": self.state,
            "error": self.error.as_dict() if self.error else None,
            "audio_codec": next((track.codec.label for track in tracks if track.kind is Kind.AUDIO), None),
            "notices": [
                {"code": code, "message": text, **origin_of(text)} for code, text in self._notices(now_ns)
            ],
            "key_interval_s": round(self._pace.key_interval_s, 1),
            "clock_rate": None if rate is None else round(rate, 3),
            "time_jumps": self._timeline.jumps,
            "camera_clock_used": self._timeline.reports_used,
            "subscribers": self._channel.subscribers,
            "dropped": self._channel.dropped,
            "recording": self._recording.status(),
            "revision": self.revision,
            **self._figures.status(now_ns, self._clock.wall_ns(), self._last_video_ns, stats),
        }


async def _wait_for_any(*waits: Coroutine[Any, Any, None]) -> None:
    """Return when one of them has finished, and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def describe_rate(rate: float) -> str:
    if rate < 0.01:
        return gettext_noop(
            "The camera's clock stands still: frames get the time at which they arrive. Check its frame rate setting."
        )
    percent = f"{abs(rate - 1) * 100:.0f}"
    if rate > 1:
        return sentence(
            "The camera's clock runs %(percent)s %% fast: frames get the time at which they arrive. Check its frame "
            "rate setting.",
            percent=percent,
        )
    return sentence(
        "The camera's clock runs %(percent)s %% slow: frames get the time at which they arrive. Check its frame "
        "rate setting.",
        percent=percent,
    )


def find_sps(packet: Packet) -> SpsInfo | None:
    """Return the sequence parameter set of a packet; None if it is malformed or missing."""
    if packet.codec is Codec.MJPEG:
        return None
    sets = parameter_sets(packet.codec, packet.data)
    try:
        return parse_sps(packet.codec, sets.sps[0]) if sets.sps else None
    except DecodeError:
        return None


def reorder_depth(codec: Codec, sps: SpsInfo | None) -> int | None:
    """Return the number of frames that a decoder must hold back; None: not specified by the stream."""
    if codec is Codec.MJPEG:
        return 0
    return sps.max_reorder if sps else None

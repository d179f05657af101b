"""FFmpeg's demuxers through PyAV, in one daemon thread. With `ffmpeg_reader`, the only adapter of sources to libav.

C code parses the camera's data, so capture runs each of these sources in a separate process. Never set FFmpeg's log
level here: with decoder threads, this has deadlocked whole processes (PyAV 18, field notes). Not here: converting
packets (`ffmpeg_reader`), and the allowed URLs and options (`ffmpeg_network`, `files`, `usb`).
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import av
import av.error
from av.container import InputContainer

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    NoVideoError,
    SourceEndedError,
    SourceError,
    SourceMemoryError,
    SourceStalledError,
    SourceTimeoutError,
)
from ninjacam.core.lifecycle import Stop
from ninjacam.core.packets import Packet, Track
from ninjacam.core.texts import sentence
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.ffmpeg_errors import translate_av_error
from ninjacam.sources.ffmpeg_reader import Reader

logger = logging.getLogger("ninjacam.sources")

MAX_QUEUED = 64
"""Maximum number of packets queued for the event loop; a full queue blocks the thread, and so the camera."""
_TICK_S = 0.5
_MAX_CLOSING_S, _UNBLOCK_EVERY_S = 1.0, 0.05
"""Timeout for closing: a driver may wait longer for a dead camera."""
_MAX_LATE_S, _MAX_EARLY_S = 0.5, 2.0
"""Limits for frames that arrive in bursts: beyond them, the source has paused, or its time has jumped."""


class DemuxerFiles(Protocol):
    """Provides all data that a demuxer requests. The demuxer itself opens no socket and no file."""

    def open(self, url: str, flags: int, options: dict[str, str]) -> object:
        """PyAV's `io_open`: return an object with `read(size)` and `close()`. Thread: the demuxer's."""

    def close(self) -> None:
        """Interrupt all reads. Thread: any. Idempotent."""


@dataclass(frozen=True, slots=True)
class FfmpegInput:
    """The input of a demuxer. `url` may contain credentials; `where` is its name in errors."""

    url: str = field(repr=False)
    where: str
    kind: Literal["network", "file", "device"]
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    loop: bool = False
    files: DemuxerFiles | None = None
    """Provides the data of a network camera. Owner: the source."""
    in_bursts: bool = False
    """For live sources that deliver several seconds at once: pass packets on in real time."""
    unblock: Callable[[], None] | None = None
    """Interrupts a blocked read. Called from a thread, perhaps repeatedly, until the reading thread has ended."""


async def open_plan(plan: FfmpegInput, config: SourceConfig, *, clock: Clock) -> "FfmpegSource":
    """Raises: SourceError, within `config.open_timeout_s` (the thread may outlive this, and ends by itself)."""
    source = FfmpegSource(plan, config, clock)
    try:
        async with asyncio.timeout(config.open_timeout_s):
            await source.open()
    except TimeoutError as exc:
        await source.close()
        raise SourceTimeoutError(
            sentence(
                "%(where)s did not start to play within %(open_timeout_s)s s: check the URL, and that it "
                "is on.",
                where=plan.where,
                open_timeout_s=f"{config.open_timeout_s:g}",
            )
        ) from exc
    except BaseException:
        await source.close()
        raise
    return source


class FfmpegSource(Source):
    """A camera read by FFmpeg, in a separate thread."""

    def __init__(self, plan: FfmpegInput, config: SourceConfig, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = ()
        self.stats = SourceStats()
        self._plan = plan
        self._config = config
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[tuple[Track, ...]] = self._loop.create_future()
        self._ended: asyncio.Future[SourceError] = self._loop.create_future()
        self._stop = Stop()
        self._thread = threading.Thread(target=self._work, name=f"ffmpeg-{plan.where}"[:40], daemon=True)
        self._is_playing = False  # Owner: the reading thread.
        self._ending: asyncio.Future[None] | None = None
        self._go = threading.Event()
        self._slots = threading.BoundedSemaphore(MAX_QUEUED)
        self._on_packet: OnPacket | None = None
        self._last_packet_ns = 0

    # Event loop ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        self._thread.start()
        await asyncio.wait((self._opened, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            raise self._ended.result()
        self.tracks = self._opened.result()

    async def run(self, on_packet: OnPacket) -> None:
        self._on_packet = on_packet
        self._last_packet_ns = self._clock.monotonic_ns()
        self._go.set()
        limit_s = self._config.read_timeout_s
        while not self._ended.done():
            await asyncio.wait((self._ended,), timeout=min(_TICK_S, limit_s / 4))
            silent_s = (self._clock.monotonic_ns() - self._last_packet_ns) / 1e9
            if silent_s > limit_s and self._plan.kind != "file":
                self._finish(
                    SourceStalledError(
                        sentence("The camera has sent nothing for %(limit_s)s s.", limit_s=f"{limit_s:g}")
                    )
                )
        self._stop.set()
        raise self._ended.result()

    async def close(self) -> None:
        self._stop.set()
        self._go.set()
        self._on_packet = None
        if self._plan.files is not None:
            self._plan.files.close()
        try:
            if self._plan.unblock is not None:
                await self._end_thread(self._plan.unblock)
        finally:
            self._finish(SourceEndedError("The camera was closed."))

    async def _end_thread(self, unblock: Callable[[], None]) -> None:
        """Close devices before they can be reopened, because they allow one reader at a time. Waits at most 1 s,
        once.
        """
        if self._ending is None:
            self._ending = self._loop.create_future()
            # In a separate thread: a driver that hangs here too must not delay others.
            arguments = unblock, self._ending
            threading.Thread(target=self._unblock, args=arguments, name="ffmpeg-end", daemon=True).start()
            await asyncio.wait((self._ending,), timeout=_MAX_CLOSING_S)

    def _unblock(self, unblock: Callable[[], None], ended: "asyncio.Future[None]") -> None:
        for _ in range(round(_MAX_CLOSING_S / _UNBLOCK_EVERY_S)):
            if not self._thread.is_alive():
                break
            unblock()
            self._thread.join(_UNBLOCK_EVERY_S)
        self._call(ended.set_result, None)

    def _deliver(self, packet: Packet) -> None:
        self._slots.release()
        self._last_packet_ns = packet.received_ns
        if self._on_packet is not None and not self._ended.done():
            self._on_packet(packet)

    def _finish(self, error: SourceError) -> None:
        if not self._ended.done():
            self._ended.set_result(error)

    def _announce(self, tracks: tuple[Track, ...]) -> None:
        if not self._opened.done():
            self._opened.set_result(tracks)

    # Reading thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        error: SourceError = SourceEndedError("The camera ended the stream.")
        try:
            self._play()
        except SourceError as exc:
            error = exc
        except MemoryError:
            error = SourceMemoryError(
                sentence(
                    "What %(where)s sends needs more memory than a camera may take: set it to a smaller "
                    "frame size or another format.",
                    where=self._plan.where,
                )
            )
        except (av.error.FFmpegError, OSError, ValueError) as exc:
            scheme = "v4l2" if self._plan.kind == "device" else self._plan.url.partition(":")[0]
            error = translate_av_error(exc, self._plan.where, scheme, is_playing=self._is_playing)
        finally:
            # Otherwise closing caused the error, and `close` ends `run`.
            if not self._stop.is_set():
                self._call(self._finish, error)

    def _play(self) -> None:
        loops = 0
        pace = _Pace(self._clock, self._stop, live=self._plan.kind != "file")
        reader: Reader | None = None
        while not self._stop.is_set():
            with self._open_container() as container:
                if reader is None:
                    reader = Reader(container, self._config, self.stats, self._clock, self._post)
                    self._is_playing = True
                    self._call(self._announce, reader.tracks)
                    self._go.wait()
                else:
                    reader.rewind(container)
                for due, is_video in reader.read(container):
                    if self._stop.is_set():
                        return
                    # Live audio may arrive long before or after its frames, and must not delay them.
                    waits = self._plan.kind == "file" or (self._plan.in_bursts and is_video)
                    if waits and not pace.wait_until(due):
                        return
                    reader.take()
            loops += 1
            if self._plan.kind != "file":
                raise SourceEndedError("The camera closed the connection, or has sent nothing for too long.")
            if not self._plan.loop:
                raise SourceEndedError("The file has ended.")
            if not reader.delivered:
                raise NoVideoError("The file contains no playable video.")

    def _open_container(self) -> InputContainer:
        config = self._config
        timeout: tuple[float, float] | None = None
        if self._plan.kind == "network":
            # FFmpeg reports a stall after two of its read timeouts (the first only flushes the parser), but at once
            # where it waits for a playlist to grow.
            read_timeout_s = config.read_timeout_s / (1 if self._plan.in_bursts else 2)
            timeout = (config.open_timeout_s, read_timeout_s)
        return av.open(
            self._plan.url,
            "r",
            format=self._plan.format,
            options=dict(self._plan.options),
            timeout=timeout,
            io_open=self._plan.files.open if self._plan.files is not None else None,
        )

    def _post(self, packet: Packet) -> None:
        while not self._slots.acquire(timeout=0.5):
            if self._stop.is_set():
                return
        self._call(self._deliver, packet)

    def _call(self, function: object, *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)  # type: ignore[arg-type]  # ours, a few lines above
        except RuntimeError:
            self._stop.set()  # The event loop has ended.


class _Pace:
    """Delays each packet until it is due. Thread: the reading thread."""

    def __init__(self, clock: Clock, stop: Stop, *, live: bool) -> None:
        self._clock = clock
        self._stop = stop
        self._live = live
        self._start: tuple[int, int] | None = None

    def wait_until(self, due: int) -> bool:
        """Wait until the time of `due` (1/90000 s) in real time. Return False if stopped."""
        now_ns = self._clock.monotonic_ns()
        start_ns, start_due = self._start = self._start or (now_ns, due)
        delay_s = (start_ns + (due - start_due) * 100_000 // 9 - now_ns) / 1e9
        if self._live and not -_MAX_LATE_S < delay_s < _MAX_EARLY_S:
            self._start = now_ns, due
            return not self._stop.is_set()
        return not (delay_s > 0 and self._stop.wait_in_thread(min(delay_s, 3600.0)))

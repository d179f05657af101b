"""The pixels of one camera: a `.pixels` socket for each of its streams, and the demand for them.

The socket of `main` also offers the views of processors, whatever stream these are made of. Not here: decoding
(`vision.stream`).
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import NinjacamError, ProcessorError
from ninjacam.core.packets import Kind, StreamInfo, Track
from ninjacam.core.processors import Registration
from ninjacam.core.streams import MAIN, StreamFacts, choose, stream_key
from ninjacam.core.zones import Zone, Zones
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import StreamServer
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.chains import first_view
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.context import Variant
from ninjacam.vision.health import ViewHealth
from ninjacam.vision.stream import DecodedStream
from ninjacam.vision.variants import Variants

logger = logging.getLogger("ninjacam.vision")


@dataclass(frozen=True, slots=True)
class _Stream:
    decoded: DecodedStream
    variants: Variants
    server: StreamServer

    async def close(self) -> None:
        await self.server.close()
        self.variants.close()
        await self.decoded.close()


class CameraPixels:
    """Thread: the event loop. `on_change()`: the status has changed."""

    def __init__(
        self,
        *,
        slug: str,
        camera_id: int,
        run_dir: Path,
        code: ProcessorCode,
        running: RunningFile,
        on_change: Callable[[], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.slug = slug
        self._camera_id = camera_id
        self._run_dir = run_dir
        self._code = code
        self._running = running
        self._on_change = on_change
        self._clock = clock
        self._facts: tuple[StreamFacts, ...] = ()
        self._detect_stream = ""
        self._blamed: dict[str, tuple[int, ProcessorError]] = {}
        self._options: Mapping[str, Mapping[str, Any]] = {}
        self._drawn: tuple[Zone, ...] = ()
        self._zones = Zones()
        self.guest_view = ""
        """The view that replaces the camera's own video for guests; "": none."""
        self._streams: dict[str, _Stream] = {}
        self._rates: dict[str, tuple[int, int, float]] = {}

    async def set_streams(
        self, facts: Iterable[StreamFacts], detect_stream: str = "", *, sleeps: bool = False
    ) -> None:
        """Serve these streams, of which `main` is one. `detect_stream`: for processors; "": chosen by their widths.
        `sleeps`: the camera is connected only for viewers and recordings.

        Raises: ConfigError: a socket cannot be created.
        """
        self._facts, self._detect_stream = tuple(facts), detect_stream
        names = [each.name for each in self._facts]
        for name in [name for name in self._streams if name not in names]:
            await self._streams.pop(name).close()
        for name in names:
            if name not in self._streams:
                stream = self._make_stream(name)
                await stream.server.start()
                self._streams[name] = stream
            self._streams[name].variants.may_wake = not sleeps
        self._meet_demand()

    def _make_stream(self, name: str) -> _Stream:
        key = stream_key(self.slug, name)
        decoded = DecodedStream(
            camera=self.slug,
            path=self._run_dir / f"{key}.packets",
            code=self._code,
            running=self._running,
            on_info=self._describe_all,
            on_health=self._note_errors,
            clock=self._clock,
        )
        decoded.shared.quarantined = self._blamed
        decoded.shared.options = self._options
        decoded.shared.zones = self._zones
        decoded.shared.guest_view = self.guest_view
        variants = Variants(
            self.slug,
            self._camera_id,
            self._code if name == MAIN else None,
            describe=lambda request: self._channel_info(name, request),
            on_demand=lambda request: self._demand(name, request),
        )
        return _Stream(
            decoded, variants, StreamServer(self._run_dir / f"{key}.pixels", variants.find_channel)
        )

    async def close(self) -> None:
        streams, self._streams = self._streams, {}
        await asyncio.gather(*(stream.close() for stream in streams.values()))

    # --- demand ---

    def _source_of(self, name: str, view: str) -> str:
        """Return the stream that a view is made of: the socket's own frames of its stream `name`, views of
        processors of the stream for the role detect.
        """
        if not view:
            return name
        entry = self._code.current.get(first_view(self._code.current, view, self.slug))
        width_px = entry.width_px if isinstance(entry, Registration) else 0
        facts = [each for each in self._facts if each.name in self._streams]
        return choose(facts, override=self._detect_stream, width_px=width_px)

    def _demand(self, name: str, request: StreamRequest) -> None:
        stream = self._streams.get(name)
        if stream is None:
            return  # It is closed, and its subscribers disconnect one after the other.
        is_first = stream.variants.count_subscribers(request) == 1
        decoded = self._streams[self._source_of(name, request.view)].decoded
        was_decoding = decoded.is_decoding
        self._meet_demand()
        if is_first and was_decoding:
            decoded.show_state()
        self._on_change()

    def _meet_demand(self) -> None:
        wanted: dict[str, list[Variant]] = {name: [] for name in self._streams}
        for name, stream in self._streams.items():
            for variant in stream.variants.wanted():
                wanted[self._source_of(name, variant.request.view)].append(variant)
        for name, variants in wanted.items():
            self._streams[name].decoded.make(tuple(variants))

    @property
    def is_watched(self) -> bool:
        """Whether its frames are being decoded."""
        return any(stream.decoded.is_decoding for stream in self._streams.values())

    # --- messages to subscribers ---

    def _channel_info(self, name: str, request: StreamRequest) -> StreamInfo:
        source = self._source_of(name, request.view)
        decoded = self._streams[source].decoded
        health = decoded.shared.health.get(request.view)
        error = health.error.as_dict() if health is not None and health.error is not None else None
        return StreamInfo(
            self.slug,
            (Track(Kind.VIDEO, request.codec),),
            decoded.info.state,
            decoded.info.error,
            decoded.info.epoch,
            {"view": request.view, "view_error": error, "stream": source},
        )

    def _describe_all(self) -> None:
        for stream in self._streams.values():
            stream.variants.describe_all()

    # --- health ---

    def _note_errors(self) -> None:
        self._describe_all()
        self._on_change()

    def set_quarantine(self, entries: list[dict[str, Any]]) -> None:
        """Set the engine's list of views that crashed their worker."""
        self._blamed = {
            entry["view"]: (
                entry["until_ns"],
                ProcessorError(entry["error"]["message"], traceback=entry["error"].get("traceback", "")),
            )
            for entry in entries
        }
        for stream in self._streams.values():
            stream.decoded.shared.quarantined = self._blamed

    def set_options(self, options: Mapping[str, Mapping[str, Any]]) -> None:
        """Set the values of the options of this camera's processors: view -> name -> value."""
        if options == self._options:
            return
        self._options = options
        for stream in self._streams.values():
            stream.decoded.shared.options = options
            stream.decoded.retry_failed()

    def set_off(self, names: Collection[str]) -> None:
        """Set the processors that do not run for this camera. Their viewers are disconnected."""
        if not self._code.set_off(self.slug, names):
            return
        for stream in self._streams.values():
            stream.variants.close_views_off()
        self._meet_demand()
        self._on_change()

    def set_zones(self, zones: Iterable[Zone]) -> None:
        """Set the camera's zones, lines and masks. Processors find them in their next frame."""
        drawn = tuple(zones)
        if drawn == self._drawn:
            return  # Their masks stay.
        self._drawn, self._zones = drawn, Zones(drawn)
        for stream in self._streams.values():
            stream.decoded.shared.zones = self._zones
            stream.decoded.retry_failed()

    def set_guest_view(self, view: str) -> None:
        self.guest_view = view
        for stream in self._streams.values():
            stream.decoded.shared.guest_view = view

    def code_changed(self) -> None:
        """The code was saved: retry all views at once. Others may be recorded now, or need another stream."""
        for stream in self._streams.values():
            stream.decoded.retry_views()
        self._meet_demand()

    def check_stall(self) -> None:
        """Called often: abandon the threads of views that are stuck in user code; everything else continues."""
        for stream in self._streams.values():
            stream.decoded.check_stall()

    @property
    def abandoned_threads(self) -> int:
        return sum(stream.decoded.abandoned_threads for stream in self._streams.values())

    def status(self) -> dict[str, Any]:
        now_ns = self._clock.monotonic_ns()
        return {view: self._view_status(view, now_ns) for view in ["", *self._code.views(self.slug)]}

    def scene(self) -> dict[str, Any]:
        """Return the figures of what the camera shows, and "software_reason", why the hardware of the settings does
        not decode it; empty if no stream is being decoded.
        """
        now_ns = self._clock.monotonic_ns()
        for stream in self._streams.values():
            shared = stream.decoded.shared
            if figures := shared.scene.report(now_ns):
                return {**figures, "software_reason": shared.software_reason}
        return {}

    def _view_status(self, view: str, now_ns: int) -> dict[str, Any]:
        source = self._source_of(MAIN, view)
        shared = self._streams[source].decoded.shared
        health = shared.health.get(view) or ViewHealth()
        variants = [variant for variant in shared.variants if variant.request.view == view]
        waits = bool(variants) and all(variant.waits_for_motion for variant in variants)
        entry = self._code.current.get(view)
        errors: tuple[NinjacamError | None, ...] = (
            health.error,
            entry if isinstance(entry, ProcessorError) else None,
            shared.resting(view, now_ns),
        )
        error = next((each.as_dict() for each in errors if each is not None), None)
        return {
            "state": _state(bool(error), bool(variants), is_waiting=waits and not shared.attention.is_awake),
            "error": error,
            "stream": source,
            **health.report(),
            "skipped_share": shared.attention.gate.skipped_share if waits else None,
            "fps": self._rate(view, health.frames, now_ns),
            "encodings": self._streams[MAIN].variants.count_encodings(view),
        }

    def _rate(self, view: str, frames: int, now_ns: int) -> float:
        before, at_ns, rate = self._rates.get(view, (frames, now_ns, 0.0))
        elapsed_s = (now_ns - at_ns) / 1e9
        if view not in self._rates or elapsed_s >= 0.9:
            rate = round((frames - before) / elapsed_s, 2) if elapsed_s > 0 else 0.0
            self._rates[view] = (frames, now_ns, rate)
        return rate


def _state(has_failed: bool, is_running: bool, *, is_waiting: bool) -> str:
    if has_failed:
        return "failed"
    if not is_running:
        return "idle"
    return "waiting" if is_waiting else "running"

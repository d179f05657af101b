"""The thread of one watched camera: packets in, decoded once, each view made once, each encoding of it made once.

Latest wins: pictures that are late while newer ones wait are decoded, because the next ones need them, and not shown.
Not here: sockets and demand (`vision.camera`, in the event loop, which owns this thread).
"""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import DecodeError, EncodeError, NinjacamError, ProcessorError
from ninjacam.core.frames import Frame
from ninjacam.core.packets import VIDEO_CLOCK_HZ, CameraState, Codec, Flags, Kind, Packet, StreamInfo
from ninjacam.core.processors import Processor
from ninjacam.hub.request import Request
from ninjacam.hub.running import RunningFile, running_words
from ninjacam.hub.server import Channel
from ninjacam.vision.code import ProcessorCode, ProcessorStalled, interrupt, one_line, user_traceback
from ninjacam.vision.pictures import Decoder, H264Encoder, Picture, check_picture, encode_jpeg, fit_width
from ninjacam.vision.placeholder import message_picture

logger = logging.getLogger("ninjacam.vision")

LATE_NS = 100_000_000
"""A picture older than this is left out while a newer one waits."""
MOST_BACKLOG = 100
"""Packets that wait; beyond it, decoding cannot keep up and skips to a key frame."""
PLACEHOLDER_EVERY_S = 1.0
FAILING_EVERY_NS = 500_000_000
"""A view that raises is called again twice a second, not at each frame."""
DEFAULT_FPS = 25.0
HOW_TO_SEE_MORE = "Who may configure the camera finds the traceback on its page."
"""Every viewer sees the picture, and a traceback tells of the server's files."""

TITLES = {
    CameraState.CONNECTING: "Connecting",
    CameraState.STALLED: "No picture",
    CameraState.RECONNECTING: "Reconnecting",
    CameraState.FAILED: "Camera not available",
    CameraState.DISABLED: "Camera switched off",
    CameraState.UNKNOWN: "Reconnecting",
}


@dataclass(slots=True)
class Variant:
    """One encoding of one view, and who gets it. The thread owns everything but `channel`, which it only hands on."""

    request: Request
    channel: Channel
    encoder: H264Encoder | None = None
    size: tuple[int, int] = (0, 0)
    due_ns: int = 0
    sequence: int = 0
    failing: bool = False


@dataclass(slots=True)
class ViewHealth:
    """Of one view. Written by the thread, read by the loop."""

    error: ProcessorError | None = None
    next_try_ns: int = 0
    cost_ns: float = 0.0
    frames: int = 0
    last_image: Any = None


@dataclass(slots=True)
class Shared:
    """What outlives a thread that had to be abandoned. `variants` is replaced whole by the loop."""

    variants: tuple[Variant, ...] = ()
    health: dict[str, ViewHealth] = field(default_factory=dict)
    quarantine: dict[str, tuple[int, ProcessorError]] = field(default_factory=dict)
    """View -> (until, monotonic ns; why)."""


Publish = Callable[[list[tuple[Channel, Packet]]], None]


class Pipeline:
    """`publish(pairs)` and `on_health()` are called in the thread and must hand over to the loop themselves."""

    def __init__(
        self,
        *,
        camera: str,
        code: ProcessorCode,
        shared: Shared,
        running: RunningFile,
        publish: Publish,
        on_health: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._camera = camera
        self._code = code
        self._shared = shared
        self._running = running
        self._slot = running.take_slot()
        self._publish = publish
        self._on_health = on_health
        self._clock = clock
        self._queue: queue.SimpleQueue[Packet | StreamInfo | None] = queue.SimpleQueue()
        self._info = StreamInfo(camera)
        self._down = True
        self._decoder: Decoder | None = None
        self._needs_key = True
        self._number = 0
        self._frame_ns = 1e9 / DEFAULT_FPS
        self._last_pts = 0
        self.calling: tuple[str, int] | None = None
        """(view, since monotonic ns) while user code runs. Read by the loop's watchdog."""
        self.abandoned = False
        self.broken = False
        """Whether the thread has ended by itself."""
        self._thread = threading.Thread(target=self._run, name=f"vision-{camera}", daemon=True)
        self._thread.start()

    # --- called in the loop ---

    def put(self, packet: Packet) -> None:
        if self._queue.qsize() > MOST_BACKLOG:
            self._needs_key = True
            if not packet.is_key:
                return
        self._queue.put(packet)

    def put_info(self, info: StreamInfo | None) -> None:
        """None: the camera's stream is gone for the moment."""
        self._queue.put(info or StreamInfo(self._camera, state=CameraState.UNKNOWN))

    def stop(self) -> None:
        self._queue.put(None)

    def abandon(self) -> None:
        """Leave the thread to itself: user code does not return. It is asked to end at its next bytecode."""
        self.abandoned = True
        self._queue.put(None)
        interrupt(self._thread)

    # --- the thread ---

    def _run(self) -> None:
        try:
            self._loop()
        except ProcessorStalled:
            pass
        except BaseException:  # a bug of ours must not end in silence; `CameraPixels` starts another thread
            logger.exception("%s: the vision thread ended by a bug", self._camera)
            self.broken = True
        finally:
            self._running.give_back(self._slot)

    def _loop(self) -> None:
        while not self.abandoned:
            try:
                item = self._queue.get(timeout=PLACEHOLDER_EVERY_S if self._down else None)
            except queue.Empty:
                self._show_down()
                continue
            if item is None:
                return
            if isinstance(item, StreamInfo):
                self._info = item
                self._down = item.state is not CameraState.LIVE
                if self._down:
                    self._needs_key = True
                    self._show_down()
            else:
                self._handle(item)

    def _handle(self, packet: Packet) -> None:
        if self._needs_key:
            if not packet.is_key:
                return
            self._needs_key = False
            self._decoder = None
        if self._decoder is None or self._decoder.codec is not packet.codec:
            self._decoder = Decoder(packet.codec)
        if 0 < packet.pts - self._last_pts < VIDEO_CLOCK_HZ:
            step_ns = (packet.pts - self._last_pts) * 1e9 / VIDEO_CLOCK_HZ
            self._frame_ns += (step_ns - self._frame_ns) / 16
        self._last_pts = packet.pts
        try:
            pictures = self._decoder.decode(packet)
        except DecodeError as exc:
            logger.debug("%s: %s", self._camera, exc)
            return
        if self._queue.qsize() and self._clock.monotonic_ns() - packet.received_ns > LATE_NS:
            return
        for picture in pictures[-1:]:
            self._show(picture, packet)

    def _show(self, picture: Picture, packet: Packet) -> None:
        variants = self._shared.variants
        now_ns = self._clock.monotonic_ns()
        due = [variant for variant in variants if self._is_due(variant, now_ns)]
        pairs: list[tuple[Channel, Packet]] = []
        for view in dict.fromkeys(variant.request.view for variant in due):
            image = self._make(view, picture, packet, now_ns)
            if self.abandoned:
                return
            if image is not None:
                pairs += self._encode([v for v in due if v.request.view == view], image, packet)
        self._number += 1
        if pairs:
            self._publish(pairs)

    def _is_due(self, variant: Variant, now_ns: int) -> bool:
        if not variant.request.most_fps:
            return True
        if now_ns < variant.due_ns:
            return False
        period_ns = int(1e9 / variant.request.most_fps)
        variant.due_ns = max(variant.due_ns + period_ns, now_ns - period_ns // 2)
        return True

    def _health(self, view: str) -> ViewHealth:
        return self._shared.health.setdefault(view, ViewHealth())

    def _make(self, view: str, picture: Picture, packet: Packet, now_ns: int) -> Any:
        """The view's image, or the readable picture of its failure; None: nothing new to show."""
        health = self._health(view)
        if health.error is not None and now_ns < health.next_try_ns:
            return None
        try:
            image = picture.bgr() if not view else self._process(view, picture, packet, now_ns, health)
        except ProcessorError as exc:
            health.next_try_ns = now_ns + FAILING_EVERY_NS
            self._set_error(health, exc)
            return message_picture(f"{view}: not working", [exc.message, HOW_TO_SEE_MORE], picture.bgr())
        except DecodeError as exc:
            logger.debug("%s: %s", self._camera, exc)
            return None
        if self.abandoned:
            return None  # it came back after all; its error stands until it is tried again
        self._set_error(health, None)
        health.frames += 1
        health.last_image = image
        return image

    def _set_error(self, health: ViewHealth, error: ProcessorError | None) -> None:
        if (health.error is None) != (error is None) or (
            error is not None and health.error is not None and str(error) != str(health.error)
        ):
            health.error = error
            self._on_health()

    def _process(self, view: str, picture: Picture, packet: Packet, now_ns: int, health: ViewHealth) -> Any:
        """Raises: ProcessorError."""
        until_ns, why = self._shared.quarantine.get(view, (0, None))
        if why is not None and now_ns < until_ns:
            raise why
        entry = self._code.current.get(view)
        if entry is None:
            raise ProcessorError(f"There is no processor {view!r} any more.")
        if isinstance(entry, ProcessorError):
            raise entry
        frame = Frame(
            camera=self._camera,
            number=self._number,
            pts_s=packet.pts / VIDEO_CLOCK_HZ,
            captured_ns=packet.captured_ns,
            received_ns=packet.received_ns,
            width=picture.width,
            height=picture.height,
            load_bgr=picture.bgr,
            load_gray=picture.gray,
        )
        returned = self._call(entry, frame)
        health.cost_ns += (self._clock.monotonic_ns() - now_ns - health.cost_ns) / 8
        try:
            return check_picture(frame.image if returned is None else returned)
        except EncodeError as exc:
            raise ProcessorError(f"{view}: {exc}") from exc

    def _call(self, entry: Processor, frame: Frame) -> Any:
        """The boundary to user code."""
        self._running.enter(self._slot, running_words(self._camera, entry.name))
        self.calling = (entry.name, self._clock.monotonic_ns())
        try:
            return entry.call(frame)
        except ProcessorStalled:
            raise
        except (
            BaseException
        ) as exc:  # KeyboardInterrupt and CancelledError too: the thread is not theirs to end
            raise ProcessorError(f"{entry.name}: {one_line(exc)}", traceback=user_traceback(exc)) from exc
        finally:
            self.calling = None
            self._running.leave(self._slot)

    # --- encoding ---

    def _encode(self, variants: list[Variant], image: Any, packet: Packet) -> list[tuple[Channel, Packet]]:
        pairs: list[tuple[Channel, Packet]] = []
        scaled: dict[int, Any] = {}
        for variant in variants:
            width = variant.request.width_px
            try:
                if width not in scaled:
                    scaled[width] = fit_width(image, width)
                pairs += [
                    (variant.channel, made) for made in self._encode_one(variant, scaled[width], packet)
                ]
                variant.failing = False
            except NinjacamError as exc:
                if not variant.failing:
                    logger.warning("%s/%s: %s", self._camera, variant.request.view, exc)
                variant.failing = True
        return pairs

    def _encode_one(self, variant: Variant, image: Any, source: Packet) -> list[Packet]:
        height, width = image.shape[:2]
        flags = source.flags & Flags.DISCONT
        if variant.size != (width, height):
            variant.size = (width, height)
            variant.encoder = None
            flags |= Flags.CONFIG
        if variant.request.codec is Codec.MJPEG:
            units = [(encode_jpeg(image, variant.request.quality), True)]
        else:
            if variant.encoder is None:
                fps = variant.request.most_fps or 1e9 / self._frame_ns
                variant.encoder = H264Encoder(width, height, fps)
                flags |= Flags.CONFIG
            width, height = variant.encoder.width, variant.encoder.height
            units = list(variant.encoder.encode(image, source.pts))
        packets = []
        for data, is_key in units:
            variant.sequence += 1
            packets.append(
                Packet(
                    Kind.VIDEO, variant.request.codec, data, source.pts, source.received_ns,
                    duration=int(self._frame_ns * VIDEO_CLOCK_HZ / 1e9),
                    flags=flags | (Flags.KEY if is_key else Flags.NONE),
                    captured_ns=source.captured_ns, sequence=variant.sequence, width_px=width, height_px=height,
                )
            )  # fmt: skip
        return packets

    def _show_down(self) -> None:
        """Say in every view that the camera is away, and why; once a second, so that late viewers see it too."""
        state, error = self._info.state, self._info.error
        lines = [str(error["message"])] if error else []
        now_ns = self._clock.monotonic_ns()
        self._last_pts += int(PLACEHOLDER_EVERY_S * VIDEO_CLOCK_HZ)
        source = Packet(
            Kind.VIDEO,
            Codec.NONE,
            b"",
            self._last_pts,
            now_ns,
            flags=Flags.DISCONT,
            captured_ns=self._clock.wall_ns(),
        )
        pairs: list[tuple[Channel, Packet]] = []
        variants = self._shared.variants
        for view in dict.fromkeys(variant.request.view for variant in variants):
            background = self._health(view).last_image
            image = message_picture(f"{self._camera}: {TITLES.get(state, 'No picture')}", lines, background)
            pairs += self._encode([v for v in variants if v.request.view == view], image, source)
        if pairs:
            self._publish(pairs)

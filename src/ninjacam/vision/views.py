"""One view of one camera: either unprocessed or processed by user code, encoded once for all viewers.

Not here: decoding (`vision.pipeline`), sockets and demand (`vision.camera`).
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from av.video.reformatter import VideoReformatter

from ninjacam.core.annotations import AnnotationSet, encode_annotation_set
from ninjacam.core.errors import DecodeError, NinjacamError, ProcessorError
from ninjacam.core.frames import Area, Frame
from ninjacam.core.packets import VIDEO_CLOCK_HZ, CameraState, Codec, Flags, Kind, Packet, StreamInfo
from ninjacam.core.processor_values import add_values
from ninjacam.core.processors import Registration
from ninjacam.core.results import Result
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.hub.server import Channel
from ninjacam.vision.cadence import Cadence
from ninjacam.vision.calling import Returned
from ninjacam.vision.chains import Preceding, broken_chain
from ninjacam.vision.code import ProcessorStalled, interrupt
from ninjacam.vision.context import Variant, ViewContext
from ninjacam.vision.health import ViewHealth
from ninjacam.vision.images import DecodedFrame, H264Encoder, encode_jpeg, fit_width
from ninjacam.vision.instance import Instance
from ninjacam.vision.placeholder import message_image

logger = logging.getLogger("ninjacam.vision")

LATE_NS = 100_000_000
"""A frame older than this is skipped while a newer one waits."""
MAX_WAITING = 4
"""Maximum number of frames that wait for slow user code; the oldest are dropped first."""
FAILING_EVERY_NS = 500_000_000
"""A view that raises is called again twice a second, not at each frame."""
LINGER_NS = 1_000_000_000
"""Seconds that a view keeps its processor without viewers, so that reloading a page does not reset its state."""
NOTHING = Returned(None)
HOW_TO_SEE_MORE = "If you may configure this camera, its page shows the traceback."
"""Shown to every viewer, so without the traceback, which reveals the server's files."""

TITLES = {
    CameraState.CONNECTING: "Connecting",
    CameraState.STALLED: "No video",
    CameraState.RECONNECTING: "Reconnecting",
    CameraState.ASLEEP: "Camera asleep",
    CameraState.FAILED: "Camera not available",
    CameraState.DISABLED: "Camera disabled",
    CameraState.UNKNOWN: "Reconnecting",
}


@dataclass(frozen=True, slots=True)
class ViewInput:
    """The input of a view at one moment. `frame`: None while the camera is unavailable, for the reason in `info`.
    `motion`: what moves, if a processor waits for that. `is_awake`: whether such processors receive this frame.
    `preceding`: what the processors before it returned; None: it starts a chain.
    """

    frame: DecodedFrame | None
    packet: Packet
    number: int
    frame_ns: float
    info: StreamInfo
    motion: tuple[Area, ...] = ()
    is_awake: bool = True
    preceding: Preceding | None = None


@dataclass(slots=True)
class _Encoding:
    """State of a variant that belongs to the thread that makes it."""

    encoder: H264Encoder | None = None
    size: tuple[int, int] = (0, 0)
    cadence: Cadence = field(default_factory=Cadence)
    has_begun: bool = False


class ViewMaker:
    """Makes and encodes one view ("": the camera itself). Thread: one at a time, and always the same."""

    def __init__(self, view: str, context: ViewContext) -> None:
        self.view = view
        self.abandoned = False
        self.preceding = Preceding()
        """For the views that run after this one: the result for the last frame."""
        self.instance = Instance(context.camera, view, context.running, context.clock)
        self._context = context
        self.health = context.shared.health.setdefault(view, ViewHealth())
        self._reformatter = VideoReformatter()
        self._cadence = Cadence()
        self._encodings: dict[Variant, _Encoding] = {}

    def take_turn(self) -> None:
        """Wait until the processor may be called for this camera; `make` gives the turn back."""
        self.instance.take_turn(self._context.code.current.get(self.view))

    def make(self, view_input: ViewInput) -> None:
        """Publish `view_input` in each variant that has subscribers and is due."""
        try:
            self._make_due(view_input)
        finally:
            self.instance.give_back_turn()

    def _make_due(self, view_input: ViewInput) -> None:
        self.preceding = replace(self.preceding, is_new=False)
        now_ns = self._context.clock.monotonic_ns()
        entry = self._context.code.current.get(self.view)
        if _is_skipped(entry, view_input):
            return
        fps = entry.fps if isinstance(entry, Registration) and view_input.frame is not None else 0.0
        due = self._find_due(self._find_awake(view_input), fps, now_ns)
        if not due:
            return
        if fps:
            view_input = replace(view_input, frame_ns=max(view_input.frame_ns, 1e9 / fps))
        made = self._make(view_input, now_ns, with_image=any(variant.is_video for variant in due))
        self._keep_result(made.result, view_input)
        if not self.abandoned:
            self._publish(made, due, view_input)

    def _publish(self, made: Returned, due: list[Variant], view_input: ViewInput) -> None:
        pairs: list[tuple[Channel, Packet]] = []
        if made.image is not None:
            pairs = self._encode([variant for variant in due if variant.is_video], made.image, view_input)
        others = [variant for variant in due if variant.has_output and not variant.is_video]
        pairs += self._encode_annotations(others, made.annotation_set, view_input)
        if pairs and not self.abandoned:
            self._context.publish(pairs)

    def _keep_result(self, result: Result | None, view_input: ViewInput) -> None:
        if result is not None:
            before = view_input.preceding.results if view_input.preceding is not None else {}
            self.preceding = Preceding({**before, self.view: result}, is_new=True)
        elif view_input.frame is not None:
            self.preceding = Preceding(error=self.health.error)

    def _encode_annotations(
        self, variants: list[Variant], annotation_set: AnnotationSet | None, view_input: ViewInput
    ) -> list[tuple[Channel, Packet]]:
        if annotation_set is None or not variants:
            return []
        data = encode_annotation_set(self.view, view_input.packet.captured_ns, annotation_set)
        return [(each.channel, self._packet(each, data, view_input, Flags.KEY)) for each in variants]

    def _find_awake(self, view_input: ViewInput) -> list[Variant]:
        """Return the variants of this view, without those that wait for motion while nothing moves."""
        return [
            each
            for each in self._context.shared.variants
            if each.request.view == self.view and (view_input.is_awake or not each.waits_for_motion)
        ]

    def _find_due(self, variants: list[Variant], fps: float, now_ns: int) -> list[Variant]:
        """Return those of the variants that get a frame now. While the processor gets none, because of its frame rate,
        these are the ones that have had none, because a viewer waits for the first.
        """
        self._encodings = {v: self._encodings.get(v) or _Encoding() for v in variants}
        if not variants:
            return []
        encodings, only_new = self._encodings, not self._cadence.is_due(fps, now_ns)
        found = [v for v in variants if not (only_new and encodings[v].has_begun)]
        due = [v for v in found if encodings[v].cadence.is_due(v.request.max_fps, now_ns)]
        for variant in due:
            encodings[variant].has_begun = True
        return due

    def _make(self, view_input: ViewInput, now_ns: int, *, with_image: bool) -> Returned:
        """Return the view's result; if it fails, an image that shows the reason."""
        health = self.health
        if view_input.frame is None:
            if not with_image:
                return NOTHING
            error = for_viewers(view_input.info.error)  # All viewers of the view see this image.
            title = f"{self._context.camera}: {TITLES.get(view_input.info.state, 'No video')}"
            lines = [str(error["message"])] if error else []
            return Returned(message_image(title, lines, self._background()))
        if health.error is not None and now_ns < health.next_try_ns:
            return NOTHING
        decoded_frame = view_input.frame.for_thread(self._reformatter)
        try:
            made = (
                self._process(decoded_frame, view_input, now_ns, with_image)
                if self.view
                else Returned(decoded_frame.bgr())
            )
        except ProcessorError as exc:
            health.next_try_ns = now_ns + FAILING_EVERY_NS
            self._set_error(exc)
            if not with_image:
                return NOTHING
            lines = [exc.message, HOW_TO_SEE_MORE]
            return Returned(message_image(f"{self.view}: not working", lines, self._background()))
        except DecodeError as exc:
            logger.debug("%s: %s", self._context.camera, exc)
            return NOTHING
        if self.abandoned:
            return NOTHING  # It returned after all; its error is shown until it is tried again.
        self._set_error(None)
        health.frames += 1
        if made.image is not None:
            health.last_image = made.image
        return made

    @property
    def _is_for_guests(self) -> bool:
        return bool(self.view) and self.view == self._context.shared.guest_view

    def _background(self) -> Any:
        """Return the image behind a message; None: none.

        Not the frame, because viewers of a view that hides something must not see it; and nothing for guests, because
        earlier code may have hidden less.
        """
        return None if self._is_for_guests else self.health.last_image

    def _set_error(self, error: ProcessorError | None) -> None:
        if (error is None) != (self.health.error is None) or str(error) != str(self.health.error):
            self.health.error = error
            self._context.on_health()

    def _process(
        self, decoded_frame: DecodedFrame, view_input: ViewInput, now_ns: int, with_image: bool
    ) -> Returned:
        """Raises: ProcessorError."""
        resting = self._context.shared.resting(self.view, now_ns)
        if resting is not None:
            raise resting
        entry = self._context.code.current.get(self.view)
        if entry is None:
            raise ProcessorError(f"The processor {self.view!r} no longer exists.")
        if isinstance(entry, ProcessorError):
            raise entry
        frame = Frame(
            camera=self._context.camera,
            number=view_input.number,
            pts_s=view_input.packet.pts / VIDEO_CLOCK_HZ,
            captured_ns=view_input.packet.captured_ns,
            received_ns=view_input.packet.received_ns,
            width=decoded_frame.width,
            height=decoded_frame.height,
            load_bgr=decoded_frame.bgr,
            load_gray=decoded_frame.gray,
            results=_results_before(entry, view_input.preceding, for_guests=self._is_for_guests),
            motion=view_input.motion,
            zones=self._context.shared.zones,
        )
        self.health.begin(entry)
        try:
            values = self._context.shared.options.get(self.view, {})
            returned = self.instance.call(entry, frame, with_image=with_image, values=values)
            if self._is_for_guests:
                _check_shows_image(self.view, returned.result)
        except ProcessorError as exc:
            self.health.failed(self._context.camera, exc, self._context.clock)
            if self._context.failures is not None:
                self._context.failures.keep(entry, frame, decoded_frame.bgr, exc, values)
            raise
        self.health.option_problems = self.instance.option_problems
        if returned.values:
            self.health.values = returned.values
            add_values(self._context.camera, self.view, frame.captured_ns, returned.values)
        self.health.took(self._context.clock.monotonic_ns() - now_ns)
        return returned

    def _encode(
        self, variants: list[Variant], image: Any, view_input: ViewInput
    ) -> list[tuple[Channel, Packet]]:
        pairs: list[tuple[Channel, Packet]] = []
        scaled: dict[int, Any] = {}
        for variant in variants:
            width = variant.request.width_px
            try:
                if width not in scaled:
                    scaled[width] = fit_width(image, width)
                pairs += [
                    (variant.channel, made) for made in self._encode_one(variant, scaled[width], view_input)
                ]
                variant.failing = False
            except NinjacamError as exc:
                if not variant.failing:
                    logger.warning("%s/%s: %s", self._context.camera, self.view, exc)
                variant.failing = True
        return pairs

    def _encode_one(self, variant: Variant, image: Any, view_input: ViewInput) -> list[Packet]:
        height, width = image.shape[:2]
        source, encoding = view_input.packet, self._encodings[variant]
        flags = source.flags & Flags.DISCONT
        if encoding.size != (width, height):
            encoding.size = (width, height)
            encoding.encoder = None
            flags |= Flags.CONFIG
        if variant.request.codec is Codec.MJPEG:
            units = [(encode_jpeg(image, variant.request.quality), True)]
        else:
            if encoding.encoder is None:
                fps = variant.request.max_fps or 1e9 / view_input.frame_ns
                encoding.encoder = H264Encoder(width, height, fps)
                flags |= Flags.CONFIG
            width, height = encoding.encoder.width, encoding.encoder.height
            units = list(encoding.encoder.encode(image, source.pts))
        return [
            self._packet(
                variant, data, view_input, flags | (Flags.KEY if is_key else Flags.NONE), width, height
            )
            for data, is_key in units
        ]

    def _packet(
        self,
        variant: Variant,
        data: bytes,
        view_input: ViewInput,
        flags: int,
        width_px: int = 0,
        height_px: int = 0,
    ) -> Packet:
        variant.sequence += 1
        source = view_input.packet
        return Packet(
            Kind.VIDEO, variant.request.codec, data, source.pts, source.received_ns,
            duration=int(view_input.frame_ns * VIDEO_CLOCK_HZ / 1e9), flags=flags,
            captured_ns=source.captured_ns, sequence=variant.sequence, width_px=width_px, height_px=height_px,
        )  # fmt: skip


def _is_skipped(entry: Registration | ProcessorError | None, view_input: ViewInput) -> bool:
    """Return whether a processor does not get this frame, because the one before it in its chain skipped it."""
    if view_input.frame is None or view_input.preceding is None or not isinstance(entry, Registration):
        return False
    return not (entry.every_frame or view_input.preceding.is_new or view_input.preceding.error)


def _check_shows_image(view: str, result: Result | None) -> None:
    """Raises: ProcessorError: annotations without an image, which players draw over the camera's own video."""
    if result is not None and result.image is None and result.annotations is not None:
        raise ProcessorError(
            f"{view}: it returned annotations without an image, and its view replaces the camera's own video for "
            "guests. Return an image with them, such as (frame.image, annotations)."
        )


def _results_before(
    entry: Registration, preceding: Preceding | None, *, for_guests: bool
) -> Mapping[str, Result]:
    """Raises: ProcessorError: its chain is broken, or the processor before it does not work. `for_guests`: without the
    name and the error of that processor, which has a view of its own.
    """
    if not entry.after:
        return {}
    if for_guests and (preceding is None or preceding.error is not None):
        raise ProcessorError(f"{entry.name}: the processor that it runs after is missing or does not work.")
    if preceding is None:
        raise broken_chain(entry.name, entry.after)
    if preceding.error is not None:
        raise ProcessorError(f"{entry.name}: it runs after {entry.after}. {preceding.error.message}")
    return preceding.results


class ViewThread:
    """Each view runs user code in its own thread, so that it delays nothing else. `followers`: the threads that get its
    frames afterwards, with its results.
    """

    def __init__(self, view: str, context: ViewContext) -> None:
        self.maker = ViewMaker(view, context)
        self.followers: tuple[ViewThread, ...] = ()
        self.broken = False
        """Whether the thread has ended by itself."""
        self._clock = context.clock
        self._waiting: deque[ViewInput] = deque(maxlen=MAX_WAITING)
        self._ready = threading.Event()
        self._stopped = False
        self._offered_ns = self._clock.monotonic_ns()
        self._name = f"{context.camera}/{view}"
        self._thread = threading.Thread(target=self._run, name=f"view-{self._name}", daemon=True)
        self._thread.start()

    @property
    def has_lingered(self) -> bool:
        """Return whether it has received nothing for the time after which a view is considered unused."""
        return self._clock.monotonic_ns() - self._offered_ns > LINGER_NS

    def offer(self, view_input: ViewInput) -> None:
        self._offered_ns = self._clock.monotonic_ns()
        if len(self._waiting) == MAX_WAITING:
            self.maker.health.dropped += 1
        self._waiting.append(view_input)
        self._ready.set()

    def _pass_on(self, view_input: ViewInput) -> None:
        if self.followers and not self.maker.abandoned:
            passed = replace(view_input, preceding=self.maker.preceding)
            for follower in self.followers:
                follower.offer(passed)

    def stop(self) -> None:
        self._stopped = True
        self._ready.set()

    def abandon(self) -> None:
        """Abandon the thread, because user code does not return. It is asked to end at its next bytecode."""
        self.maker.abandoned = True
        self.maker.instance.abandon()
        self.stop()
        interrupt(self._thread)

    def _run(self) -> None:
        try:
            self._loop()
        except ProcessorStalled:
            pass
        except BaseException:  # Bugs must be logged; the pipeline starts another thread.
            logger.exception("%s: the view's thread ended by a bug", self._name)
            self.broken = True
        finally:
            self.maker.instance.give_back_turn()
            self.maker.instance.end()

    def _loop(self) -> None:
        while True:
            self._ready.wait()
            self._ready.clear()
            while self._waiting and not self._stopped:
                self.maker.take_turn()  # Newer frames may arrive meanwhile.
                view_input = self._waiting.popleft()
                age_ns = self._clock.monotonic_ns() - view_input.packet.received_ns
                if self._waiting and age_ns > LATE_NS:
                    self.maker.health.dropped += 1
                    continue
                self.maker.make(view_input)
                self._pass_on(view_input)
            if self._stopped:
                return

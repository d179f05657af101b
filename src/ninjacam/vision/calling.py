"""The boundary to user code: calls processors, and validates what they return: an image, annotations, or both."""

import contextlib
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import av
from av.video.reformatter import VideoReformatter

from ninjacam.core.annotations import AnnotationSet, are_annotations, to_annotation_set
from ninjacam.core.errors import ConfigError, DecodeError, EncodeError, ProcessorError
from ninjacam.core.event_calls import EventRecord, EventSnapshot
from ninjacam.core.frames import Frame
from ninjacam.core.options import fit_options
from ninjacam.core.processors import Processor, Registration
from ninjacam.core.results import Result, to_event_data, to_values
from ninjacam.core.zones import Zones
from ninjacam.vision.attention import Attention
from ninjacam.vision.chains import resolve_chain, uses_motion
from ninjacam.vision.code import ProcessorCode, ProcessorStalled, one_line, user_traceback
from ninjacam.vision.drawing import draw_annotations
from ninjacam.vision.images import DecodedFrame, check_image

T = TypeVar("T")


NO_VALUES: Mapping[str, float] = MappingProxyType({})


class Returned(NamedTuple):
    """`image`: as returned by `check_image`, or None if not requested. `annotation_set`: None without annotations.
    `result`: for the processors that run afterwards; None: no processor was called. `values`: by name.
    """

    image: Any
    annotation_set: AnnotationSet | None = None
    result: Result | None = None
    values: Mapping[str, float] = NO_VALUES


class NewProcessor(NamedTuple):
    """An instance that is set up. `problems`: name of an option -> why its value is not used."""

    processor: Processor
    problems: dict[str, str]


def new_processor(entry: Registration, camera: str, values: Mapping[str, Any] | None = None) -> NewProcessor:
    """Create an instance for one camera, with these values of its options. Raises: ProcessorError; ProcessorStalled."""

    def create() -> NewProcessor:
        fitted = None if entry.options is None else fit_options(entry.options, values or {})
        made = entry.make()
        made.camera, made.name = camera, entry.name
        made.setup(camera, None if fitted is None else fitted.options)
        return NewProcessor(made, {} if fitted is None else fitted.problems)

    return _guarded(entry.name, create)


def call_processor(made: Processor, view: str, frame: Frame, *, with_image: bool) -> Returned:
    """Raises: ProcessorError; ProcessorStalled; DecodeError: the frame has no image."""
    return _guarded(view, lambda: _check(made.process(frame), frame, view, with_image=with_image))


def call_event_processor(
    made: Processor, name: str, event: EventRecord, snapshot: EventSnapshot
) -> dict[str, Any] | None:
    """Return what to store in the event's data; None: nothing. Raises: ProcessorError; DecodeError."""
    return _guarded(name, lambda: to_event_data(made.process_event(event, snapshot)))


def close_processor(made: Processor, view: str) -> None:
    """Raises: ProcessorError; ProcessorStalled."""
    _guarded(view, made.close)


def _guarded(view: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except (ProcessorStalled, DecodeError):
        raise
    except (ConfigError, EncodeError) as exc:
        raise ProcessorError(f"{view}: {exc}") from exc
    except BaseException as exc:
        # KeyboardInterrupt and CancelledError too: user code must not end the thread.
        raise ProcessorError(f"{view}: {one_line(exc)}", traceback=user_traceback(exc)) from exc


def _check(returned: Any, frame: Frame, view: str, *, with_image: bool) -> Returned:
    """Raises: EncodeError."""
    result = _to_result(returned)
    annotation_set = None
    if result.annotations is not None:
        annotation_set = to_annotation_set(result.annotations, frame.width, frame.height)
    values = to_values(result.values) if result.values else NO_VALUES
    image = None
    if result.image is not None:
        image = check_image(result.image)
    elif with_image:
        image = check_image(frame.image)
        if annotation_set:
            draw_annotations(image, annotation_set, view)
    return Returned(image, annotation_set, result, values)


def _to_result(returned: Any) -> Result:
    """Raises: EncodeError: the annotations of a result are not annotations."""
    if isinstance(returned, Result):
        if returned.annotations is not None and not are_annotations(returned.annotations):
            raise EncodeError(
                "The annotations of a Result must be a list of Box, Point and the like, or None."
            )
        return returned
    if are_annotations(returned):
        return Result(annotations=returned)
    if isinstance(returned, tuple) and len(returned) == 2 and are_annotations(returned[1]):
        return Result(*returned)
    return Result(returned)


class RecordedView:
    """A view made from recorded frames, in the caller's thread, without a deadline. The processors that run before it
    in its chain are called first, for each frame. If one of them has `when="motion"`, frames have the areas that move,
    but those without motion are processed, too: a video has all frames. `options`: view -> the values of its options.

    Raises: ViewNotFoundError: the camera has none with this name; ProcessorError: it does not load.
    """

    def __init__(
        self,
        camera: str,
        view: str,
        code: ProcessorCode,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        zones: Zones | None = None,
    ) -> None:
        chain = resolve_chain(code.current, view, camera)
        self._made: dict[str, Processor] = {
            each.name: new_processor(each, camera, (options or {}).get(each.name)).processor for each in chain
        }
        self._attention = Attention() if any(map(uses_motion, chain)) else None
        self._view = view
        self._camera = camera
        self._zones = zones
        self._reformatter = VideoReformatter()

    def draw(self, av_frame: av.VideoFrame, captured_ns: int, number: int, pts_s: float) -> Any:
        """Return uint8, (height, width, 3) BGR or (height, width). Raises: ProcessorError, DecodeError."""
        results: dict[str, Result] = {}
        image = None
        if self._attention is not None:
            self._attention.look(DecodedFrame(av_frame, self._reformatter), captured_ns, self._zones)
        for name, made in self._made.items():
            # Each has its own image, as when the view is live: a processor may draw on it.
            decoded_frame = DecodedFrame(av_frame, self._reformatter)
            frame = Frame(
                camera=self._camera,
                number=number,
                pts_s=pts_s,
                captured_ns=captured_ns,
                received_ns=time.monotonic_ns(),
                width=decoded_frame.width,
                height=decoded_frame.height,
                load_bgr=decoded_frame.bgr,
                load_gray=decoded_frame.gray,
                results=dict(results),
                motion=() if self._attention is None else self._attention.areas,
                zones=self._zones,
            )
            returned = call_processor(made, name, frame, with_image=name == self._view)
            image = returned.image
            if returned.result is not None:
                results[name] = returned.result
        return image

    def close(self) -> None:
        """Raises: ProcessorError."""
        with contextlib.ExitStack() as stack:
            for name, made in self._made.items():
                stack.callback(close_processor, made, name)

"""The boundary to user code: calls processors, and validates what they return: an image, annotations, or both."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import av
from av.video.reformatter import VideoReformatter

from ninjacam.core.annotations import AnnotationSet, are_annotations, to_annotation_set
from ninjacam.core.errors import ConfigError, DecodeError, EncodeError, ProcessorError, ViewNotFoundError
from ninjacam.core.frames import Frame
from ninjacam.core.options import fit_options
from ninjacam.core.processors import Processor, Registration
from ninjacam.core.zones import Zones
from ninjacam.vision.code import ProcessorCode, ProcessorStalled, one_line, user_traceback
from ninjacam.vision.drawing import draw_annotations
from ninjacam.vision.images import DecodedFrame, check_image

T = TypeVar("T")


class Returned(NamedTuple):
    """`image`: as returned by `check_image`, or None if not requested. `annotation_set`: None without annotations."""

    image: Any
    annotation_set: AnnotationSet | None


class NewProcessor(NamedTuple):
    """An instance that is set up. `problems`: name of an option -> why its value is not used."""

    processor: Processor
    problems: dict[str, str]


def new_processor(entry: Registration, camera: str, values: Mapping[str, Any] | None = None) -> NewProcessor:
    """Create an instance for one camera, with these values of its options. Raises: ProcessorError; ProcessorStalled."""

    def create() -> NewProcessor:
        fitted = None if entry.options is None else fit_options(entry.options, values or {})
        made = entry.make()
        made.setup(camera, None if fitted is None else fitted.options)
        return NewProcessor(made, {} if fitted is None else fitted.problems)

    return _guarded(entry.name, create)


def call_processor(made: Processor, view: str, frame: Frame, *, with_image: bool) -> Returned:
    """Raises: ProcessorError; ProcessorStalled; DecodeError: the frame has no image."""
    return _guarded(view, lambda: _check(made.process(frame), frame, view, with_image=with_image))


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
    image, annotations = returned, None
    if are_annotations(returned):
        image, annotations = None, returned
    elif isinstance(returned, tuple) and len(returned) == 2 and are_annotations(returned[1]):
        image, annotations = returned
    annotation_set = (
        None if annotations is None else to_annotation_set(annotations, frame.width, frame.height)
    )
    if image is not None:
        return Returned(check_image(image), annotation_set)
    if not with_image:
        return Returned(None, annotation_set)
    image = check_image(frame.image)
    if annotation_set:
        draw_annotations(image, annotation_set, view)
    return Returned(image, annotation_set)


class RecordedView:
    """A view made from recorded frames, in the caller's thread, without a deadline.

    Raises: ViewNotFoundError: the camera has none with this name; ProcessorError: it does not load.
    """

    def __init__(
        self,
        camera: str,
        view: str,
        code: ProcessorCode,
        options: Mapping[str, Any] | None = None,
        zones: Zones | None = None,
    ) -> None:
        entry = code.current.get(view)
        if isinstance(entry, ProcessorError):
            raise entry
        if entry is None or not entry.applies_to(camera):
            raise ViewNotFoundError(f"The camera {camera!r} has no view {view!r}.")
        self._made = new_processor(entry, camera, options).processor
        self._view = view
        self._camera = camera
        self._zones = zones
        self._reformatter = VideoReformatter()

    def draw(self, av_frame: av.VideoFrame, captured_ns: int, number: int, pts_s: float) -> Any:
        """Return uint8, (height, width, 3) BGR or (height, width). Raises: ProcessorError, DecodeError."""
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
            zones=self._zones,
        )
        return call_processor(self._made, self._view, frame, with_image=True).image

    def close(self) -> None:
        """Raises: ProcessorError."""
        close_processor(self._made, self._view)

"""Processors: the base class, the decorator, and the registry that the decorator fills.

Not here: calling processors (`ninjacam.vision`) and finding them (the Django process imports each app's
`cameras` module).
"""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias, TypeVar, get_args, overload

from ninjacam.core.errors import ConfigError
from ninjacam.core.event_calls import EventRecord, EventSnapshot
from ninjacam.core.frames import Frame
from ninjacam.core.options import OptionsModel, options_model_of, schema_of
from ninjacam.core.processor_states import load_state, save_state
from ninjacam.core.ready_made import is_ready_made
from ninjacam.core.streams import RAW_VIEW

ProcessorFunction: TypeAlias = Callable[..., Any]
"""Called with a Frame and, if it has the parameter `options`, with its options."""
MAX_FPS = 240.0
MAX_WARM_UP_S = 600.0
When: TypeAlias = Literal["watched", "recorded", "motion", "always", "events"]
"""When a processor runs: while its view has viewers; also while the camera is recorded; during motion;
always; once for each snapshot of an event, without a view."""
Names: TypeAlias = str | list[str] | tuple[str, ...]
ReplacesFor = Literal["", "view"]
"""The role whose users, if they have no other, see a processor's view instead of the camera's own video. "": none."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}\Z")
_WORD_STARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class Processor:
    """Base class of processors that keep state: one instance per camera and view.

        @processor(cameras="gate-*")
        class Motion(Processor):
            def setup(self, camera, options):
                self.background = cv2.createBackgroundSubtractorMOG2()

            def process(self, frame):
                return self.background.apply(frame.gray)

    An instance is created when its view is first viewed or recorded. It is closed when the view is no longer used, its
    module is reloaded, or its worker ends. All methods of an instance run in the same thread, one after the other, so
    `self` needs no lock. Instances for other cameras run concurrently in other threads: shared objects (globals of the
    module, class attributes) must be thread-safe, and most OpenCV objects are not.

    `Options`: a pydantic model that users fill in for each camera; None: the processor has no options.
    """

    Options: ClassVar[type[Any] | None] = None
    camera: str = ""
    """The slug of the camera, also in `setup`."""
    name: str = ""
    """The name of the processor and of its view."""

    def setup(self, camera: str, options: Any) -> None:
        """Prepare this instance: load models, create subtractors. May take up to 30 s.

        `camera`: its slug. `options`: an instance of `Options`, or None if the processor has none. After a change of
        the options, a new instance replaces this one.
        """

    def process(self, frame: Frame) -> Any:
        """Return an image, annotations, both or None, as described at `processor`. Called once per frame."""
        raise NotImplementedError(f"{type(self).__name__} does not define the method process(frame).")

    def process_event(self, event: EventRecord, snapshot: EventSnapshot) -> Any:
        """Return a `Result` with data and values, a dictionary, or None. Called instead of `process` if the processor
        has `when="events"`, for each snapshot of an event. May take up to 30 s.

        The result is stored in the event's data under the name of the processor. The result for a better snapshot
        replaces it, and after a crash the call is repeated.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define process_event(event, snapshot).")

    def load_state(self) -> Any:
        """Return the state that an earlier instance for this camera saved; None if there is none. May block: call it in
        `setup`.

        Returns None in exports and tests.
        """
        return load_state(self.camera, self.name)

    def save_state(self, state: Any) -> None:
        """Save a state across restarts: a dictionary or list of at most 256 KB as JSON. Another thread writes
        it within a second, and before any event that is created or changed afterwards.

        Raises: InvalidError: it cannot be converted to JSON, or is too large.
        """
        save_state(self.camera, self.name, state)

    def close(self) -> None:
        """Release what `setup` acquired. Not called if a call never returned, or if the process died."""


class FunctionProcessor(Processor):
    """Adapts a function to the interface of `Processor`."""

    def __init__(self, function: ProcessorFunction) -> None:
        self._call: Callable[..., Any] = function

    def setup(self, camera: str, options: Any) -> None:
        if options is not None:
            self._call = partial(self._call, options=options)

    def process(self, frame: Frame) -> Any:
        return self._call(frame)

    def process_event(self, event: EventRecord, snapshot: EventSnapshot) -> Any:
        return self._call(event, snapshot)


class FairLock:
    """A lock that threads acquire in the order of their requests, so that no camera starves.

    Another thread can release the lock: `give_back` may be called from any thread, and more than once.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._queue: deque[threading.Lock] = deque()  # The first ticket holds the lock.

    def take(self) -> threading.Lock:
        """Wait for the lock. Return the ticket for `give_back`."""
        ticket = threading.Lock()
        self._wait(ticket)
        return ticket

    @contextmanager
    def turn(self, timeout_s: float) -> Iterator[None]:
        """Hold the lock. If another thread raises an exception in this thread, the lock is still released.

        Raises: TimeoutError: the lock is not available in time.
        """
        ticket = threading.Lock()
        try:
            if not self._wait(ticket, timeout_s):
                raise TimeoutError
            yield
        finally:
            self.give_back(ticket)

    def _wait(self, ticket: threading.Lock, timeout_s: float = -1) -> bool:
        """Return whether it is the turn of this ticket; -1: wait without limit."""
        ticket.acquire()
        with self._mutex:
            self._queue.append(ticket)
            is_first = self._queue[0] is ticket
        return is_first or ticket.acquire(timeout=timeout_s)  # The previous holder releases it.

    def give_back(self, ticket: threading.Lock) -> None:
        with self._mutex:
            if ticket not in self._queue:
                return
            had_turn = self._queue[0] is ticket
            self._queue.remove(ticket)
            if had_turn and self._queue:
                self._queue[0].release()


@dataclass(slots=True, eq=False)
class Registration:
    """A registered processor, and the view that it produces.

    `make`: returns a new instance. `cameras`: glob patterns of the slugs that have the view. `module`: where
    it is defined. `record`: whether its annotations are recorded. `turns`: serializes calls of a function for
    different cameras, which share its globals; None for a class. `width_px`: required width of frames; 0:
    that of `main`. `when`: when it runs. `after`, `every_frame`, `replaces_video_for`: see `processor`. `fps`:
    maximum number of frames per second; 0: all. `warm_up_s`: see `processor`; None: unknown. `options`: its options
    model, and `options_schema` the model's JSON Schema; None: no options. `kinds`, `labels`: of the events that it
    receives; empty: all.
    """

    name: str
    make: Callable[[], Processor]
    cameras: tuple[str, ...]
    module: str
    description: str = ""
    record: bool = False
    function: ProcessorFunction | None = None
    turns: FairLock | None = None
    width_px: int = 0
    when: When = "watched"
    fps: float = 0.0
    after: str = ""
    every_frame: bool = False
    warm_up_s: float | None = None
    replaces_video_for: ReplacesFor = ""
    options: type[OptionsModel] | None = None
    options_schema: dict[str, Any] | None = None
    kinds: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def has_view(self) -> bool:
        """Return whether it receives frames. Otherwise, it receives events."""
        return self.when != "events"

    def applies_to(self, camera: str) -> bool:
        return any(fnmatchcase(camera, pattern) for pattern in self.cameras)


class ProcessorRegistry:
    """Processors by name. One registry per process, filled by importing `cameras` modules."""

    def __init__(self) -> None:
        self._by_name: dict[str, Registration] = {}

    def add(self, registration: Registration) -> None:
        """Add a processor. It replaces one of the same module, and a ready-made one.

        Raises: ConfigError: the name is malformed or reserved, or another module uses it.
        """
        if not _NAME.match(registration.name):
            raise ConfigError(
                f"The processor name {registration.name!r} cannot be used in a URL. Use a-z, 0-9, - and _, "
                "starting with a letter, at most 50 characters."
            )
        if registration.name == RAW_VIEW:
            raise ConfigError(
                f"{RAW_VIEW!r} is the name of the camera's own video in URLs. Use another name."
            )
        present = self._by_name.get(registration.name)
        is_taken = present is not None and not is_ready_made(present.module)
        if present is not None and is_taken and present.module != registration.module:
            raise ConfigError(
                f"Two processors are named {registration.name!r}: in {present.module} and in {registration.module}. "
                "Rename one of them."
            )
        self._by_name[registration.name] = registration

    def forget(self, module: str) -> None:
        """Remove the processors of `module`, before it is imported again."""
        self._by_name = {name: p for name, p in self._by_name.items() if p.module != module}

    def get(self, name: str) -> Registration | None:
        return self._by_name.get(name)

    def for_camera(self, camera: str) -> list[Registration]:
        return [p for p in self if p.applies_to(camera)]

    def __iter__(self) -> Iterator[Registration]:
        return iter(sorted(self._by_name.values(), key=lambda p: p.name))


registry = ProcessorRegistry()
"""The registry of this process. Global, because the decorator runs at import."""

Definition = TypeVar("Definition", bound=ProcessorFunction | type[Processor])


def _check_frames(width_px: Any, fps: Any, after: str, *, every_frame: bool) -> None:
    """Raises: ConfigError: the settings of the frames that a processor receives are invalid."""
    if not isinstance(width_px, int) or width_px < 0:
        raise ConfigError(f"The width of a processor must be a number of pixels, not {width_px!r}.")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 <= fps <= MAX_FPS:
        raise ConfigError(
            f"The frame rate of a processor must be a number from 0 to {MAX_FPS:g}, not {fps!r}."
        )
    if after and width_px:
        raise ConfigError(f"Remove width_px: this processor gets the frames of the processor {after!r}.")
    if every_frame and not after:
        raise ConfigError(
            "Remove every_frame, or specify with after=... which processor this one runs after."
        )


def _check_warm_up(warm_up_s: Any) -> None:
    """Raises: ConfigError."""
    if warm_up_s is None:
        return
    is_number = isinstance(warm_up_s, int | float) and not isinstance(warm_up_s, bool)
    if not is_number or not 0 <= warm_up_s <= MAX_WARM_UP_S:
        raise ConfigError(
            f"The time that a processor needs to warm up must be 0 to {MAX_WARM_UP_S:g} s, not {warm_up_s!r}."
        )


def _check_class(definition: type[Any], when: When) -> None:
    """Raises: ConfigError."""
    if not issubclass(definition, Processor):
        raise ConfigError(
            f"Derive the class {definition.__name__} from ninjacam.Processor and define process(frame)."
        )
    if when == "events" and definition.process_event is Processor.process_event:
        raise ConfigError(f"Define process_event(event, snapshot) in the class {definition.__name__}.")


def _names(names: Names) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


@overload
def processor(definition: Definition, /) -> Definition: ...
@overload
def processor(
    name: str | None = None,
    /,
    *,
    cameras: Names = "*",
    record: bool = False,
    width_px: int = 0,
    fps: float = 0,
    when: When = "watched",
    after: str = "",
    every_frame: bool = False,
    warm_up_s: float | None = None,
    kinds: Names = (),
    labels: Names = (),
    replaces_video_for: ReplacesFor = "",
) -> Callable[[Definition], Definition]: ...


def processor(
    name_or_definition: Any = None,
    /,
    *,
    cameras: Names = "*",
    record: bool = False,
    width_px: int = 0,
    fps: float = 0,
    when: When = "watched",
    after: str = "",
    every_frame: bool = False,
    warm_up_s: float | None = None,
    kinds: Names = (),
    labels: Names = (),
    replaces_video_for: ReplacesFor = "",
) -> Any:
    """Make a function, or a subclass of `Processor`, a view of cameras.

        @processor
        def edges(frame): return cv2.Canny(frame.image, 80, 160)

        @processor("faces", cameras=["gate-*", "yard"], record=True)
        def find_faces(frame): return [Box(x, y, x + w, y + h, "face") for x, y, w, h in detect(frame.gray)]

    The view is named after the function, or after the class in lower case (`PeopleCounter`: "people_counter").
    It is called with a `Frame` and returns one of
    - an image to show: uint8, (height, width, 3) BGR or (height, width) gray, of any size;
    - None: the view shows the frame, including anything drawn on `frame.image`;
    - annotations, a list of `Box`, `Point`, `Polygon` and `Text`, possibly empty: players draw them over the camera's
      own video (`overlay="faces"`), and they are drawn into the frames of the view itself;
    - (image or None, annotations);
    - a `Result`: any of these, with values and data.
    `record`: its annotations are recorded with the camera. It then runs while the camera is recorded, with or without
    viewers.
    `width_px`: the required width. It receives frames of the camera's smallest stream that is at least as wide, at the
    width of that stream: they are not scaled. 0: frames of the camera's main stream.
    `fps`: the maximum number of frames per second that it receives. 0: all frames.
    `when`: "watched": it runs while its view has viewers. "recorded": the same as `record=True`. "always": it also runs
    without viewers, for example to create events. "motion": it runs during motion, and otherwise for a frame every
    10 s; `frame.motion` contains the moving areas. For a camera that sleeps, these two are the same as
    "watched". "events": it has no view. It is called with each event that has a snapshot, and with the snapshot:
    `process_event(event, snapshot)` of a class, or a function (event, snapshot). It runs in another process, and may
    take 30 s.
    `kinds`, `labels`: of the events that it receives. Empty: all.
    `after`: the name of another processor. This one receives the same frames afterwards, in its own thread, with the
    other's latest results in `frame.results`. `every_frame`: it also receives the frames that the other one skipped
    because of its `fps`.
    `replaces_video_for`: "view": users who may only view a camera see this view instead of its own video. Ninjacam
    stores this for each camera when it first loads the processor (`guest_view`), so that the camera's own video does
    not become visible if the processor fails or is removed. The view must be an image: return one, or None.
    `warm_up_s`: seconds of video after which a new instance has the same results as one that has always run; 0: frames
    are independent. A backtest then runs parts of a video concurrently. Omit it if events or results last longer, such
    as tracks and visits.
    Options: a function with a second parameter `options` receives an instance of the pydantic model in the parameter's
    annotation. A class declares the model as its attribute `Options`.

    Shared state: all cameras of a process share a function and the globals of its module. Calls of one function are
    therefore made one at a time; those for different cameras take turns, each with its latest frame. Functions that
    use the same object (a network, a background subtractor) take turns with each other, too. Cameras are distributed
    over several processes, which do not share module-level state. Use a class for state of one camera, and for work
    that must run for several cameras concurrently: see `Processor`.
    Raises: ConfigError: the name is malformed or taken, the width or the frame rate is not a number, the options are
    not a pydantic model, or a class is not a subclass of `Processor`.
    """
    _check_frames(width_px, fps, after, every_frame=every_frame)
    _check_warm_up(warm_up_s)
    if replaces_video_for not in get_args(ReplacesFor):
        raise ConfigError(f'Use replaces_video_for="view", or omit it; not {replaces_video_for!r}.')
    if when not in get_args(When):
        raise ConfigError(
            f"Unknown time to run a processor {when!r}. Use watched, recorded, motion, always or events."
        )
    if when == "events" and (
        record or width_px or fps or after or warm_up_s is not None or replaces_video_for
    ):
        raise ConfigError(
            'A processor with when="events" receives no frames. Remove record, width_px, fps, after, warm_up_s and '
            "replaces_video_for."
        )
    if (kinds or labels) and when != "events":
        raise ConfigError('Remove kinds and labels: only a processor with when="events" receives events.')

    def register(definition: Any, name: str | None = None) -> Any:
        own_name = str(getattr(definition, "__name__", ""))
        is_class = isinstance(definition, type)
        if is_class:
            _check_class(definition, when)
        model = options_model_of(definition)
        registry.add(
            Registration(
                name=name or (_WORD_STARTS.sub("_", own_name).lower() if is_class else own_name),
                make=definition if is_class else partial(FunctionProcessor, definition),
                cameras=_names(cameras),
                module=getattr(definition, "__module__", ""),
                description=(definition.__doc__ or "").strip().partition("\n")[0],
                record=record or when == "recorded",
                when=when,
                function=None if is_class else definition,
                turns=None if is_class else FairLock(),
                width_px=width_px,
                fps=float(fps),
                after=after,
                every_frame=every_frame,
                warm_up_s=warm_up_s,
                replaces_video_for=replaces_video_for,
                options=model,
                options_schema=None if model is None else schema_of(model),
                kinds=_names(kinds),
                labels=_names(labels),
            )
        )
        return definition

    if name_or_definition is None or isinstance(name_or_definition, str):
        return partial(register, name=name_or_definition)
    return register(name_or_definition)

"""Calls a processor, and those before it in its chain, with the frames that it would receive live.

The rules are those of `vision.views`: frame rates, skipped frames, chains, and the pause after an exception. Time is
that of the frames, so the same video has the same result each time. Thread: one.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from av.video.reformatter import VideoReformatter

from ninjacam.backtest.reading import RecordedFrame
from ninjacam.core.errors import DecodeError, InvalidError, ProcessorError
from ninjacam.core.frames import Frame
from ninjacam.core.options import options_model_of
from ninjacam.core.processors import FunctionProcessor, Processor, Registration
from ninjacam.core.zones import Zones
from ninjacam.vision.cadence import Cadence
from ninjacam.vision.calling import Returned, call_processor, close_processor, new_processor
from ninjacam.vision.chains import Preceding, Processors, resolve_chain, uses_motion
from ninjacam.vision.images import DecodedFrame
from ninjacam.vision.views import FAILING_EVERY_NS

ANY_CAMERA = "test"
"""Name of the camera of a file, if the processor is for all cameras."""
OptionValues = Mapping[str, Mapping[str, Any]]
"""Name of a processor -> the values of its options."""


class Failure(NamedTuple):
    """A processor raised an exception, or returned something invalid."""

    processor: str
    error: ProcessorError


class FrameOutcome(NamedTuple):
    """What one frame resulted in. `returned`: None: the processor was not called, or failed. `frame`: the input of its
    call, or None. `took_ns`: of the call, CPU and waiting. `failures`: of all processors of the chain.
    """

    recorded: RecordedFrame
    frame: Frame | None = None
    returned: Returned | None = None
    took_ns: int = 0
    failures: tuple[Failure, ...] = ()


@dataclass(slots=True)
class _Member:
    """A processor of the chain. `waits`: for motion."""

    entry: Registration
    made: Processor
    waits: bool
    cadence: Cadence = field(default_factory=Cadence)
    error: ProcessorError | None = None
    next_try_ns: int = 0
    preceding: Preceding = field(default_factory=Preceding)


def find_chain(current: Processors, name: str, camera: str) -> list[Registration]:
    """Return the processors to call, the one with this name last. Raises: InvalidError, ProcessorError."""
    entry = current.get(name)
    if entry is None:
        known = ", ".join(sorted(current)) or "none; see docs/processors.md"
        raise InvalidError.of("processor", f"No processor “{name}”. There are: {known}.")
    if isinstance(entry, Registration) and not entry.has_view:
        raise InvalidError.of(
            "processor", f"The processor “{name}” receives events instead of frames. Call its process_event."
        )
    if isinstance(entry, Registration) and not entry.applies_to(camera):
        raise InvalidError.of(
            "camera", f"The processor “{name}” is not for the camera “{camera}”. Specify one of its cameras."
        )
    return resolve_chain(current, name, camera)


def unregistered(processor: Any) -> Registration:
    """Return the registration that a function or class without a decorator would have. Raises: InvalidError."""
    if not callable(processor):
        raise InvalidError.of("processor", "Specify a function, a subclass of Processor, or a name.")
    is_class = isinstance(processor, type) and issubclass(processor, Processor)
    return Registration(
        name=str(getattr(processor, "__name__", "processor")).lower(),
        make=processor if is_class else lambda: FunctionProcessor(processor),
        cameras=("*",),
        module="",
        options=options_model_of(processor),
    )


def choose_camera(current: Processors, name: str) -> str:
    """Return the name of a camera that the processor is for. Raises: InvalidError."""
    entry = current.get(name)
    if not isinstance(entry, Registration) or entry.applies_to(ANY_CAMERA):
        return ANY_CAMERA
    for pattern in entry.cameras:
        if not any(sign in pattern for sign in "*?["):
            return pattern
    raise InvalidError.of(
        "camera", f"The processor “{name}” is for cameras such as “{entry.cameras[0]}”. Specify one of them."
    )


def warm_up_s(chain: Sequence[Registration]) -> float | None:
    """Return the seconds after which the chain has the same results as if it had always run; None: unknown."""
    if any(waiting_members(chain)):
        return None
    found = 0.0
    for entry in chain:
        if entry.warm_up_s is None:
            return None
        found += entry.warm_up_s
    return found


def waiting_members(chain: Sequence[Registration]) -> list[bool]:
    """Return for each processor whether it waits for motion. One that precedes others waits if all of these do."""
    waits = chain[-1].when == "motion"
    found = [waits]
    for entry in reversed(chain[:-1]):
        waits = waits and not entry.record and entry.when in ("motion", "watched")
        found.insert(0, waits)
    return found


class ChainRun:
    """`options`: values that do not fit are errors. `on_call`: is called before user code, with the time of the frame.

    Raises: InvalidError: an option does not fit; ProcessorError: `setup` failed.
    """

    def __init__(
        self,
        camera: str,
        chain: Sequence[Registration],
        options: OptionValues | None = None,
        *,
        zones: Zones | None = None,
        on_call: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._camera = camera
        self._zones = zones
        self._on_call = on_call
        self._reformatter = VideoReformatter()
        self._members: list[_Member] = []
        on_call(0)
        for entry, waits in zip(chain, waiting_members(chain), strict=True):
            values = (options or {}).get(entry.name, {})
            if values and entry.options is None:
                raise InvalidError.of("options", f"The processor “{entry.name}” has no options.")
            made, problems = new_processor(entry, camera, values)
            for name, problem in problems.items():
                raise InvalidError.of(name, f"The option “{name}” of “{entry.name}”: {problem}")
            self._members.append(_Member(entry, made, waits))

    @property
    def examines(self) -> bool:
        """Return whether frames are to be examined for motion."""
        return any(uses_motion(member.entry) for member in self._members)

    @property
    def skips_still(self) -> bool:
        """Return whether the whole chain waits for motion."""
        return all(member.waits for member in self._members)

    def process(self, recorded: RecordedFrame) -> FrameOutcome:
        """Call the processors that are due."""
        failures: list[Failure] = []
        preceding: Preceding | None = None
        outcome = FrameOutcome(recorded)
        for member in self._members:
            member.preceding = replace(member.preceding, is_new=False)
            outcome = FrameOutcome(recorded)
            if self._is_due(member, recorded, preceding):
                if preceding is not None and preceding.error is not None:
                    member.preceding = Preceding(error=preceding.error)
                elif member.error is None or recorded.captured_ns >= member.next_try_ns:
                    outcome = self._call(member, recorded, preceding, failures)
            preceding = member.preceding
        return outcome._replace(failures=tuple(failures))

    def close(self) -> tuple[Failure, ...]:
        """Return the exceptions that `close` of processors raised."""
        failures = []
        self._on_call(0)
        for member in self._members:
            try:
                close_processor(member.made, member.entry.name)
            except ProcessorError as exc:
                failures.append(Failure(member.entry.name, exc))
        return tuple(failures)

    def _is_due(self, member: _Member, recorded: RecordedFrame, preceding: Preceding | None) -> bool:
        entry = member.entry
        if preceding is not None and not (entry.every_frame or preceding.is_new or preceding.error):
            return False
        if member.waits and not recorded.is_awake:
            return False
        return member.cadence.is_due(entry.fps, recorded.captured_ns)

    def _call(
        self,
        member: _Member,
        recorded: RecordedFrame,
        preceding: Preceding | None,
        failures: list[Failure],
    ) -> FrameOutcome:
        results = {} if preceding is None else preceding.results
        frame = self._make_frame(recorded, dict(results))
        self._on_call(recorded.captured_ns)
        begun_ns = time.perf_counter_ns()
        try:
            returned = call_processor(member.made, member.entry.name, frame, with_image=False)
        except ProcessorError as exc:
            member.error = exc
            member.next_try_ns = recorded.captured_ns + FAILING_EVERY_NS
            member.preceding = Preceding(error=exc)
            failures.append(Failure(member.entry.name, exc))
            return FrameOutcome(recorded, frame)
        except DecodeError:
            return FrameOutcome(recorded)
        took_ns = time.perf_counter_ns() - begun_ns
        member.error = None
        if returned.result is not None:
            member.preceding = Preceding({**results, member.entry.name: returned.result}, is_new=True)
        return FrameOutcome(recorded, frame, returned, took_ns)

    def _make_frame(self, recorded: RecordedFrame, results: dict[str, Any]) -> Frame:
        # Each processor has its own image, as when it is live: it may draw on it.
        decoded = DecodedFrame(recorded.frame, self._reformatter)
        return Frame(
            camera=self._camera,
            number=recorded.number,
            pts_s=recorded.pts_s,
            captured_ns=recorded.captured_ns,
            received_ns=recorded.captured_ns,  # The clock of this host must not change the result.
            width=decoded.width,
            height=decoded.height,
            load_bgr=decoded.bgr,
            load_gray=decoded.gray,
            results=results,
            motion=recorded.motion,
            zones=self._zones,
        )

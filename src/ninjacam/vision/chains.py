"""Chains of processors: a processor that runs `after` another one gets its frames from that one, with its results."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ninjacam.core.errors import ProcessorError, ViewNotFoundError
from ninjacam.core.processors import Registration
from ninjacam.core.ready_made import READY_MADE
from ninjacam.core.results import Result

MAX_CHAIN = 8
"""Maximum number of processors in one chain."""

Processors = Mapping[str, Registration | ProcessorError]


@dataclass(frozen=True, slots=True)
class Preceding:
    """The results of the processors before a view in its chain, for one frame.

    `results`: name -> its latest result. `is_new`: whether the last of them was called for this frame. `error`: why it
    has no result.
    """

    results: Mapping[str, Result] = field(default_factory=dict)
    is_new: bool = False
    error: ProcessorError | None = None


def preceding_views(current: Processors, view: str, camera: str) -> list[str]:
    """Return the processors that run before `view`, the first one first.

    Empty if it starts a chain, or if its chain is broken: one of them does not exist for this camera, or the chain has
    no start or is too long.
    """
    found: list[str] = []
    entry = current.get(view)
    while isinstance(entry, Registration) and entry.after:
        name = entry.after
        entry = current.get(name)
        if _is_missing(entry, camera) or name in found or name == view or len(found) + 1 == MAX_CHAIN:
            return []
        found.insert(0, name)
    return found


def resolve_chain(current: Processors, view: str, camera: str) -> list[Registration]:
    """Return the processors to call for `view`, in the order of their calls: `view` is the last one.

    Raises: ViewNotFoundError: the camera has no such view; ProcessorError: its chain is broken, or a part of it does
    not load.
    """
    entry = current.get(view)
    if entry is None or _is_missing(entry, camera):
        raise ViewNotFoundError(f"The camera {camera!r} has no view {view!r}.")
    before = preceding_views(current, view, camera)
    if isinstance(entry, Registration) and entry.after and not before:
        raise broken_chain(view, entry.after)
    found = []
    for name in (*before, view):
        each = current[name]
        if isinstance(each, ProcessorError):
            raise each
        found.append(each)
    return found


def _is_missing(entry: Registration | ProcessorError | None, camera: str) -> bool:
    """Return whether the camera has no such view. One that does not load is not missing."""
    if isinstance(entry, Registration):
        return not (entry.has_view and entry.applies_to(camera))
    return entry is None


def uses_motion(entry: Registration | ProcessorError | None) -> bool:
    """Return whether a processor receives the areas that move in a frame."""
    return isinstance(entry, Registration) and entry.when == "motion"


def first_view(current: Processors, view: str, camera: str) -> str:
    """Return the start of the chain of `view`: itself if nothing runs before it."""
    return next(iter(preceding_views(current, view, camera)), view)


def broken_chain(view: str, after: str) -> ProcessorError:
    if after in READY_MADE and view in READY_MADE:
        return ProcessorError(
            f"The processor {view!r} needs the processor {after!r}. Choose it for this camera, too."
        )
    return ProcessorError(
        f"The processor {view!r} runs after {after!r}, which is not a processor of this camera, or runs after "
        f"{view!r} itself, or is at the end of a chain of more than {MAX_CHAIN - 1}."
    )

"""What a processor is: the decorator, and the registry that it writes to.

Not here: calling them (`ninjacam.vision`) and finding them (the Django edge imports each app's `cameras` module).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, overload

from ninjacam.core.errors import ConfigError
from ninjacam.core.frames import Frame

ProcessorFunction = Callable[[Frame], Any]
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}\Z")


@dataclass(frozen=True, slots=True)
class Processor:
    """A view that user code makes. `cameras`: glob patterns of slugs that have it. `module`: where it was defined.
    `record`: its annotations are part of the camera's recordings."""

    name: str
    call: ProcessorFunction
    cameras: tuple[str, ...]
    module: str
    description: str
    record: bool = False

    def applies_to(self, camera: str) -> bool:
        return any(fnmatchcase(camera, pattern) for pattern in self.cameras)


class ProcessorRegistry:
    """Processors by name. One per process, filled by importing `cameras` modules."""

    def __init__(self) -> None:
        self._by_name: dict[str, Processor] = {}

    def add(self, processor: Processor) -> None:
        """Raises: ConfigError: the name is malformed, or another module has it."""
        if not _NAME.match(processor.name):
            raise ConfigError(
                f"The processor name {processor.name!r} is not usable in a URL: use a-z, 0-9, - and _, "
                "starting with a letter, 50 characters at most."
            )
        present = self._by_name.get(processor.name)
        if present is not None and present.module != processor.module:
            raise ConfigError(
                f"Two processors are named {processor.name!r}: in {present.module} and in {processor.module}. "
                "Rename one of them."
            )
        self._by_name[processor.name] = processor

    def forget(self, module: str) -> None:
        """Drop what `module` has registered, before it is imported again."""
        self._by_name = {name: p for name, p in self._by_name.items() if p.module != module}

    def get(self, name: str) -> Processor | None:
        return self._by_name.get(name)

    def for_camera(self, camera: str) -> list[Processor]:
        return [p for p in self if p.applies_to(camera)]

    def __iter__(self) -> Iterator[Processor]:
        return iter(sorted(self._by_name.values(), key=lambda p: p.name))


registry = ProcessorRegistry()
"""The process's own: the decorator runs at import and has no other place to go."""


@overload
def processor(function: ProcessorFunction, /) -> ProcessorFunction: ...
@overload
def processor(
    name: str | None = None,
    /,
    *,
    cameras: str | list[str] | tuple[str, ...] = "*",
    record: bool = False,
) -> Callable[[ProcessorFunction], ProcessorFunction]: ...


def processor(
    name_or_function: str | ProcessorFunction | None = None,
    /,
    *,
    cameras: str | list[str] | tuple[str, ...] = "*",
    record: bool = False,
) -> Any:
    """Make a function a view of cameras.

        @processor
        def edges(frame): return cv2.Canny(frame.image, 80, 160)

        @processor("faces", cameras=["gate-*", "yard"], record=True)
        def find_faces(frame): return [Box(x, y, x + w, y + h, "face") for x, y, w, h in detect(frame.gray)]

    The function gets a `Frame` and returns one of
    - a picture to show: uint8, (height, width, 3) BGR or (height, width) gray, of any size;
    - None: the frame as it is, with whatever was drawn on `frame.image`;
    - annotations, a list of `Box`, `Point`, `Polygon` and `Text`, [] for nothing seen: players draw them over the
      camera's own picture (`overlay="faces"`), and where the view itself is watched they are drawn into it;
    - (picture or None, annotations).
    `record`: its annotations are recorded with the camera. It runs for as long as that is, watched or not.
    Raises: ConfigError: the name is malformed or taken.
    """
    patterns = (cameras,) if isinstance(cameras, str) else tuple(cameras)

    def register(function: ProcessorFunction, name: str | None = None) -> ProcessorFunction:
        registry.add(
            Processor(
                name=name or str(getattr(function, "__name__", "")),
                call=function,
                cameras=patterns,
                module=getattr(function, "__module__", ""),
                description=(function.__doc__ or "").strip().partition("\n")[0],
                record=record,
            )
        )
        return function

    if name_or_function is None or isinstance(name_or_function, str):
        return partial(register, name=name_or_function)
    return register(name_or_function)

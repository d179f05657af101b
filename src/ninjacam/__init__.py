"""Ninjacam: a camera server inside Django.

Contains the names for processors, and the version. Importing this package imports no other module, not even of the
standard library: `python -m ninjacam` has the current directory on its search path until `__main__` has removed it.
Each name is imported when it is first used; import all other names from their modules.
"""

TYPE_CHECKING = False  # Type checkers treat it as typing's, which is not imported (see above).
if TYPE_CHECKING:
    from ninjacam.core.annotations import Box, Keypoints, Line, Mask, Point, Polygon, Text
    from ninjacam.core.event_calls import EventRecord, EventSnapshot
    from ninjacam.core.frames import Frame
    from ninjacam.core.processors import Processor, processor
    from ninjacam.core.results import Result
    from ninjacam.core.text import draw_text, text_size
    from ninjacam.core.zones import Zone
    from ninjacam.inference.loading import load_model

__all__ = [
    "Box",
    "EventRecord",
    "EventSnapshot",
    "Frame",
    "Keypoints",
    "Line",
    "Mask",
    "Point",
    "Polygon",
    "Processor",
    "Result",
    "Text",
    "Zone",
    "__version__",
    "draw_text",
    "load_model",
    "processor",
    "text_size",
]

__version__ = "0.1.0"

_HOMES = {
    "Box": "core.annotations",
    "EventRecord": "core.event_calls",
    "EventSnapshot": "core.event_calls",
    "Frame": "core.frames",
    "Keypoints": "core.annotations",
    "Line": "core.annotations",
    "Mask": "core.annotations",
    "Point": "core.annotations",
    "Polygon": "core.annotations",
    "Processor": "core.processors",
    "Result": "core.results",
    "Text": "core.annotations",
    "Zone": "core.zones",
    "draw_text": "core.text",
    "load_model": "inference.loading",
    "processor": "core.processors",
    "text_size": "core.text",
}
"""Name -> the module of `ninjacam` that defines it."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"ninjacam.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__

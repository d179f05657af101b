"""What we and our users test with: frames, a fake RTSP camera, a phone's MJPEG camera, a fake clock, packets, stamps.

Not here: tests, and anything that the product needs to run (the demo camera is a guest like any other camera).
"""

from typing import TYPE_CHECKING, Any

from ninjacam.testing.frames import frame

if TYPE_CHECKING:
    from ninjacam.testing.processor_runs import iter_processor, run_processor

__all__ = ["frame", "iter_processor", "run_processor"]


def __getattr__(name: str) -> Any:
    """Import the decoder and OpenCV where they are used; fake cameras need neither."""
    if name in __all__:
        from ninjacam.testing import processor_runs

        return getattr(processor_runs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

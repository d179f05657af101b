"""The decoders by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from ninjacam.inference.candidates import Candidates, Outputs, Size
from ninjacam.inference.decoders.nanodet import decode_nanodet
from ninjacam.inference.decoders.rtdetr import decode_rtdetr
from ninjacam.inference.decoders.ssd import decode_ssd
from ninjacam.inference.decoders.yolov8 import decode_yolov8
from ninjacam.inference.decoders.yolox import decode_yolox

Decode: TypeAlias = Callable[[Outputs, Size, int, float], list[Candidates]]
"""Called with the outputs, the size of the input, the number of labels and the lowest score. Returns the candidates of
each image, in pixels of the input. Raises: MismatchError."""

DECODERS: Mapping[str, Decode | None] = MappingProxyType(
    {
        "yolox": decode_yolox,
        "yolov8": decode_yolov8,
        "rtdetr": decode_rtdetr,
        "nanodet": decode_nanodet,
        "ssd": decode_ssd,
        "yunet": None,  # OpenCV's face detector decodes the outputs itself.
    }
)
"""One for each name in `inputs.USUAL_INPUTS`."""

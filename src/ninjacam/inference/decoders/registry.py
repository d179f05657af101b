"""The decoders by name, with the input that their networks usually take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from ninjacam.inference.candidates import Candidates, Outputs, Size
from ninjacam.inference.decoders.nanodet import decode_nanodet
from ninjacam.inference.decoders.rtdetr import decode_rtdetr
from ninjacam.inference.decoders.ssd import decode_ssd
from ninjacam.inference.decoders.yolov8 import decode_yolov8
from ninjacam.inference.decoders.yolox import decode_yolox

Decode: TypeAlias = Callable[[Outputs, Size, int, float], list[Candidates]]
"""Called with the outputs, the size of the input, the number of labels and the lowest score. Returns the candidates of
each image, in pixels of the input. Raises: MismatchError."""


@dataclass(frozen=True, slots=True)
class OutputDecoder:
    """`decode`: None: OpenCV's face detector decodes the outputs itself. `defaults`: fields of `ModelSpec`."""

    decode: Decode | None
    defaults: Mapping[str, Any] = field(default_factory=dict)


_BYTE = 1 / 255
_IMAGENET_BGR = {
    "mean": (103.53, 116.28, 123.675),
    "scale": (1 / 57.375, 1 / 57.12, 1 / 58.395),
}

DECODERS: Mapping[str, OutputDecoder] = MappingProxyType(
    {
        "yolox": OutputDecoder(decode_yolox, {"colors": "bgr", "letterbox": "corner", "padding": 114}),
        "yolov8": OutputDecoder(
            decode_yolov8,
            {"colors": "rgb", "scale": (_BYTE, _BYTE, _BYTE), "letterbox": "center", "padding": 114},
        ),
        "rtdetr": OutputDecoder(
            decode_rtdetr, {"colors": "rgb", "scale": (_BYTE, _BYTE, _BYTE), "letterbox": "none"}
        ),
        "nanodet": OutputDecoder(
            decode_nanodet, {"colors": "bgr", "letterbox": "center", "padding": 0, **_IMAGENET_BGR}
        ),
        "ssd": OutputDecoder(
            decode_ssd,
            {
                "colors": "rgb",
                "mean": (127.5, 127.5, 127.5),
                "scale": (1 / 127.5, 1 / 127.5, 1 / 127.5),
                "letterbox": "none",
            },
        ),
        "yunet": OutputDecoder(
            None,
            {"colors": "bgr", "letterbox": "corner", "padding": 0, "score": 0.6, "input_size": (320, 320)},
        ),
    }
)

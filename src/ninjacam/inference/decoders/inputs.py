"""The names of the decoders, each with the input that its networks usually take: fields of `ModelSpec`.

Read by every process. The decoders themselves need NumPy, which starts threads: see `registry`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_BYTE = 1 / 255
_IMAGENET_BGR = {
    "mean": (103.53, 116.28, 123.675),
    "scale": (1 / 57.375, 1 / 57.12, 1 / 58.395),
}

USUAL_INPUTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "yolox": {"colors": "bgr", "letterbox": "corner", "padding": 114},
        "yolov8": {"colors": "rgb", "scale": (_BYTE, _BYTE, _BYTE), "letterbox": "center", "padding": 114},
        "rtdetr": {"colors": "rgb", "scale": (_BYTE, _BYTE, _BYTE), "letterbox": "none"},
        "nanodet": {"colors": "bgr", "letterbox": "center", "padding": 0, **_IMAGENET_BGR},
        "ssd": {
            "colors": "rgb",
            "mean": (127.5, 127.5, 127.5),
            "scale": (1 / 127.5, 1 / 127.5, 1 / 127.5),
            "letterbox": "none",
        },
        "yunet": {
            "colors": "bgr", "letterbox": "corner", "padding": 0, "score": 0.6, "input_size": (320, 320),
        },
    }
)  # fmt: skip

"""OpenCV's own engine, which is always there. It runs on the CPU."""

import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ninjacam.core.processors import FairLock
from ninjacam.inference.onnx_header import ModelHeader

WAIT_S = 10.0
"""Longest wait for the other cameras' turns. A vision worker interrupts the call earlier."""
MAX_REASON_CHARS = 200
_WHERE = re.compile(
    r"OpenCV\([^)]*\) \S+:\d+: error: (\(-?\d+:[^)]*\) )?|>? ?Node \[\S+?\]:\(\S+\) parse error: "
)


def version() -> str:
    return str(cv2.__version__)


class OpenCvEngine:
    """A network of `cv2.dnn`, which only one thread at a time may use. Threads take turns in the order of their calls.

    The number of threads of a call is OpenCV's: one in vision workers (`OPENCV_FOR_THREADS_NUM`).
    """

    device = "cpu"

    def __init__(self, content: bytes, header: ModelHeader) -> None:
        """Raises: RuntimeError: it refuses the model."""
        self.name = f"OpenCV {version()}"
        self._turns = FairLock()
        self._outputs = [each.name for each in header.outputs]
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
        except (cv2.error, SystemError) as exc:
            raise RuntimeError(reason(exc)) from exc

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Raises: RuntimeError; TimeoutError."""
        with self._turns.turn(WAIT_S):
            try:
                for name, array in inputs.items():
                    self._net.setInput(array, name)
                arrays = self._net.forward(self._outputs)
            except (cv2.error, SystemError) as exc:
                raise RuntimeError(reason(exc)) from exc
            # Copies: the next call of another thread may overwrite the network's own memory.
            return {name: np.array(array) for name, array in zip(self._outputs, arrays, strict=True)}


def reason(exc: Exception) -> str:
    """Return what is readable of a message such as “OpenCV(5.0.0) file.cpp:12: error: (-215:…) text in function …”."""
    text = " ".join(_WHERE.sub("", str(getattr(exc, "err", "") or exc)).split())
    return text[:MAX_REASON_CHARS].rstrip(". ") or type(exc).__name__

"""The engines that can run a network here, and which of them runs it.

Not here: the engines themselves (`onnx_runtime`, `opencv_dnn`).
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy.typing as npt

from ninjacam.core.errors import ConfigError
from ninjacam.inference import onnx_runtime, opencv_dnn
from ninjacam.inference.onnx_header import ModelHeader

logger = logging.getLogger("ninjacam.inference")

Device: TypeAlias = Literal["auto", "cpu", "cuda", "openvino"]
DEVICES: tuple[str, ...] = get_args(Device)
ADVICE = {
    "cuda": "Install onnxruntime-gpu instead of onnxruntime, and NVIDIA's CUDA and cuDNN",
    "openvino": "Install onnxruntime-openvino instead of onnxruntime",
}


class InferenceEngine(Protocol):
    """A loaded network. Threads may call `run` at the same time; they take turns where the engine needs it."""

    @property
    def name(self) -> str:
        """Return name and version of the engine."""

    @property
    def device(self) -> str: ...

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Return all outputs by name, in the order of the model.

        Raises: RuntimeError; TimeoutError: no turn in time.
        """


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """`name`: with its version. `devices`: those that it offers here; whether they work is known when a model loads."""

    name: str
    devices: tuple[str, ...]


def find_engines() -> list[EngineInfo]:
    """Return the engines that are installed, the one that is used first."""
    found = [EngineInfo(f"OpenCV {opencv_dnn.version()}", ("cpu",))]
    if devices := onnx_runtime.find_devices():
        found.insert(0, EngineInfo(f"onnxruntime {onnx_runtime.version()}", devices))
    return found


def is_for_cpu(device: str) -> bool:
    """Return whether `open_engine` tries no other device, and no other one was asked for."""
    return device == "cpu" or (device == "auto" and set(onnx_runtime.find_devices()) <= {"cpu"})


def open_engine(name: str, content: bytes, header: ModelHeader, device: str) -> InferenceEngine:
    """Load a network on the device, or on the CPU with one line in the log if the device is not available.

    `name`: of the model, for the log. Raises: ConfigError: unknown device; RuntimeError: the engine refuses the model.
    """
    if device not in DEVICES:
        raise ConfigError(f"Unknown device “{device}”. Use {', '.join(DEVICES)}.")
    offered = onnx_runtime.find_devices()
    wanted = [each for each in ("cuda", "openvino") if device in (each, "auto")]
    for each in wanted:
        if each in offered:
            try:
                return onnx_runtime.OnnxRuntimeEngine(content, each)
            except RuntimeError as exc:
                logger.warning(
                    "The model “%s” runs on the CPU, because %s does not work: %s", name, each, exc
                )
        elif device == each:
            logger.warning(
                "The model “%s” runs on the CPU, because there is no %s. %s.", name, each, ADVICE[each]
            )
    return (
        onnx_runtime.OnnxRuntimeEngine(content, "cpu")
        if offered
        else opencv_dnn.OpenCvEngine(content, header)
    )

"""ONNX Runtime, which is optional: `pip install "ninjacam[onnxruntime]"`."""

from functools import cache
from typing import Any

import numpy.typing as npt

_PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
_OPTIONS = {"openvino": {"num_of_threads": "1"}}
"""OpenVINO does not read the session's number of threads. With more, a call takes half as much CPU again."""
_ERRORS_ONLY = 3
"""Severity of its log. Lower ones report details of each model."""
MAX_REASON_CHARS = 200


@cache
def _runtime() -> Any:
    """Import it, which takes 0.1 s. None: it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
    return onnxruntime


def version() -> str:
    """Return the version; "": it is not installed."""
    runtime = _runtime()
    return "" if runtime is None else str(runtime.__version__)


def find_devices() -> tuple[str, ...]:
    """Return the devices that the installed package was built for; empty: it is not installed."""
    runtime = _runtime()
    if runtime is None:
        return ()
    offered = runtime.get_available_providers()
    return tuple(device for device, provider in _PROVIDERS.items() if provider in offered)


class OnnxRuntimeEngine:
    """A session with one thread for each call, because cameras run in parallel. Sessions are thread-safe."""

    def __init__(self, content: bytes, device: str) -> None:
        """Raises: RuntimeError: it refuses the model, or the device does not work."""
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        providers = [(_PROVIDERS[device], _OPTIONS.get(device, {})), (_PROVIDERS["cpu"], {})]
        if device == "cpu":
            del providers[0]
        try:
            self._session = runtime.InferenceSession(content, options, providers=providers, enable_fallback=0)
        except Exception as exc:  # Its errors have no common base class besides Exception.
            raise RuntimeError(_reason(exc)) from exc
        if self._session.get_providers()[0] != _PROVIDERS[device]:
            raise RuntimeError("its libraries are missing or do not fit")
        self.name = f"onnxruntime {version()}"
        self.device = device
        self._outputs = [each.name for each in self._session.get_outputs()]

    def run(self, inputs: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Raises: RuntimeError."""
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))
        except Exception as exc:
            raise RuntimeError(_reason(exc)) from exc


def _reason(exc: Exception) -> str:
    """Return the last part of a message such as “[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model failed …”."""
    text = " ".join(str(exc).split()).rpartition(" : ")[2]
    return text[:MAX_REASON_CHARS].rstrip(". ") or type(exc).__name__

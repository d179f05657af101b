"""Tries a model in a process of its own before it is used: an engine may crash on a file, or never return.

`python -m ninjacam.inference.trial` reads {"name", "file", "spec", "labels", "device"} from standard input, and prints
{"engine", "device", "duration_ms"} or {"error": a sentence}.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ninjacam.core.errors import ModelError, NinjacamError
from ninjacam.core.interpreter import bare_environment, python_command
from ninjacam.core.limits import confine, keep_files_private
from ninjacam.inference.spec import ModelSpec
from ninjacam.inference.stored import StoredModel

TRIAL_S = 25.0
"""Seconds to load a model and run it three times: less than a processor may take for `setup`."""
DATA_BYTES = 4 << 30
"""Memory that a model may take."""
RUNS = 3


@dataclass(frozen=True, slots=True)
class TrialResult:
    """`engine`: with its version. `duration_ms`: of one call, with a gray image of the input's size."""

    engine: str
    device: str
    duration_ms: float


def try_model(stored: StoredModel, device: str = "auto", *, timeout_s: float = TRIAL_S) -> TrialResult:
    """Load the model and run it. Blocks for a second. Raises: ModelError: it does not work."""
    question = {
        "name": stored.name,
        "file": str(stored.file.absolute()),
        "spec": stored.spec.model_dump(),
        "labels": stored.labels,
        "device": device,
    }
    answer = ask_child(__name__, question, stored.name, timeout_s)
    return TrialResult(str(answer["engine"]), str(answer["device"]), float(answer["duration_ms"]))


def ask_child(module: str, question: Mapping[str, Any], name: str, timeout_s: float) -> dict[str, Any]:
    """Return the answer of a module that loads the model `name`. Blocks. Raises: ModelError."""
    try:
        done = subprocess.run(
            python_command(module),
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=False,
            env=_environment(),
        )
    except OSError as exc:
        raise ModelError(f"The model “{name}” cannot be tried: {exc.strerror}.") from exc
    except subprocess.TimeoutExpired as exc:
        raise ModelError(
            f"The model “{name}” did not return within {timeout_s:.0f} s. Use a smaller one."
        ) from exc
    return parse_answer(done.stdout, name)


def parse_answer(printed: bytes, name: str) -> dict[str, Any]:
    """Return what a process that loads the model `name` has printed. Raises: ModelError."""
    try:
        answer = json.loads(printed)
    except ValueError as exc:
        raise ModelError(
            f"The model “{name}” crashes the engine, so it is not used. "
            "Copy the file again, or use another one."
        ) from exc
    if not isinstance(answer, dict) or "error" in answer:
        raise ModelError(str(answer["error"] if isinstance(answer, dict) else "The model returns no answer."))
    return answer


def _environment() -> dict[str, str]:
    """Return an environment without secrets, with the choice of a GPU."""
    chosen = {name: value for name, value in os.environ.items() if name.startswith("CUDA_")}
    return {**bare_environment(), **chosen, "OPENCV_FOR_THREADS_NUM": "1"}


def main() -> None:
    keep_files_private()
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Output of engines must not mix with the answer.
    question = json.load(sys.stdin)
    confine(memory_bytes=resource.RLIM_INFINITY, data_bytes=DATA_BYTES)
    try:
        spec = ModelSpec.model_validate(question["spec"])
        labels = tuple(question["labels"])
        answer = _try(StoredModel(question["name"], Path(question["file"]), spec, labels), question["device"])
    except NinjacamError as exc:
        answer = {"error": exc.message}
    output.write(json.dumps(answer))
    output.flush()
    os._exit(0)  # Threads of an engine need not end.


def _try(stored: StoredModel, device: Any) -> dict[str, Any]:
    """Raises: NinjacamError."""
    import numpy as np

    from ninjacam.inference.model import Model
    from ninjacam.inference.opening import open_network

    network = open_network(stored, device)
    model = Model(stored.name, stored.labels, network, stored.spec.score)
    width_px, height_px = stored.spec.input_size
    image = np.full((height_px, width_px, 3), 128, np.uint8)
    started_s = time.perf_counter()
    for _ in range(RUNS):
        model(image)
    duration_ms = (time.perf_counter() - started_s) * 1000 / RUNS
    return {"engine": network.engine_name, "device": network.device, "duration_ms": duration_ms}


if __name__ == "__main__":
    main()

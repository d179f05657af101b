"""Maps a text to a vector, or tries a search model, in a process of its own: a network may crash or never return, and
takes memory that a web worker should not keep.

`python -m ninjacam.inference.search_child` reads {"model": `SearchModel.as_dict`, "text"} from standard input, and
prints {"vector": numbers}. Without "text", it also loads the network of images, and prints {"dimensions", "engine",
"device", "duration_ms"} of an image. Errors: {"error": a sentence}.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Mapping
from typing import Any

from ninjacam.core.errors import ModelError, NinjacamError
from ninjacam.core.limits import confine, die_with_named_parent, keep_files_private
from ninjacam.inference.search_models import SearchModel
from ninjacam.inference.trial import DATA_BYTES, RUNS, ask_child

TRIAL_S = 120.0
"""Seconds to load both networks and run them."""
TRIAL_TEXT = "a person at a gate"


def try_search_model(model: SearchModel, *, timeout_s: float = TRIAL_S) -> dict[str, Any]:
    """Load the model and run it. Return {"dimensions", "engine", "device", "duration_ms"}. Blocks for seconds. Raises:
    ModelError: it does not work."""
    return ask_child(__name__, {"model": model.as_dict()}, model.name, timeout_s)


def main() -> None:
    die_with_named_parent()
    keep_files_private()
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Output of engines must not mix with the answer.
    question = json.load(sys.stdin)
    confine(memory_bytes=resource.RLIM_INFINITY, data_bytes=DATA_BYTES)
    try:
        answer = _answer(question)
    except NinjacamError as exc:
        answer = {"error": exc.message}
    output.write(json.dumps(answer))
    output.flush()
    os._exit(0)  # Threads of an engine need not end.


def _answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Raises: NinjacamError."""
    from ninjacam.inference.search_networks import TextEncoder

    model = SearchModel.from_dict(question["model"])
    if "text" in question:
        return {"vector": TextEncoder(model).embed(str(question["text"])).tolist()}
    return _try(model, len(TextEncoder(model).embed(TRIAL_TEXT)))


def _try(model: SearchModel, dimensions: int) -> dict[str, Any]:
    """Raises: NinjacamError."""
    import numpy as np

    from ninjacam.inference.search_networks import ImageEncoder

    encoder = ImageEncoder(model)
    width_px, height_px = model.spec.input_size
    image = np.full((height_px, width_px, 3), 128, np.uint8)
    found = encoder.embed(image)
    if len(found) != dimensions:
        raise ModelError(
            f"The networks of “{model.name}” do not belong together: an image has {len(found)} numbers, and a text has "
            f"{dimensions}."
        )
    started_s = time.perf_counter()
    for _ in range(RUNS):
        encoder.embed(image)
    duration_ms = (time.perf_counter() - started_s) * 1000 / RUNS
    return {
        "dimensions": dimensions,
        "engine": encoder.engine_name,
        "device": encoder.device,
        "duration_ms": duration_ms,
    }


if __name__ == "__main__":
    main()

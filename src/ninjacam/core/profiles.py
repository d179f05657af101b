"""What a profile may contain. Not here: where profiles are stored (`ninjacam.models.profile`)."""

import json
import re
from typing import Any

from ninjacam.core.errors import InvalidError
from ninjacam.core.json_values import MAX_DEPTH, is_plain
from ninjacam.core.options import MAX_VALUES_BYTES

MAX_NAME_CHARS = 30
MAX_PROCESSORS = 64
"""Maximum number of processors in one override."""
PROCESSOR = r"[a-z][a-z0-9_-]{0,49}"
"""Pattern of a processor's name, without anchors."""


def check_processors(processors: object) -> None:
    """Check which processors are switched on and off: name -> bool. Raises: InvalidError."""
    if not all(isinstance(is_on, bool) for is_on in _check_names("processors", processors).values()):
        raise InvalidError.of(
            "processors", "Use true for a processor that runs, and false for one that does not."
        )


def check_options(options: object) -> None:
    """Check the form of options: processor -> option -> value. Raises: InvalidError.

    Whether the values fit is decided by the processor, which reports those that do not.
    """
    for name, values in _check_names("options", options).items():
        if not (isinstance(values, dict) and all(isinstance(each, str) for each in values)):
            raise InvalidError.of("options", f"The options of “{name}” must be an object: option and value.")
        try:
            encoded = json.dumps(values)
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidError.of("options", f"The options of “{name}” cannot be written as JSON.") from exc
        if not is_plain(values):
            raise InvalidError.of(
                "options", f"For “{name}”, use plain values, nested at most {MAX_DEPTH} levels deep."
            )
        if len(encoded.encode()) > MAX_VALUES_BYTES:
            raise InvalidError.of(
                "options", f"The options of a processor have at most {MAX_VALUES_BYTES >> 10} KB."
            )


def _check_names(field: str, values: object) -> dict[str, Any]:
    """Return `values`, whose keys are names of processors. Raises: InvalidError."""
    if not isinstance(values, dict) or len(values) > MAX_PROCESSORS:
        raise InvalidError.of(field, f"Use an object with the names of at most {MAX_PROCESSORS} processors.")
    for name in values:
        if not (isinstance(name, str) and re.fullmatch(PROCESSOR, name)):
            raise InvalidError.of(
                field, f"Invalid name of a processor: {str(name)[:50]!r}. Use a-z, 0-9, - and _."
            )
    return values

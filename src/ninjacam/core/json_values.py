"""JSON values that every database stores."""

import math
import re
from typing import Any

MAX_DEPTH = 8


def is_plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether each database stores the value: PostgreSQL refuses NUL, unpaired surrogates and infinity.

    `depth`: maximum number of nested objects and arrays.
    """
    match value:
        case str():
            return not re.search("[\0\ud800-\udfff]", value)
        case float():
            return math.isfinite(value)
        case dict():
            return depth > 0 and all(is_plain(k, 0) and is_plain(v, depth - 1) for k, v in value.items())
        case list() | tuple():
            return depth > 0 and all(is_plain(each, depth - 1) for each in value)
    return True

"""JSON values that every database stores."""

import math
import re
from typing import Any

MAX_DEPTH = 8
_REFUSED = re.compile("[\0\ud800-\udfff]")


def to_plain(text: str) -> str:
    """Return the text with a replacement character for each one that not every database stores."""
    return _REFUSED.sub("\N{REPLACEMENT CHARACTER}", text)


def is_plain(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Return whether each database stores the value: PostgreSQL refuses NUL, unpaired surrogates and infinity.

    `depth`: maximum number of nested objects and arrays.
    """
    match value:
        case str():
            return not _REFUSED.search(value)
        case float():
            return math.isfinite(value)
        case dict():
            return depth > 0 and all(is_plain(k, 0) and is_plain(v, depth - 1) for k, v in value.items())
        case list() | tuple():
            return depth > 0 and all(is_plain(each, depth - 1) for each in value)
    return True

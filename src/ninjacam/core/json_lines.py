"""Messages between our processes as lines of JSON, each an object."""

import json
from typing import Any

from ninjacam.core.errors import ProtocolError

Json = dict[str, Any]


def encode(message: Json) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Json:
    """Raises: ProtocolError."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("The other process sent invalid JSON.") from exc
    if not isinstance(message, dict):
        raise ProtocolError("The other process sent no JSON object.")
    return message

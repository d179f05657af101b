"""Messages on the socket `<run>/<slug>.device`: JSON lines.

A request is {"op", "id", …}; its response {"id", "result"} or {"id", "error": NinjacamError.as_dict()}. "move" has no
response; if it fails, {"id": null, "error"} follows. When the connection ends, so does its movement.
"""

import json
from pathlib import Path
from typing import Any

from ninjacam.core import errors
from ninjacam.core.errors import CommandError, NinjacamError, ProtocolError, SourceError

Json = dict[str, Any]
MAX_LINE_BYTES = 256 << 10
MOVING = frozenset({"stop", "move_for", "move_by", "move_to", "goto_preset", "go_home"})
"""Commands with which a user takes control of the camera, which ends its patrol."""


def socket_path(run_dir: Path, slug: str) -> Path:
    return run_dir / f"{slug}.device"


def encode(message: Json) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Json:
    """Raises: ProtocolError."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ProtocolError("The device socket received invalid JSON.") from exc
    if not isinstance(message, dict):
        raise ProtocolError("The device socket received no JSON object.")
    return message


_KINDS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, (SourceError, CommandError))
}


def error_of(values: Json) -> NinjacamError:
    """Return the error that `NinjacamError.as_dict` made into `values`."""
    return _KINDS.get(str(values.get("code")), CommandError)(str(values.get("message", "")))

"""Messages on the socket `<run>/<slug>.device`: JSON lines.

A request is {"op", "id", …}; its response {"id", "result"} or {"id", "error": NinjacamError.as_dict()}. "move" has no
response; if it fails, {"id": null, "error"} follows. When the connection ends, so does its movement.
"""

from pathlib import Path

from ninjacam.core import errors
from ninjacam.core.errors import CommandError, NinjacamError, SourceError
from ninjacam.core.json_lines import Json
from ninjacam.core.texts import read_text

MAX_LINE_BYTES = 256 << 10
MOVING = frozenset({"stop", "move_for", "move_by", "move_to", "goto_preset", "go_home"})
"""Commands by which a user takes control of the camera, which end its patrol."""


def socket_path(run_dir: Path, slug: str) -> Path:
    return run_dir / f"{slug}.device"


_KINDS = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, (SourceError, CommandError))
}


def error_of(values: Json) -> NinjacamError:
    """Return the error from its form as `NinjacamError.as_dict`."""
    text = read_text(str(values.get("message", "")), values)
    return _KINDS.get(str(values.get("code")), CommandError)(text)

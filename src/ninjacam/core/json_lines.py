"""Messages between our processes as lines of JSON, each an object."""

import json
import socket
from pathlib import Path
from typing import Any

from ninjacam.core.errors import ProtocolError
from ninjacam.core.unix_sockets import unix_address

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


def ask(path: Path, question: Json, *, timeout_s: float, max_bytes: int) -> Json | None:
    """Send one message to the Unix socket `path` and return the response. Blocks.

    `max_bytes`: maximum size of the response. Returns None if the other process has ended without a response.
    Raises: OSError (including TimeoutError): the connection failed; ProtocolError.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        with unix_address(path) as address:
            connection.connect(address)
        connection.sendall(encode(question))
        with connection.makefile("rb") as lines:
            line = lines.readline(max_bytes)
    return decode(line) if line else None

"""The web worker's end of the talk socket."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ninjacam.core.errors import NinjacamError, StreamUnavailableError
from ninjacam.core.json_lines import decode, encode
from ninjacam.core.unix_sockets import unix_address
from ninjacam.devices.messages import error_of
from ninjacam.talk.messages import MAX_LINE_BYTES, MAX_NAME_CHARS, socket_path

MAX_UNSENT_BYTES = 65_536
"""If the capture process has this much unread, audio is dropped."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The camera takes audio at this rate."""

    rate_hz: int
    codec: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a talk has ended, or cannot begin. `speaker`: the user who talks, if that is the reason."""

    error: NinjacamError
    speaker: str = ""


class TalkConnection:
    """A talk, which ends with `close` or with the death of this process. Thread: the event loop.

    `on_end(refusal)`: it has ended by itself; None: the capture process has gone.
    """

    def __init__(self, on_ready: Callable[[Ready], None], on_end: Callable[[Refusal | None], None]) -> None:
        self._on_ready = on_ready
        self._on_end = on_end
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def open(self, run_dir: Path, slug: str, by: str) -> None:
        """Raises: StreamUnavailableError."""
        try:
            with unix_address(socket_path(run_dir, slug)) as address:
                reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE_BYTES)
        except OSError as exc:
            raise StreamUnavailableError(
                f"You cannot talk to the camera “{slug}” at the moment: it is disabled, is not an RTSP camera, or is "
                "starting."
            ) from exc
        self._writer = writer
        writer.write(encode({"by": by[:MAX_NAME_CHARS]}))
        self._reading = asyncio.create_task(self._read(reader), name="talk-connection")

    def send(self, pcm: bytes) -> None:
        """Send audio: 16 bits, little-endian, mono; whole samples."""
        writer = self._writer
        if (
            writer is None
            or writer.is_closing()
            or writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES
        ):
            return
        writer.write(pcm)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        refusal: Refusal | None = None
        with contextlib.suppress(OSError, ValueError, NinjacamError):
            while refusal is None and (line := await reader.readline()):
                refusal = self._take(decode(line))
        self._on_end(refusal)

    def _take(self, message: dict[str, Any]) -> Refusal | None:
        if ready := message.get("ready"):
            self._on_ready(Ready(int(ready["rate_hz"]), str(ready["codec"])))
        if error := message.get("error"):
            return Refusal(error_of(error), str(message.get("by") or ""))
        return None

    def close(self) -> None:
        """Idempotent."""
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None

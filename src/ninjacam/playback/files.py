"""Reads recorded files in the worker's threads, in chunks."""

import os
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from ninjacam.recordings.clip import Piece, shift_times
from ninjacam.viewers.file_threads import FileThreads

CHUNK_BYTES = 128 << 10
"""Size of chunks in bytes, and memory of one response; the lowest speed that SEND_TIMEOUT_S allows is 13 KB/s.
"""


class OpenFile:
    """Keeps one file open at a time, so that its deletion does not affect readers. Thread: any, one after another."""

    def __init__(self) -> None:
        # An abandoned read may still run when the file is closed.
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._descriptor = -1
        self._closed = False

    def read(self, path: Path, offset: int, size_bytes: int) -> bytes:
        """Return a part of a file. Raises: OSError: it is missing, or too short."""
        with self._lock:
            if self._closed:
                raise OSError("closed")
            if self._path != path:
                self._release()
                self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self._path = path
            data = os.pread(self._descriptor, size_bytes, offset)
        if len(data) != size_bytes:
            raise OSError("the file has become shorter")
        return data

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            self._closed = True
            self._release()

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._path = -1, None


async def read_pieces(
    threads: FileThreads, pieces: Sequence[Piece], skip_bytes: int, size_bytes: int
) -> AsyncGenerator[bytes, None]:
    """Yield `size_bytes` of the concatenated pieces, from `skip_bytes` on, in chunks of at most CHUNK_BYTES.

    Raises: OSError, DecodeError: a file is missing or has changed.
    """
    file = OpenFile()
    try:
        for piece in pieces:
            if skip_bytes >= piece.size_bytes:
                skip_bytes -= piece.size_bytes
                continue
            at, end = skip_bytes, min(piece.size_bytes, skip_bytes + size_bytes)
            skip_bytes = 0
            size_bytes -= end - at
            while at < end:
                chunk = await _read_chunk(threads, file, piece, at, min(end, at + CHUNK_BYTES))
                at += len(chunk)
                yield chunk
            if not size_bytes:
                return
    finally:
        threads.forget(file.close)


async def _read_chunk(threads: FileThreads, file: OpenFile, piece: Piece, at: int, end: int) -> bytes:
    if piece.path is None:
        return piece.data[at:end]
    if piece.shift is None or at >= CHUNK_BYTES:
        return await threads.run(file.read, piece.path, piece.offset + at, end - at)
    head_bytes = min(piece.size_bytes, CHUNK_BYTES)
    head = shift_times(await threads.run(file.read, piece.path, piece.offset, head_bytes), piece.shift)
    return head[at:end]

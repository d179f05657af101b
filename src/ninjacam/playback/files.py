"""Reading recorded files beside the event loop: a few threads for the whole worker, whatever the number of viewers."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from ninjacam.recordings.clip import Piece, shift_times

T = TypeVar("T")
THREADS = 4
"""A read takes some ms of a thread, and a disk does not become faster by more of them."""
CHUNK_BYTES = 128 << 10
"""What a response holds in memory; at the least speed that SEND_TIMEOUT_S lets pass it is 13 KB/s."""


class Files:
    """Runs what blocks on a disk."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None  # made at the first use, which is after any fork

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads(), function, *arguments)

    def forget(self, function: Callable[[], None]) -> None:
        """Run it some time, not waited for."""
        self._threads().submit(function)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="ninjacam-live-files")
        return self._executor


class OpenFile:
    """One file at a time, kept open: its deletion does not disturb who is reading. Thread: any, one after another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a read that nobody waits for any more may still run when it is closed
        self._path: Path | None = None
        self._descriptor = -1
        self._closed = False

    def read(self, path: Path, offset: int, size_bytes: int) -> bytes:
        """Raises: OSError: gone, or shorter than that."""
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
    files: Files, pieces: Sequence[Piece], skip_bytes: int, size_bytes: int
) -> AsyncGenerator[bytes, None]:
    """`size_bytes` of the pieces one behind the other, from `skip_bytes` on, in chunks of at most CHUNK_BYTES.

    Raises: OSError, DecodeError: a file is gone, or not what it was.
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
                chunk = await _read_chunk(files, file, piece, at, min(end, at + CHUNK_BYTES))
                at += len(chunk)
                yield chunk
            if not size_bytes:
                return
    finally:
        files.forget(file.close)


async def _read_chunk(files: Files, file: OpenFile, piece: Piece, at: int, end: int) -> bytes:
    if piece.path is None:
        return piece.data[at:end]
    if piece.shift is None or at >= CHUNK_BYTES:
        return await files.run(file.read, piece.path, piece.offset + at, end - at)
    head_bytes = min(piece.size_bytes, CHUNK_BYTES)
    head = shift_times(await files.run(file.read, piece.path, piece.offset, head_bytes), piece.shift)
    return head[at:end]

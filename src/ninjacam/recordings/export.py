"""Exports a span of recorded files to one file: copied without changing a sample, or re-encoded.

Blocks; meant for a separate process. The output is synced to disk when a function returns, and removed if it raises.
Not here: decoding and drawing (`recordings.render`), permissions and scheduling (`ninjacam.actions`).
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from ninjacam.core.errors import NinjacamError
from ninjacam.recordings.clip import ClipChangesError, Piece, plan_clip, shift_times

CHUNK_BYTES = 1 << 20
"""Size of reads in bytes. The head of a fragment, prft and moof, is far smaller."""

OnProgress = Callable[[float], None]
"""Receives the progress, from 0 to 1. Called often: the receiver limits the rate."""


class NothingRecordedError(NinjacamError):
    code = "no_recording"
    retryable = False

    def __init__(self) -> None:
        super().__init__("There are no recordings of this span.")


class RecordingGoneError(NinjacamError):
    code = "recording_gone"

    def __init__(self) -> None:
        super().__init__("A recording was deleted during the export. Try again to export the remaining ones.")


class DiskError(NinjacamError):
    """The file cannot be written."""

    code = "disk"

    @classmethod
    def of(cls, error_number: int | None) -> "DiskError":
        if error_number in (errno.ENOSPC, errno.EDQUOT):
            return ExportDiskFullError("The disk is full. Delete exports or recordings, and try again.")
        return cls(f"The export cannot be written: {os.strerror(error_number or errno.EIO)}. Check the disk.")


class ExportDiskFullError(DiskError):
    code = "disk_full"


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """The input of a job process. `paths`: the files of the span, in order. `output`: path of the result.

    `clock`, `zone`: draw the wall clock of this time zone. `view`: the processor to run on each frame. `width_px`:
    0: as recorded. `speed`, `fps`: of a timelapse.
    """

    kind: str
    camera: str
    paths: tuple[str, ...]
    start_ns: int
    end_ns: int
    output: str
    clock: bool = False
    zone: str = "UTC"
    view: str = ""
    width_px: int = 0
    speed: float = 1.0
    fps: int = 25

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ExportSpec":
        return cls(**{**values, "paths": tuple(values["paths"])})


@dataclass(frozen=True, slots=True)
class MadeFile:
    size_bytes: int
    sha256: str


def export_copy(
    paths: Sequence[Path], start_ns: int, end_ns: int, output: Path, on_progress: OnProgress
) -> MadeFile:
    """Write the whole clip of `clip.plan_clip`.

    Raises: NothingRecordedError, FormatChangesError, RecordingGoneError, DiskError.
    """
    try:
        plan = plan_clip(paths, start_ns, end_ns)
    except ClipChangesError as exc:
        raise FormatChangesError(exc.at_ns) from exc
    if plan is None:
        raise NothingRecordedError
    digest = hashlib.sha256()
    total_bytes, done_bytes = plan.size_bytes, 0
    with writing(output) as file:
        for chunk in iter_bytes(plan.pieces):
            digest.update(chunk)
            write_all(file, chunk)
            done_bytes += len(chunk)
            on_progress(done_bytes / total_bytes)
    return MadeFile(done_bytes, digest.hexdigest())


class FormatChangesError(ClipChangesError):
    def __init__(self, at_ns: int) -> None:
        super().__init__(at_ns)
        seconds, rest_ns = divmod(at_ns, 1_000_000_000)
        at = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest_ns // 1000)
        self.args = (
            f"{self.args[0]} Export the time before {at:%Y-%m-%dT%H:%M:%S.%fZ} and the time after it separately, "
            "or draw the clock, which re-encodes the video.",
        )


@contextlib.contextmanager
def writing(output: Path) -> Iterator[BinaryIO]:
    """Yield a new file with mode 0600, unbuffered. It is synced at the end of the block, and removed if the block
    raises.

    Raises: DiskError.
    """
    try:
        descriptor = os.open(output, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
    try:
        with open(descriptor, "r+b", buffering=0) as file:
            yield file
            try:
                os.fsync(file.fileno())
            except OSError as exc:
                raise DiskError.of(exc.errno) from exc
    except BaseException:
        with contextlib.suppress(OSError):
            output.unlink()
        raise


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all data. Raises: DiskError."""
    view = memoryview(data)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc


def iter_bytes(pieces: Sequence[Piece]) -> Iterator[bytes]:
    """Yield the data of the pieces in chunks. Raises: RecordingGoneError."""
    path: Path | None = None
    with contextlib.ExitStack() as stack:
        file: BinaryIO | None = None
        for piece in pieces:
            if piece.path is None:
                yield piece.data
                continue
            if piece.path != path or file is None:
                stack.close()
                try:
                    file = stack.enter_context(open(piece.path, "rb", buffering=0))
                except OSError as exc:
                    raise RecordingGoneError from exc
                path = piece.path
            at = 0
            while at < piece.size_bytes:
                data = _read(file, piece.offset + at, min(CHUNK_BYTES, piece.size_bytes - at))
                yield shift_times(data, piece.shift) if piece.shift and not at else data
                at += len(data)


def _read(file: BinaryIO, offset: int, size_bytes: int) -> bytes:
    """Return a part of the file. Raises: RecordingGoneError: the file is too short, or cannot be read."""
    try:
        data = os.pread(file.fileno(), size_bytes, offset)
    except OSError as exc:
        raise RecordingGoneError from exc
    if len(data) != size_bytes:
        raise RecordingGoneError
    return data


def digest_file(file: BinaryIO) -> MadeFile:
    """Return the size and digest of the file's contents. Raises: DiskError."""
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        while chunk := os.pread(file.fileno(), CHUNK_BYTES, size_bytes):
            digest.update(chunk)
            size_bytes += len(chunk)
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
    return MadeFile(size_bytes, digest.hexdigest())

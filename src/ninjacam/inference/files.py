"""Reads model files with a limit on their size, and checks what they are."""

import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ninjacam.core.errors import ModelError
from ninjacam.inference.onnx_header import ModelHeader, NotOnnxError, read_header

MAX_MODEL_BYTES = 512 << 20
"""Maximum size of a model file, which is read into memory. Large detectors have 300 MB."""
MAX_HASHES = 64
"""Maximum number of files whose hashes are kept."""


FileVersion: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, times and size: differs when the content does."""
_hashes: OrderedDict[FileVersion, str] = OrderedDict()


class ModelFile(NamedTuple):
    """A model file that was read."""

    content: bytes
    version: FileVersion


def read_file(path: Path) -> ModelFile:
    """Raises: ModelError: the file is missing, empty or too large."""
    try:
        with path.open("rb") as file:
            version = _version_of(os.fstat(file.fileno()))
            size_bytes = version[-1]
            content = b"" if size_bytes > MAX_MODEL_BYTES else file.read(MAX_MODEL_BYTES + 1)
    except OSError as exc:
        raise ModelError(f"{path.name} cannot be read: {exc.strerror}.") from exc
    if max(size_bytes, len(content)) > MAX_MODEL_BYTES:
        raise ModelError(
            f"{path.name} has {size_bytes >> 20} MB; a model has at most {MAX_MODEL_BYTES >> 20} MB. Use a smaller one."
        )
    if not content:
        raise ModelError(f"{path.name} is empty. Copy it again.")
    return ModelFile(content, version)


def file_version(path: Path) -> FileVersion:
    """Raises: OSError."""
    return _version_of(path.stat())


def _version_of(found: os.stat_result) -> FileVersion:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def sha256_of(file: ModelFile) -> str:
    """Return the hash of a file, which a process computes once for each version of it. Thread: any."""
    found = _hashes.get(file.version)
    if found is None:
        found = _hashes[file.version] = hashlib.sha256(file.content).hexdigest()
        while len(_hashes) > MAX_HASHES:
            _hashes.popitem(last=False)
    return found


def check_header(content: bytes, file_name: str) -> ModelHeader:
    """Raises: ModelError: it is not an ONNX model."""
    try:
        return read_header(content)
    except NotOnnxError as exc:
        raise ModelError(f"{file_name} {exc}. Copy or download it again.") from exc

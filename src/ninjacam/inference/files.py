"""Reads model files with a limit on their size, and checks what they are."""

import hashlib
from pathlib import Path

from ninjacam.core.errors import ModelError
from ninjacam.inference.onnx_header import ModelHeader, NotOnnxError, read_header

MAX_MODEL_BYTES = 512 << 20
"""Maximum size of a model file, which is read into memory. Large detectors have 300 MB."""


def read_file(path: Path) -> bytes:
    """Raises: ModelError: the file is missing, empty or too large."""
    try:
        with path.open("rb") as file:
            size_bytes = path.stat().st_size
            content = b"" if size_bytes > MAX_MODEL_BYTES else file.read(MAX_MODEL_BYTES + 1)
    except OSError as exc:
        raise ModelError(f"{path.name} cannot be read: {exc.strerror}.") from exc
    if max(size_bytes, len(content)) > MAX_MODEL_BYTES:
        raise ModelError(
            f"{path.name} has {size_bytes >> 20} MB; a model has at most {MAX_MODEL_BYTES >> 20} MB. Use a smaller one."
        )
    if not content:
        raise ModelError(f"{path.name} is empty. Copy it again.")
    return content


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def check_header(content: bytes, file_name: str) -> ModelHeader:
    """Raises: ModelError: it is not an ONNX model."""
    try:
        return read_header(content)
    except NotOnnxError as exc:
        raise ModelError(f"{file_name} {exc}. Copy or download it again.") from exc

"""Keeps the frame on which a processor has failed as a ZIP file, with a test that repeats the failure.

The file may be sent to others, so it contains neither secret options nor logins of URLs.
"""

import contextlib
import io
import json
import logging
import os
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ninjacam.core.errors import EncodeError, NinjacamError, ProcessorError
from ninjacam.core.frames import Frame
from ninjacam.core.options import properties_of
from ninjacam.core.processors import Registration
from ninjacam.core.redact import MASK, redact_url
from ninjacam.core.times import to_datetime
from ninjacam.vision.code import DATA_MODULE

logger = logging.getLogger("ninjacam.vision")

KEEP_EVERY_NS = 10_000_000_000
"""Minimum interval between two files of one view: encoding a frame takes some ten milliseconds."""
MAX_KEPT = 64
"""Maximum number of files on a host. The newest ones stay."""
MAX_KEPT_BYTES = 256 << 20
"""Maximum size of all files. The newest one stays in any case."""
_SECRET_SCHEMA = ('"writeOnly": true', '"format": "password"')
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?(_|\Z)|pwd|token|secret|credential|(api|access|private)_?key|auth", re.I
)


def failure_path(run_dir: Path, camera: str, view: str) -> Path:
    """Return where the last failure of a view is kept."""
    return run_dir / "failures" / f"{camera}@{view}.zip"


class FailureCases:
    """`run_dir`: of the host. Thread: any, but one at a time for each view."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._kept_ns: dict[tuple[str, str], int] = {}

    def keep(
        self,
        entry: Registration,
        frame: Frame,
        load_bgr: Callable[[], Any],
        error: ProcessorError,
        values: Mapping[str, Any],
    ) -> None:
        """Write the file, unless the last one was a moment ago. `load_bgr`: returns the image as it was decoded.
        `values`: of the processor's options.
        """
        key = frame.camera, entry.name
        if frame.received_ns - self._kept_ns.get(key, -KEEP_EVERY_NS) < KEEP_EVERY_NS:
            return
        self._kept_ns[key] = frame.received_ns
        path = failure_path(self._run_dir, *key)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            made = _to_zip(entry, frame, load_bgr(), error, without_secrets(entry, values))
            path.parent.mkdir(mode=0o700, exist_ok=True)
            unfinished.write_bytes(made)
            unfinished.replace(path)
            _remove_oldest(path.parent)
        except (
            OSError,
            NinjacamError,
            MemoryError,
        ) as exc:  # The error of the processor counts, not this one.
            with contextlib.suppress(OSError):
                unfinished.unlink(missing_ok=True)
            reason = exc.strerror if isinstance(exc, OSError) else exc
            logger.warning("%s: the failure of %s cannot be kept: %s", *key, reason)


def _remove_oldest(directory: Path) -> None:
    """Keep the newest files within the limits. Another worker may remove files meanwhile. Raises: OSError."""
    found = []
    for path in directory.iterdir():
        with contextlib.suppress(FileNotFoundError):
            stat = path.stat()
            found.append((stat.st_mtime_ns, stat.st_size, path))
    total_bytes = 0
    for number, (_, size_bytes, path) in enumerate(sorted(found, reverse=True)):
        total_bytes += size_bytes
        if number and (number >= MAX_KEPT or total_bytes > MAX_KEPT_BYTES):
            path.unlink(missing_ok=True)


def without_secrets(entry: Registration, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of options, without secret ones: by their schema (as of pydantic's SecretStr) or name."""
    schemas = properties_of(entry.options_schema or {})
    return {
        name: MASK if _is_secret(name, schemas.get(name, {})) else _without_logins(value)
        for name, value in values.items()
    }


def _is_secret(name: str, schema: Any) -> bool:
    described = json.dumps(schema)  # Of an optional value, the schema of the secret is inside.
    return any(mark in described for mark in _SECRET_SCHEMA) or _SECRET_NAME.search(name) is not None


def _without_logins(value: Any) -> Any:
    if isinstance(value, str):
        return redact_url(value)
    if isinstance(value, list):
        return [_without_logins(each) for each in value]
    if isinstance(value, dict):
        return {
            name: MASK if _is_secret(str(name), {}) else _without_logins(each) for name, each in value.items()
        }
    return value


def _to_zip(
    entry: Registration, frame: Frame, image: Any, error: ProcessorError, values: dict[str, Any]
) -> bytes:
    import cv2

    try:
        _, png = cv2.imencode(".png", image)
    except cv2.error as exc:
        raise EncodeError("The frame cannot be encoded as PNG.") from exc
    name = entry.name.replace("-", "_")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}_failure/frame.png", png.tobytes())
        archive.writestr(f"{name}_failure/test_{name}.py", write_test(entry, frame, values))
        archive.writestr(f"{name}_failure/traceback.txt", redact_url(f"{error.message}\n\n{error.traceback}"))
    return buffer.getvalue()


def write_test(entry: Registration, frame: Frame, values: dict[str, Any]) -> str:
    """Return the source of a test that calls the processor with the frame."""
    definition = entry.function or entry.make
    symbol = str(getattr(definition, "__name__", entry.name))
    module = "cameras" if entry.module == DATA_MODULE else entry.module
    at = to_datetime(frame.captured_ns)
    imports = [symbol]
    if entry.function is not None:
        arguments = "made"
        if entry.options is not None:
            model = str(getattr(entry.options, "__name__", "Options"))
            imports.append(model)
            arguments = f"made, {model}(**{values!r})"
        calls = [f"{symbol}({arguments})"]
    else:
        options = "None" if entry.options is None else f"processor.Options(**{values!r})"
        calls = [
            f"processor = {symbol}()  # Its state was another one.",
            f"processor.setup({frame.camera!r}, {options})",
            "processor.process(made)",
        ]
    masked = [f"# “{MASK}” replaces secrets, which are not kept."] if MASK in repr(values) else []
    zones = [f"Zone({zone.name!r}, {zone.kind!r}, {[*zone.fractions]!r})," for zone in frame.zones.values()]
    chain = [f"# Pass results={{{entry.after!r}: Result(...)}}, which are not kept."] if entry.after else []
    lines = [
        f'"""{entry.name} failed on this frame of {frame.camera}. See traceback.txt.',
        "",
        f"Captured at {at:%Y-%m-%d %H:%M:%S} UTC.",
        '"""',
        "",
        "from pathlib import Path",
        "",
        "import cv2",
        "",
        "from ninjacam import Zone",
        "from ninjacam.testing import frame",
        f"from {module} import {', '.join(sorted(imports))}",
        "",
        "",
        f"def test_{entry.name.replace('-', '_')}_processes_the_frame() -> None:",
        '    image = cv2.imread(str(Path(__file__).with_name("frame.png")))',
        "    zones: list[Zone] = [",
        *(f"        {each}" for each in zones),
        "    ]",
        *(f"    {each}" for each in chain),
        f"    made = frame(image, camera={frame.camera!r}, number={frame.number}, zones=zones)",
        *(f"    {each}" for each in (*masked, *calls)),
        "",
    ]
    return "\n".join(lines)

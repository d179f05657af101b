"""Loads models, each once per process."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ninjacam.core.errors import ModelError, ProcessorError
from ninjacam.core.processors import FairLock
from ninjacam.inference.catalogue import by_sha256
from ninjacam.inference.engines import Device
from ninjacam.inference.files import MAX_HASHES, file_version
from ninjacam.inference.location import get_models_dir
from ninjacam.inference.model import Model
from ninjacam.inference.network import Network
from ninjacam.inference.opening import engine_for, open_network
from ninjacam.inference.spec import ModelSpec
from ninjacam.inference.stored import StoredModel, describe_file, find_stored, read_stored
from ninjacam.inference.trial import try_model

MAX_LOADED = 8
"""Networks that a process keeps although no processor uses them, so that the next viewer does not wait for one."""
WAIT_S = 60.0
"""Longest wait for models that other threads are loading."""

RETRY_S = 30.0
"""Seconds after which a model that has failed is opened again, if its file has not changed before."""

_Key: TypeAlias = tuple[Path, int, int, ModelSpec, int, str]
_loaded: OrderedDict[_Key, Network] = OrderedDict()
_failed: dict[_Key, tuple[str, float]] = {}
"""The message, and when it failed (monotonic, seconds); the latest one last."""
_described: dict[tuple[Path, tuple[int, ...], str, tuple[str, ...]], tuple[ModelSpec, tuple[str, ...]]] = {}
"""Descriptions of ONNX files that were loaded by their path: only the first camera's processor reads the file."""
_turns = FairLock()


def load_model(
    name_or_path: str | Path, *, decoder: str = "", labels: Sequence[str] = (), device: Device = "auto"
) -> Model:
    """Load a model, or return it if this process has loaded it. Any thread may call it, and the model.

    `name_or_path`: the name of a model that `ninjacam models` has installed; or the path of a directory with such a
    model, or of an ONNX file. `decoder`, `labels`: for an ONNX file that is not in the catalogue. `device`: "auto" uses
    the fastest one that works. A device that does not work is replaced by the CPU, with one line in the log.

    Takes up to a second the first time: call it in `setup`.

    Raises: ModelError, ConfigError: with one sentence for people.
    """
    stored = _find(name_or_path, decoder, labels)
    try:
        with _turns.turn(WAIT_S):
            network = _load_once(stored, device)
    except TimeoutError as exc:
        raise ProcessorError("Other models take too long to load. Try again.") from exc
    return Model(stored.name, stored.labels, network, stored.spec.score)


def _find(name_or_path: str | Path, decoder: str, labels: Sequence[str]) -> StoredModel:
    """Raises: ModelError, ConfigError."""
    text = str(name_or_path)
    if isinstance(name_or_path, str) and "/" not in text and not text.endswith(".onnx"):
        return find_stored(get_models_dir(), text)
    path = Path(name_or_path)
    if path.is_dir():
        return read_stored(path)
    try:
        key = path.resolve(), file_version(path), decoder, tuple(labels)
    except OSError:
        key = None
    described = _described.get(key) if key is not None else None
    if described is None:
        described = describe_file(path, decoder, labels)
        if key is not None:
            _described[key] = described
            while len(_described) > MAX_HASHES:
                _described.pop(next(iter(_described)), None)
    spec, found = described
    return StoredModel(path.stem, path, spec, found)


def _load_once(stored: StoredModel, device: Device) -> Network:
    try:
        found = stored.file.stat()
    except OSError as exc:
        raise ModelError(f"{stored.file.name} cannot be read: {exc.strerror}.") from exc
    path = stored.file.resolve()
    key = (path, found.st_mtime_ns, found.st_size, stored.spec, len(stored.labels), device)
    network = _loaded.get(key)
    if network is None:
        network = _loaded[key] = _open_once(stored, device, key)
        for old in [each for each in _loaded if each[0] == path and each[1:3] != key[1:3]]:
            del _loaded[old]  # An earlier content of the same file.
    _loaded.move_to_end(key)
    while len(_loaded) > MAX_LOADED:
        _loaded.popitem(last=False)
    return network


def _open_once(stored: StoredModel, device: Device, key: _Key) -> Network:
    """Views that fail are made again twice a second: a file that has failed is refused without another trial."""
    message, failed_s = _failed.pop(key, ("", 0.0))
    if message and time.monotonic() - failed_s < RETRY_S:
        _failed[key] = message, failed_s
        raise ModelError(message)
    try:
        if not _is_tried(stored):
            try_model(stored, device)
        return open_network(stored, device)
    except ModelError as exc:
        _failed[key] = exc.message, time.monotonic()
        while len(_failed) > MAX_LOADED:
            del _failed[next(iter(_failed))]
        raise


def _is_tried(stored: StoredModel) -> bool:
    """Return whether the engine has run this file before, or whether we know the file: it will not crash."""
    spec = stored.spec
    if not spec.sha256:
        return False
    return by_sha256(spec.sha256) is not None or spec.tried_with == engine_for(spec)

"""Loads models, each once per process."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ninjacam.core.errors import ModelError, ProcessorError
from ninjacam.core.processors import FairLock
from ninjacam.inference.candidates import MismatchError
from ninjacam.inference.decoders.registry import DECODERS
from ninjacam.inference.engines import Device, open_engine
from ninjacam.inference.faces import FaceNetwork
from ninjacam.inference.files import check_header, read_file, sha256_of
from ninjacam.inference.location import get_models_dir
from ninjacam.inference.model import Model, translated
from ninjacam.inference.model_inputs import declared_size
from ninjacam.inference.network import DecodedNetwork, Network
from ninjacam.inference.onnx_header import ModelHeader
from ninjacam.inference.spec import MIN_SIZE_PX, ModelSpec
from ninjacam.inference.stored import StoredModel, describe_file, find_stored, read_stored

MAX_LOADED = 8
"""Networks that a process keeps although no processor uses them, so that the next viewer does not wait for one."""
WAIT_S = 60.0
"""Longest wait for models that other threads are loading."""
MIN_SCORE = 0.01

_Key: TypeAlias = tuple[Path, int, int, ModelSpec, int, str]
_loaded: OrderedDict[_Key, Network] = OrderedDict()
_turns = FairLock()


def load_model(
    name_or_path: str | Path, *, decoder: str = "", labels: Sequence[str] = (), device: Device = "auto"
) -> Model:
    """Load a model, or return it if this process has loaded it. Any thread may call it, and the model.

    `name_or_path`: the name of a model that `ninjacam models` has installed; or the path of a directory with such a
    model, or of an ONNX file. `decoder`, `labels`: for an ONNX file that is not in the catalogue. `device`: "auto" uses
    the fastest one that works. A device that does not work is replaced by the CPU, with one line in the log.

    Takes 0.1 to 1 s the first time: call it in `setup`. Raises: ModelError, ConfigError: with one sentence for people.
    """
    stored = _find(name_or_path, decoder, labels)
    try:
        with _turns.turn(WAIT_S):
            network = _load_once(stored, device)
    except TimeoutError as exc:
        raise ProcessorError("Other models take too long to load. Try again.") from exc
    return Model(stored.name, stored.labels, network, stored.spec.score)


def open_network(stored: StoredModel, device: Device) -> Network:
    """Load a network into memory, and run it once. Raises: ModelError, ConfigError."""
    content = read_file(stored.file)
    if stored.spec.sha256 and sha256_of(content) != stored.spec.sha256:
        raise ModelError(
            f"The file of the model “{stored.name}” has changed since it was added. Remove it, and add it again."
        )
    header = check_header(content, stored.file.name)
    with translated(stored.name):
        network = _open(stored, content, header, device)
        width_px, height_px = stored.spec.input_size
        network.detect([np.zeros((height_px, width_px, 3), np.uint8)], MIN_SCORE)
    return network


def _find(name_or_path: str | Path, decoder: str, labels: Sequence[str]) -> StoredModel:
    """Raises: ModelError, ConfigError."""
    text = str(name_or_path)
    if isinstance(name_or_path, str) and "/" not in text and not text.endswith(".onnx"):
        return find_stored(get_models_dir(), text)
    path = Path(name_or_path)
    if path.is_dir():
        return read_stored(path)
    spec, found = describe_file(path, decoder, labels)
    return StoredModel(path.stem, path, spec, found)


def _load_once(stored: StoredModel, device: Device) -> Network:
    try:
        found = stored.file.stat()
    except OSError as exc:
        raise ModelError(f"{stored.file} cannot be read: {exc.strerror}.") from exc
    path = stored.file.resolve()
    key = (path, found.st_mtime_ns, found.st_size, stored.spec, len(stored.labels), device)
    network = _loaded.get(key)
    if network is None:
        network = open_network(stored, device)
        for old in [each for each in _loaded if each[0] == path and each[1:3] != key[1:3]]:
            del _loaded[old]  # An earlier content of the same file.
        _loaded[key] = network
    _loaded.move_to_end(key)
    while len(_loaded) > MAX_LOADED:
        _loaded.popitem(last=False)
    return network


def _open(stored: StoredModel, content: bytes, header: ModelHeader, device: Device) -> Network:
    """Raises: ModelError, ConfigError, MismatchError."""
    decode = DECODERS[stored.spec.decoder].decode
    try:
        if decode is None:
            return FaceNetwork(stored.spec, content)
        _check_size(stored.spec, header)
        engine = open_engine(stored.name, content, header, device)
    except RuntimeError as exc:
        raise ModelError(
            f"The model “{stored.name}” (ONNX opset {header.opset}) cannot be loaded: {exc}. "
            "Export it again with another opset, or use another model."
        ) from exc
    return DecodedNetwork(stored.spec, len(stored.labels), header, engine, decode)


def _check_size(spec: ModelSpec, header: ModelHeader) -> None:
    """Raises: MismatchError."""
    for given, declared in zip(spec.input_size, declared_size(header), strict=True):
        if declared not in (None, given) or (declared or given) < MIN_SIZE_PX:
            shown = " x ".join("any" if each is None else str(each) for each in declared_size(header))
            raise MismatchError(
                f"its input is {shown} pixels, not {spec.input_size[0]} x {spec.input_size[1]}"
            )

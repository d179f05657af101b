"""Opens a network: reads its file, checks it, and gives it to an engine.

Not here: which networks are loaded (`loading`).
"""

import numpy as np

from ninjacam.core.errors import ModelError
from ninjacam.inference.decoders.registry import DECODERS, Decode
from ninjacam.inference.engines import Device, find_engines, is_for_cpu, open_engine
from ninjacam.inference.faces import FaceNetwork
from ninjacam.inference.files import check_header, read_file, sha256_of
from ninjacam.inference.free_size import with_free_size
from ninjacam.inference.model import translated
from ninjacam.inference.model_inputs import MismatchError, declared_size
from ninjacam.inference.network import DecodedNetwork, Network
from ninjacam.inference.onnx_header import ModelHeader, read_header
from ninjacam.inference.spec import MIN_SIZE_PX, ModelSpec
from ninjacam.inference.stored import StoredModel

MIN_SCORE = 0.01


def open_network(stored: StoredModel, device: Device) -> Network:
    """Load a network into memory, and run it once. Raises: ModelError, ConfigError."""
    file = read_file(stored.file)
    if stored.spec.sha256 and sha256_of(file) != stored.spec.sha256:
        raise ModelError(
            f"The file of the model “{stored.name}” has changed since it was added. Remove it, and add it again."
        )
    header = check_header(file.content, stored.file.name)
    with translated(stored.name):
        network = _open(stored, file.content, header, device)
        width_px, height_px = stored.spec.input_size
        network.detect([np.zeros((height_px, width_px, 3), np.uint8)], MIN_SCORE)
    return network


def engine_for(spec: ModelSpec) -> str:
    """Return name and version of the engine that runs the network here."""
    engines = find_engines()
    return (engines[-1] if DECODERS[spec.decoder] is None else engines[0]).name


def _open(stored: StoredModel, content: bytes, header: ModelHeader, device: Device) -> Network:
    """Raises: ModelError, ConfigError, MismatchError."""
    decode = DECODERS[stored.spec.decoder]
    try:
        if decode is None:
            return FaceNetwork(stored.spec, content)
        _check_size(stored.spec, header)
        if (network := _open_any_size(stored, content, device, decode)) is not None:
            return network
        engine = open_engine(stored.name, content, header, device)
    except RuntimeError as exc:
        raise ModelError(
            f"The model “{stored.name}” (ONNX opset {header.opset}) cannot be loaded: {exc}. "
            "Export it again with another opset, or use another model."
        ) from exc
    return DecodedNetwork(stored.spec, len(stored.labels), header, engine, decode)


def _open_any_size(stored: StoredModel, content: bytes, device: Device, decode: Decode) -> Network | None:
    """Return the network if it works with images of any size on the CPU; None: it does not.

    Other devices prepare a network for each size, which takes seconds.
    """
    spec = stored.spec
    if spec.letterbox == "none" or not is_for_cpu(device) or (free := with_free_size(content)) is None:
        return None
    try:
        engine = open_engine(stored.name, free, read_header(free), "cpu")
        network = DecodedNetwork(spec, len(stored.labels), read_header(free), engine, decode, any_size=True)
        network.try_sizes()
    except (RuntimeError, MismatchError):
        return None
    return network


def _check_size(spec: ModelSpec, header: ModelHeader) -> None:
    """Raises: MismatchError."""
    for given, declared in zip(spec.input_size, declared_size(header), strict=True):
        if declared not in (None, given) or (declared or given) < MIN_SIZE_PX:
            shown = " x ".join("any" if each is None else str(each) for each in declared_size(header))
            raise MismatchError(
                f"its input is {shown} pixels, not {spec.input_size[0]} x {spec.input_size[1]}"
            )

"""The two networks of a search model, loaded: images and texts to vectors of length 1.

Not here: the process in which a text is mapped (`search_child`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ninjacam.core.errors import ModelError
from ninjacam.inference.candidates import Floats
from ninjacam.inference.engines import Device, InferenceEngine, open_engine
from ninjacam.inference.files import check_header, read_file, sha256_of
from ninjacam.inference.model import translated
from ninjacam.inference.onnx_header import INT64, ModelHeader
from ninjacam.inference.preparation import BgrImage, check_image, place, to_blob
from ninjacam.inference.search_models import (
    IDS_INPUT,
    IMAGE,
    MASK_INPUT,
    MAX_DIMENSIONS,
    TEXT,
    TOKENIZER,
    SearchModel,
    image_input,
    read_tokenizer,
    text_inputs,
)

OUTPUTS = ("image_embeds", "text_embeds", "pooler_output")
"""Usual names of the vector among the outputs; otherwise it is the only one with two dimensions."""
SURROUNDINGS = 2.0
"""Side of the square around an object, in longer sides of its box: the words may describe where the object is."""
MIN_SIDE = 0.25
"""Minimum side of that square, as a fraction of the shorter side of the image: of a few pixels, nothing is
recognized."""
PADDING_TOKENS = {"clip": ("<|endoftext|>",), "siglip": ("<pad>", "</s>")}
ADVICE = 'Install it: pip install "ninjacam[search]"'

Box = tuple[float, float, float, float]


class ImageEncoder:
    """Maps images to vectors. Thread: one."""

    def __init__(self, model: SearchModel, device: Device = "auto") -> None:
        """Raises: ModelError, ConfigError."""
        self._model = model
        path = model.directory / IMAGE
        self._engine, header = _open(model, path, model.spec.image_sha256, device)
        self._input = image_input(header, path.name).name
        self.engine_name, self.device = self._engine.name, self._engine.device

    def embed(self, image: BgrImage, box: Box | None = None) -> Floats:
        """Return a vector, shape (dimensions,). `box`: of the object, in fractions of the image; only its surroundings
        count then. Raises: ModelError, ConfigError.
        """
        shown = check_image(image) if box is None else square_around(check_image(image), box)
        placed, _ = place(shown, self._model.spec.input_size, self._model.spec)
        blob = to_blob([placed], self._model.spec)
        with translated(self._model.name):
            return _vector(self._model, self._engine.run({self._input: blob}))


class TextEncoder:
    """Maps texts to vectors. Thread: one."""

    def __init__(self, model: SearchModel, device: Device = "cpu") -> None:
        """Raises: ModelError, ConfigError."""
        self._model = model
        path = model.directory / TEXT
        self._tokenizer = _open_tokenizer(model)
        self._engine, header = _open(model, path, model.spec.text_sha256, device)
        self._inputs = text_inputs(header, path.name)

    def embed(self, text: str) -> Floats:
        """Return a vector, shape (dimensions,). Raises: ModelError."""
        ids, mask = self._tokens(text)
        arrays = {IDS_INPUT: ids, MASK_INPUT: mask}
        inputs = {
            name: np.array([arrays[name]], np.int64 if info.dtype == INT64 else np.int32)
            for name, info in self._inputs.items()
        }
        with translated(self._model.name):
            return _vector(self._model, self._engine.run(inputs))

    def _tokens(self, text: str) -> tuple[list[int], list[int]]:
        """Return the ids of the tokens, and 1 for each that is not padding. Texts that are too long are cut, but keep
        their last token, which marks the end.
        """
        spec = self._model.spec
        ids = [int(each) for each in self._tokenizer.encode(text.lower()).ids]
        if len(ids) > spec.max_tokens:
            ids = [*ids[: spec.max_tokens - 1], ids[-1]]
        padding = spec.max_tokens - len(ids) if spec.pads else 0
        return [*ids, *[self._padding_id()] * padding], [1] * len(ids) + [0] * padding

    def _padding_id(self) -> int:
        found = (self._tokenizer.token_to_id(name) for name in PADDING_TOKENS[self._model.spec.family])
        return next((int(each) for each in found if each is not None), 0)


def square_around(image: BgrImage, box: Box) -> BgrImage:
    """Return the part of the image around a box: a square that is moved, but not shrunk, to stay inside the image.

    `box`: left, top, right, bottom in fractions of the image. The result is a view of `image`.
    """
    height_px, width_px = image.shape[:2]
    shorter_px = min(width_px, height_px)
    left, top, right, bottom = (
        min(1.0, max(0.0, edge)) * size
        for edge, size in zip(box, (width_px, height_px) * 2, strict=True)
    )  # fmt: skip
    side = SURROUNDINGS * max(right - left, bottom - top)
    side_px = min(shorter_px, max(1, round(max(side, MIN_SIDE * shorter_px))))
    from_x = min(max(0, round((left + right - side_px) / 2)), width_px - side_px)
    from_y = min(max(0, round((top + bottom - side_px) / 2)), height_px - side_px)
    return image[from_y : from_y + side_px, from_x : from_x + side_px]


def _open(model: SearchModel, path: Path, sha256: str, device: Device) -> tuple[InferenceEngine, ModelHeader]:
    """Raises: ModelError, ConfigError."""
    file = read_file(path)
    if sha256 and sha256_of(file) != sha256:
        raise ModelError(
            f"A file of the model “{model.name}” has changed since it was added. Remove it, and add it again."
        )
    header = check_header(file.content, path.name)
    with translated(model.name):
        return open_engine(model.name, file.content, header, device), header


def _open_tokenizer(model: SearchModel) -> Any:
    """Raises: ModelError: the library is missing, or it refuses the file."""
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise ModelError(f"The search by words needs the package tokenizers. {ADVICE}") from exc
    content = read_tokenizer(model.directory / TOKENIZER)
    try:
        tokenizer = Tokenizer.from_str(content.decode())
        tokenizer.no_truncation()
        tokenizer.no_padding()
    except Exception as exc:  # Its errors have no common base class besides Exception.
        raise ModelError(f"{TOKENIZER} of the model “{model.name}” is not a tokenizer.") from exc
    return tokenizer


def _vector(model: SearchModel, outputs: dict[str, npt.NDArray[Any]]) -> Floats:
    """Return the vector of one image or text, scaled to length 1. Raises: ModelError."""
    flat = [array for array in outputs.values() if array.ndim == 2]
    named = [outputs[name] for name in OUTPUTS if name in outputs]
    found = named[0] if named else flat[0] if len(flat) == 1 else None
    if found is None or found.ndim != 2 or len(found) != 1 or not 1 <= found.shape[1] <= MAX_DIMENSIONS:
        shapes = ", ".join(f"{name} {tuple(array.shape)}" for name, array in outputs.items())
        raise ModelError(f"The model “{model.name}” returns no vector, but {shapes[:200]}.")
    vector = np.asarray(found[0], np.float32)
    length = float(np.linalg.norm(vector)) if np.isfinite(vector).all() else 0.0
    if not 0 < length < np.inf:
        raise ModelError(f"The model “{model.name}” returns a vector that is not finite, or zero.")
    if model.spec.dimensions not in (0, len(vector)):
        raise ModelError(
            f"The model “{model.name}” returns {len(vector)} numbers, not {model.spec.dimensions}."
        )
    return np.asarray(vector / length, np.float32)

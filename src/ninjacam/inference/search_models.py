"""Models for search by words, on disk: two ONNX networks that map images and texts to vectors of one space, such as
CLIP, and the tokenizer of the texts.

Each is a directory with `image.onnx`, `text.onnx`, `tokenizer.json` and `search.json`. Not here: running them
(`search_networks`).
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, ValidationError

from ninjacam.core.errors import ModelError
from ninjacam.inference.files import check_header, read_file, sha256_of
from ninjacam.inference.onnx_header import FLOAT, INT32, INT64, ModelHeader, TensorInfo
from ninjacam.inference.spec import InputSpec, first_problem, read_text
from ninjacam.inference.stored import SEARCH_SPEC, new_model

IMAGE, TEXT, TOKENIZER = "image.onnx", "text.onnx", "tokenizer.json"
MAX_TOKENIZER_BYTES = 64 << 20
"""Tokenizers of many languages have 34 MB."""
MAX_DIMENSIONS = 4096
VERSION_CHARS = 16
IDS_INPUT, MASK_INPUT = "input_ids", "attention_mask"

_CLIP_MEAN = (122.771, 116.746, 104.094)
_CLIP_SCALE = (1 / 68.5005, 1 / 66.6322, 1 / 70.3232)
_HALF = (127.5, 127.5, 127.5)
FAMILIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "clip": {"mean": _CLIP_MEAN, "scale": _CLIP_SCALE, "input_size": (224, 224), "max_tokens": 77},
        "siglip": {
            "mean": _HALF, "scale": tuple(1 / each for each in _HALF), "input_size": (224, 224),
            "max_tokens": 64, "pads": True,
        },
    }
)  # fmt: skip
"""How the networks of a family are called, unless the user specifies another input."""


class SearchSpec(InputSpec):
    """How images and texts are prepared. `max_tokens`: of a text; `pads`: whether all texts are padded to that length,
    as in training. `dimensions`: of the vectors. `..._sha256`: of the files. `tried_with`: the engine that has run both
    networks without a crash.
    """

    family: Literal["clip", "siglip"]
    letterbox: Literal["corner", "center", "none"] = "none"
    colors: Literal["bgr", "rgb"] = "rgb"
    max_tokens: int = Field(77, ge=2, le=1024)
    pads: bool = False
    dimensions: int = Field(0, ge=0, le=MAX_DIMENSIONS)
    image_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    text_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    tokenizer_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    tried_with: str = ""
    licence: str = ""
    source: str = ""

    @property
    def version(self) -> str:
        """Return a short hash of all that affects the vectors: those of two versions are not comparable."""
        text = self.model_dump_json(exclude={"tried_with", "licence", "source"})
        return hashlib.sha256(text.encode()).hexdigest()[:VERSION_CHARS]


@dataclass(frozen=True, slots=True)
class SearchModel:
    """A model that is not loaded."""

    name: str
    directory: Path
    spec: SearchSpec

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values, for another process."""
        return {
            "name": self.name,
            "directory": str(self.directory.absolute()),
            "spec": self.spec.model_dump(mode="json"),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SearchModel":
        """Raises: ModelError: the description is invalid."""
        return cls(str(values["name"]), Path(values["directory"]), make_search_spec(values["spec"]))


def make_search_spec(values: Mapping[str, Any]) -> SearchSpec:
    """Return the description with the defaults of its family. Raises: ModelError: a value is invalid."""
    try:
        return SearchSpec.model_validate({**FAMILIES.get(str(values.get("family")), {}), **values})
    except ValidationError as exc:
        raise ModelError(f"The description of the model is invalid: {first_problem(exc)}.") from exc


def list_search_models(models_dir: Path) -> Iterator[tuple[str, SearchModel | ModelError]]:
    """Yield the name of each model by name, and the model or why it cannot be used."""
    try:
        found = sorted(path.parent for path in models_dir.glob(f"[!.]*/{SEARCH_SPEC}"))
    except OSError:
        return
    for directory in found:
        try:
            spec = SearchSpec.model_validate_json(read_text(directory / SEARCH_SPEC))
            yield directory.name, SearchModel(directory.name, directory, spec)
        except ValidationError as exc:
            yield directory.name, ModelError(f"{SEARCH_SPEC} is invalid: {first_problem(exc)}.")
        except ModelError as exc:
            yield directory.name, exc


def find_search_model(models_dir: Path) -> SearchModel | None:
    """Return the model that is used: the first one by name that is usable."""
    return next((each for _, each in list_search_models(models_dir) if isinstance(each, SearchModel)), None)


def describe_search_model(
    image: Path, text: Path, tokenizer: Path, family: str, changes: Mapping[str, Any] | None = None
) -> SearchSpec:
    """Return the description for three files. `changes`: fields that differ from the defaults of the family. Raises:
    ModelError: a file is missing, is too large, or is not such a network."""
    image_file, text_file = read_file(image), read_file(text)
    size = _declared_size(check_header(image_file.content, image.name), image.name)
    tokens = declared_tokens(check_header(text_file.content, text.name), text.name)
    found: dict[str, Any] = {} if size is None else {"input_size": size}
    if tokens is not None:
        found |= {"max_tokens": tokens, "pads": True}
    return make_search_spec(
        {
            "family": family,
            "image_sha256": sha256_of(image_file),
            "text_sha256": sha256_of(text_file),
            "tokenizer_sha256": hashlib.sha256(read_tokenizer(tokenizer)).hexdigest(),
            **found,
            **(changes or {}),
        }
    )


def read_tokenizer(path: Path) -> bytes:
    """Raises: ModelError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKENIZER_BYTES + 1)
    except OSError as exc:
        raise ModelError(f"{path.name} cannot be read: {exc.strerror}.") from exc
    if len(content) > MAX_TOKENIZER_BYTES:
        raise ModelError(f"{path.name} is larger than {MAX_TOKENIZER_BYTES >> 20} MB.")
    return content


def install_search_model(
    models_dir: Path,
    files: tuple[Path, Path, Path],
    name: str,
    spec: SearchSpec,
    check: Callable[[SearchModel], Mapping[str, Any]],
) -> SearchModel:
    """Copy the networks of images and of texts and the tokenizer, under a name that is not in use.

    `check`: is called before the model gets its name, and returns its "dimensions" and the "engine". Raises:
    ModelError; whatever `check` raises.
    """
    with new_model(models_dir, name) as made:
        for source, target in zip(files, (IMAGE, TEXT, TOKENIZER), strict=True):
            shutil.copyfile(source, made / target)
        tried = check(SearchModel(name, made, spec))
        fields = {"dimensions": int(tried["dimensions"]), "tried_with": str(tried["engine"])}
        known = make_search_spec({**spec.model_dump(), **fields})
        (made / SEARCH_SPEC).write_text(known.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return SearchModel(name, models_dir / name, known)


def image_input(header: ModelHeader, file_name: str) -> TensorInfo:
    """Return the input for images, float32, (images, 3, height, width). Raises: ModelError."""
    first = header.inputs[0]
    if (
        len(header.inputs) == 1
        and first.dtype == FLOAT
        and len(first.shape) == 4
        and first.shape[1] in (None, 3)
    ):
        return first
    raise ModelError(
        f"{file_name} does not map images to vectors: it needs one input, float32, (images, 3, height, width)."
    )


def _declared_size(header: ModelHeader, file_name: str) -> tuple[int, int] | None:
    """Return width and height of the input; None: the file declares none. Raises: ModelError."""
    height_px, width_px = image_input(header, file_name).shape[2:]
    return None if width_px is None or height_px is None else (width_px, height_px)


def text_inputs(header: ModelHeader, file_name: str) -> dict[str, TensorInfo]:
    """Return the inputs for texts by name: the ids of tokens and, for some networks, a mask of them. Raises:
    ModelError."""
    found = {each.name: each for each in header.inputs}
    fits = all(each.dtype in (INT64, INT32) and len(each.shape) == 2 for each in header.inputs)
    if IDS_INPUT in found and found.keys() <= {IDS_INPUT, MASK_INPUT} and fits:
        return found
    raise ModelError(
        f"{file_name} does not map texts to vectors: it needs the input `{IDS_INPUT}`, integers, (texts, tokens), and "
        f"may have `{MASK_INPUT}`."
    )


def declared_tokens(header: ModelHeader, file_name: str) -> int | None:
    """Return the number of tokens that each text has; None: any. Raises: ModelError."""
    return text_inputs(header, file_name)[IDS_INPUT].shape[1]

"""Models on disk. Each is a directory with `model.onnx`, `labels.txt` and `model.json`."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ninjacam.core.errors import ModelError
from ninjacam.inference.catalogue import by_name, by_sha256
from ninjacam.inference.decoders.inputs import USUAL_INPUTS
from ninjacam.inference.files import check_header, read_file, sha256_of
from ninjacam.inference.model_inputs import MismatchError, declared_size
from ninjacam.inference.spec import (
    ModelSpec,
    check_labels,
    check_name,
    make_spec,
    parse_spec,
    read_labels,
    read_text,
    write_labels,
)

ONNX, LABELS, SPEC = "model.onnx", "labels.txt", "model.json"
SEARCH_SPEC = "search.json"
"""The description of a model for search by words (`search_models`), which does not detect objects."""
DEFAULT_SIZE_PX = 640
"""Width and height of the input of a model that accepts any size."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that is not loaded. `file`: the ONNX file. `labels`: in the order of its classes."""

    name: str
    file: Path
    spec: ModelSpec
    labels: tuple[str, ...]


def read_stored(directory: Path) -> StoredModel:
    """Read the description and the labels. The ONNX file is read when the model is loaded. Raises: ModelError."""
    name = directory.name
    if (directory / SEARCH_SPEC).is_file():
        raise ModelError(f"The model “{name}” is for the search by words, and finds no objects.")
    if not (directory / ONNX).is_file():
        raise ModelError(f"The model “{name}” has no file {ONNX}. Remove it, and add it again.")
    try:
        spec = parse_spec(read_text(directory / SPEC))
        return StoredModel(name, directory / ONNX, spec, read_labels(directory / LABELS))
    except ModelError as exc:
        raise ModelError(f"The model “{name}” cannot be used: {exc.message}") from exc


def find_stored(models_dir: Path, name: str) -> StoredModel:
    """Raises: ModelError: there is no such model, or it cannot be used."""
    directory = models_dir / check_name(name)
    if directory.is_dir():
        return read_stored(directory)
    if by_name(name) is not None:
        raise ModelError(f"The model “{name}” is not installed. Run: ninjacam models pull {name}")
    raise ModelError(
        f"No model “{name}”. `ninjacam models list` shows the models, `ninjacam models add` adds one."
    )


def list_stored(models_dir: Path) -> Iterator[tuple[str, StoredModel | ModelError]]:
    """Yield the name of each detector, and the model or why it cannot be used."""
    try:
        names = sorted(each.name for each in models_dir.iterdir() if each.is_dir() and each.name[0] != ".")
    except OSError:
        return
    for name in names:
        if (models_dir / name / SEARCH_SPEC).is_file():
            continue
        try:
            yield name, read_stored(models_dir / name)
        except ModelError as exc:
            yield name, exc


def describe_file(
    path: Path, decoder: str = "", labels: Sequence[str] = (), changes: Mapping[str, Any] | None = None
) -> tuple[ModelSpec, tuple[str, ...]]:
    """Return the description and the labels for an ONNX file.

    A file of the catalogue needs neither decoder nor labels. `changes`: fields of the description that differ from the
    decoder's defaults. Raises: ModelError.
    """
    file = read_file(path)
    header = check_header(file.content, path.name)
    known = by_sha256(sha256_of(file))
    if known is not None and decoder in ("", known.spec.decoder):
        spec, labels = known.spec, labels or known.labels
        return make_spec({**spec.model_dump(), **(changes or {})}), check_labels(labels)
    if decoder not in USUAL_INPUTS:
        problem = f"Unknown decoder “{decoder}”" if decoder else f"The decoder of {path.name} is not known"
        raise ModelError(f"{problem}. Specify one of {', '.join(sorted(USUAL_INPUTS))}.")
    if not labels:
        raise ModelError(f"The labels of {path.name} are not known. Specify them, one for each class.")
    try:
        size = declared_size(header)
    except MismatchError as exc:
        raise ModelError(f"{path.name} cannot be used: {exc}.") from exc
    values = {
        "decoder": decoder,
        "sha256": sha256_of(file),
        "input_size": tuple(each or DEFAULT_SIZE_PX for each in size),
        **{key: value for key, value in USUAL_INPUTS[decoder].items() if key == "input_size"},
        **(changes or {}),
    }
    return make_spec(values), check_labels(labels)


def install(
    models_dir: Path,
    file: Path,
    name: str,
    spec: ModelSpec,
    labels: Sequence[str],
    check: Callable[[StoredModel], str],
) -> StoredModel:
    """Copy a file into the directory of models, under a name that is not in use.

    `check`: is called before the model gets its name, and returns the engine that runs it. Raises: ModelError; whatever
    `check` raises.
    """
    with new_model(models_dir, name) as made:
        shutil.copyfile(file, made / ONNX)
        write_labels(made / LABELS, labels)
        tried_with = check(StoredModel(name, made / ONNX, spec, tuple(labels)))
        tried = spec.model_copy(update={"tried_with": tried_with})
        (made / SPEC).write_text(tried.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return read_stored(models_dir / name)


@contextmanager
def new_model(models_dir: Path, name: str) -> Iterator[Path]:
    """Yield an empty directory, which gets the name of the model when the block has ended. Raises: ModelError: the name
    is in use, or the block cannot write."""
    target = models_dir / check_name(name)
    if target.exists():
        raise ModelError(f"A model “{name}” is already installed. Remove it first, or use another name.")
    made = models_dir / f".new-{os.getpid()}" / name
    shutil.rmtree(made.parent, ignore_errors=True)
    try:
        made.mkdir(parents=True)
    except OSError as exc:
        raise ModelError(f"{models_dir} cannot be written: {exc.strerror}.") from exc
    try:
        yield made
        made.rename(target)
    except OSError as exc:  # The disk is full, or another process has installed one of this name meanwhile.
        raise ModelError(f"The model “{name}” cannot be written: {exc.strerror}.") from exc
    finally:
        shutil.rmtree(made.parent, ignore_errors=True)


def remove(models_dir: Path, name: str) -> None:
    """Remove a model. Processes that have loaded it keep it until they end. Raises: ModelError."""
    directory = models_dir / check_name(name)
    if not directory.is_dir():
        raise ModelError(f"No model “{name}” is installed.")
    try:
        shutil.rmtree(directory)
    except OSError as exc:
        raise ModelError(f"The model “{name}” cannot be removed: {exc.strerror}.") from exc

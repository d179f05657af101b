"""`ninjacam models list|add|pull|remove`: networks that processors use."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError

from ninjacam.actions.event_calls import request_earlier_vectors
from ninjacam.conf import get_settings
from ninjacam.core.errors import ModelError
from ninjacam.inference.catalogue import CATALOGUE, by_sha256
from ninjacam.inference.decoders.inputs import USUAL_INPUTS
from ninjacam.inference.pull import pull
from ninjacam.inference.search_child import try_search_model
from ninjacam.inference.search_models import (
    FAMILIES,
    SearchModel,
    describe_search_model,
    install_search_model,
    list_search_models,
)
from ninjacam.inference.spec import COCO, read_labels
from ninjacam.inference.stored import StoredModel, describe_file, install, list_stored, remove
from ninjacam.inference.trial import TrialResult, try_model
from ninjacam.management.base import NinjacamCommand
from ninjacam.management.cameras import table


class Command(NinjacamCommand):
    help = "List, add, download and remove the models that processors load by name."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        listing = verbs.add_parser("list", help="list the installed models and the catalogue")
        listing.add_argument("--json", action="store_true", help="print a JSON array of objects")
        add = verbs.add_parser("add", help="add an ONNX file; it is copied, and tried first")
        add.add_argument("file", type=Path, help="ONNX file")
        add.add_argument("--name", help="name for load_model; default: that of the catalogue or of the file")
        add.add_argument(
            "--decoder",
            default="",
            choices=sorted(USUAL_INPUTS),
            help="how its outputs are decoded; not needed for a model of the catalogue",
        )
        add.add_argument("--labels", metavar="FILE", help="text file with one label on each line, or “coco”")
        add.add_argument(
            "--input-size", nargs=2, type=int, metavar=("W", "H"), help="default: that of the file"
        )
        add.add_argument("--colors", choices=("bgr", "rgb"), help="order of the channels")
        add.add_argument(
            "--mean", nargs=3, type=float, metavar="X", help="subtracted from the channels, 0 to 255"
        )
        add.add_argument(
            "--scale", nargs=3, type=float, metavar="X", help="factors of the channels after that"
        )
        add.add_argument(
            "--letterbox",
            choices=("corner", "center", "none"),
            help="place of the image; none: it is stretched",
        )
        add.add_argument("--padding", type=int, help="brightness around the image, 0 to 255")
        add.add_argument("--score", type=float, help="default threshold, 0 to 1")
        add.add_argument(
            "--text",
            type=Path,
            metavar="FILE",
            help="ONNX file of the network of texts, for the search by words; FILE is then that of images",
        )
        add.add_argument(
            "--tokenizer", type=Path, metavar="FILE", help="tokenizer.json of the network of texts"
        )
        add.add_argument(
            "--family",
            default="clip",
            choices=sorted(FAMILIES),
            help="how both networks are called; default: clip",
        )
        add.add_argument("--licence", help="licence of the weights")
        add.add_argument("--source", help="URL of the model")
        pull_parser = verbs.add_parser("pull", help="download a model of the catalogue")
        pull_parser.add_argument("name", help=", ".join(each.name for each in CATALOGUE))
        removal = verbs.add_parser("remove", help="remove a model")
        removal.add_argument("name")

    def run(self, options: dict[str, Any]) -> None:
        verbs = {"list": self._list, "add": self._add, "pull": self._pull, "remove": self._remove}
        verbs[options["verb"]](options)

    def _list(self, options: dict[str, Any]) -> None:
        installed = list(list_stored(get_settings().models_dir))
        names = {name for name, _ in installed}
        if options["json"]:
            searching = list_search_models(get_settings().models_dir)
            found = [*(_as_json(*each) for each in installed), *(_search_json(*each) for each in searching)]
            self.stdout.write(json.dumps(found, indent=2))
            return
        rows = [_row(name, found) for name, found in installed]
        rows += [_search_row(name, found) for name, found in list_search_models(get_settings().models_dir)]
        rows += [
            (each.name, "ninjacam models pull", each.spec.decoder, each.spec.licence, each.about)
            for each in CATALOGUE
            if each.name not in names
        ]
        for line in table([("name", "state", "decoder", "licence", "finds"), *rows]):
            self.stdout.write(line)

    def _add(self, options: dict[str, Any]) -> None:
        file = options["file"]
        if options["text"] or options["tokenizer"]:
            self._add_search_model(file, options)
            return
        labels = _read_labels(options["labels"], options["decoder"])
        changes = {
            key: options[key]
            for key in (
                "input_size", "colors", "mean", "scale", "letterbox", "padding", "score", "licence", "source"
            )
            if options[key] is not None
        }  # fmt: skip
        spec, labels = describe_file(file, options["decoder"], labels, changes)
        known = by_sha256(spec.sha256)
        name = options["name"] or (known.name if known else file.stem.lower())
        trials: list[TrialResult] = []

        def check(made: StoredModel) -> str:
            trials.append(try_model(made))
            return trials[0].engine

        stored = install(get_settings().models_dir, file, name, spec, labels, check)
        self._report("Added", stored)
        trial = trials[0]
        self.stdout.write(f"One image takes {trial.duration_ms:.0f} ms ({trial.engine}, {trial.device}).")

    def _add_search_model(self, image: Path, options: dict[str, Any]) -> None:
        text, tokenizer = options["text"], options["tokenizer"]
        if not (text and tokenizer):
            raise ModelError("A model for the search by words needs both --text and --tokenizer.")
        names = ("input_size", "colors", "mean", "scale", "letterbox", "padding", "licence", "source")
        changes = {key: options[key] for key in names if options[key] is not None}
        spec = describe_search_model(image, text, tokenizer, options["family"], changes)
        trials: list[dict[str, Any]] = []

        def check(made: SearchModel) -> dict[str, Any]:
            trials.append(try_search_model(made))
            return trials[0]

        name = options["name"] or options["family"]
        made = install_search_model(get_settings().models_dir, (image, text, tokenizer), name, spec, check)
        licence = f", licence {made.spec.licence}" if made.spec.licence else ""
        self.stdout.write(
            f"Added {name}: search by words, {made.spec.dimensions} numbers for each event{licence}."
        )
        with contextlib.suppress(DatabaseError):  # There is none yet, while an image of a container is built.
            request_earlier_vectors(made)
        trial = trials[0]
        self.stdout.write(
            f"One image takes {trial['duration_ms']:.0f} ms ({trial['engine']}, {trial['device']})."
        )

    def _pull(self, options: dict[str, Any]) -> None:
        stored = pull(get_settings().models_dir, options["name"], self._progress)
        self._report("Installed", stored)

    def _remove(self, options: dict[str, Any]) -> None:
        remove(get_settings().models_dir, options["name"])
        self.stdout.write(f"Removed {options['name']}.")

    def _report(self, verb: str, stored: StoredModel) -> None:
        licence = f", licence {stored.spec.licence}" if stored.spec.licence else ""
        self.stdout.write(
            f"{verb} {stored.name}: {len(stored.labels)} labels, decoder {stored.spec.decoder}{licence}. "
            f'In a processor: load_model("{stored.name}")'
        )

    def _progress(self, have: int, size: int) -> None:
        """Print the progress if the output is a terminal."""
        if sys.stderr.isatty():
            end = "\n" if have == size else "\r"
            self.stderr.write(f"{have / 1e6:.1f} of {size / 1e6:.1f} MB", ending=end)


def _read_labels(given: str | None, decoder: str) -> tuple[str, ...]:
    """Return the labels of the option; empty if it is missing. Raises: ModelError."""
    if given == "coco":
        return read_labels(COCO)
    if given:
        return read_labels(Path(given))
    return ("face",) if decoder == "yunet" else ()


def _row(name: str, found: StoredModel | ModelError) -> tuple[str, str, str, str, str]:
    if isinstance(found, ModelError):
        return name, "broken", "-", "-", found.message
    labels = ", ".join(found.labels[:5]) + (", …" if len(found.labels) > 5 else "")
    return name, "installed", found.spec.decoder, found.spec.licence or "-", f"{len(found.labels)}: {labels}"


def _search_row(name: str, found: SearchModel | ModelError) -> tuple[str, str, str, str, str]:
    if isinstance(found, ModelError):
        return name, "broken", "-", "-", found.message
    return name, "installed", found.spec.family, found.spec.licence or "-", "events by words"


def _search_json(name: str, found: SearchModel | ModelError) -> dict[str, Any]:
    if isinstance(found, ModelError):
        return {"name": name, "error": found.message}
    return {"name": name, **found.spec.model_dump(mode="json")}


def _as_json(name: str, found: StoredModel | ModelError) -> dict[str, Any]:
    if isinstance(found, ModelError):
        return {"name": name, "error": found.message}
    return {"name": name, "labels": found.labels, **found.spec.model_dump(mode="json")}

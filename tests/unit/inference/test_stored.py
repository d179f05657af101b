import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.errors import ModelError
from ninjacam.inference import loading
from ninjacam.inference.catalogue import CATALOGUE
from ninjacam.inference.files import read_file, sha256_of
from ninjacam.inference.loading import load_model
from ninjacam.inference.spec import COCO, check_labels, make_spec, parse_spec, read_labels
from ninjacam.inference.stored import (
    StoredModel,
    describe_file,
    find_stored,
    install,
    list_stored,
    read_stored,
    remove,
)
from tests.unit.inference.networks import MODELS, ONE_OBJECT, constant_network

SPEC = make_spec({"decoder": "yolox", "input_size": (64, 64), "licence": "MIT"})
LABELS = ("cat", "dog")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(constant_network({"output": ONE_OBJECT}))
    return path


def add(models_dir: Path, file: Path, name: str = "tiny") -> Path:
    return install(models_dir, file, name, SPEC, LABELS, lambda made: "").file.parent


def test_a_model_is_a_directory_with_three_files(models_dir: Path, file: Path) -> None:
    directory = add(models_dir, file)
    assert sorted(each.name for each in directory.iterdir()) == ["labels.txt", "model.json", "model.onnx"]
    assert (directory / "labels.txt").read_text() == "cat\ndog\n"
    assert json.loads((directory / "model.json").read_text())["licence"] == "MIT"
    stored = find_stored(models_dir, "tiny")
    assert (stored.spec, stored.labels) == (SPEC, LABELS)
    assert [each.name for each in models_dir.iterdir()] == ["tiny"]


def test_a_model_that_does_not_work_is_not_installed(models_dir: Path, file: Path) -> None:
    def check(made: StoredModel) -> str:
        assert made.name == "tiny" and made.file.exists() and not (models_dir / "tiny").exists()
        raise ModelError("It does not work.")

    with pytest.raises(ModelError, match=r"does not work"):
        install(models_dir, file, "tiny", SPEC, LABELS, check)
    assert list(models_dir.iterdir()) == []


def test_a_name_is_used_once(models_dir: Path, file: Path) -> None:
    add(models_dir, file)
    with pytest.raises(ModelError, match=r"“tiny” is already installed. Remove it first"):
        add(models_dir, file)
    remove(models_dir, "tiny")
    add(models_dir, file)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "-x", ".hidden", "A", "x" * 51, "a\n"])
def test_a_name_cannot_leave_the_directory(models_dir: Path, file: Path, name: str) -> None:
    for call in (lambda: add(models_dir, file, name), lambda: remove(models_dir, name)):
        with pytest.raises(ModelError, match=r"cannot be named"):
            call()


def test_removing_a_model_that_is_not_there_is_an_error(models_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"^No model “tiny” is installed.$"):
        remove(models_dir, "tiny")


def test_broken_models_are_listed_with_the_reason(models_dir: Path, file: Path) -> None:
    add(models_dir, file, "good")
    (add(models_dir, file, "no-onnx") / "model.onnx").unlink()
    (add(models_dir, file, "no-labels") / "labels.txt").unlink()
    (add(models_dir, file, "bad-json") / "model.json").write_text('{"decoder": "yolox"}')
    (add(models_dir, file, "bad-text") / "labels.txt").write_bytes(b"\xff\xfe\0")
    (add(models_dir, file, "big-text") / "labels.txt").write_text("x\n" * 1_000_000)
    (models_dir / ".downloads").mkdir()
    (models_dir / "a-file").write_text("x")
    listed = {name: getattr(found, "message", "") for name, found in list_stored(models_dir)}
    assert listed["good"] == "" and listed.keys() == {
        "good", "no-onnx", "no-labels", "bad-json", "bad-text", "big-text"
    }  # fmt: skip
    assert "has no file model.onnx" in listed["no-onnx"]
    assert listed["bad-json"] == (
        "The model “bad-json” cannot be used: model.json is invalid: `input_size`: Field required."
    )
    assert all(f"“{name}”" in text for name, text in listed.items() if text)


def test_no_directory_is_an_empty_list(models_dir: Path) -> None:
    assert list(list_stored(models_dir)) == []


@pytest.mark.parametrize(
    "values",
    [
        {"decoder": "yolo99"},
        {"input_size": (64, 1 << 20)},
        {"input_size": (0, 64)},
        {"scale": (1, 2)},
        {"mean": (1, 2, float("nan"))},
        {"colors": "cmyk"},
        {"padding": 256},
        {"score": 0},
        {"sha256": "x"},
        {"anything": 1},
    ],
)
def test_a_description_is_checked(values: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=f"`{next(iter(values))}"):
        make_spec({"decoder": "yolox", "input_size": (64, 64), **values})


def test_a_description_is_the_same_after_it_was_written() -> None:
    for entry in CATALOGUE:
        assert parse_spec(entry.spec.model_dump_json()) == entry.spec


def test_labels_are_one_on_each_line() -> None:
    assert check_labels(["a ", " b", "", ""]) == ("a", "b")
    assert len(read_labels(COCO)) == 80 and read_labels(COCO)[:3] == ("person", "bicycle", "car")
    for lines in ([], [""], ["x" * 101], ["x"] * 10_001):
        with pytest.raises(ModelError, match=r"1 to 10000 lines"):
            check_labels(lines)


def test_the_input_size_is_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(constant_network({"o": ONE_OBJECT}, shape=(1, 3, 96, "w")))
    spec, labels = describe_file(path, "yolox", LABELS)
    assert spec.input_size == (640, 96) and labels == LABELS and spec.padding == 114
    assert spec.sha256 == sha256_of(read_file(path))
    assert describe_file(path, "yolox", LABELS, {"padding": 3, "input_size": (64, 96)})[0].padding == 3


def test_a_file_that_has_changed_is_not_loaded(models_dir: Path, file: Path) -> None:
    spec, labels = describe_file(file, "yolox", LABELS)
    install(models_dir, file, "tiny", spec, labels, lambda made: "")
    load_model("tiny")
    (models_dir / "tiny/model.onnx").write_bytes(constant_network({"other": ONE_OBJECT}))
    with pytest.raises(
        ModelError, match=r"“tiny” has changed since it was added. Remove it, and add it again."
    ):
        load_model("tiny")


@pytest.mark.parametrize("is_installed", [False, True])
def test_a_file_is_hashed_and_described_once(
    models_dir: Path, file: Path, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    if is_installed:
        spec, labels = describe_file(file, "yolox", LABELS)
        install(models_dir, file, "tiny", spec, labels, lambda made: "")
    hashed: list[int] = []
    real = hashlib.sha256

    def count(data: bytes) -> Any:
        hashed.append(len(data))
        return real(data)

    monkeypatch.setattr("ninjacam.inference.files.hashlib.sha256", count)

    def load() -> None:
        if is_installed:
            load_model("tiny")
        else:
            load_model(file, decoder="yolox", labels=LABELS)

    load()
    loading._loaded.clear()  # Other models have taken its place.
    load()
    load()
    assert len(hashed) == 1
    (models_dir / "tiny/model.onnx" if is_installed else file).write_bytes(
        constant_network({"output": ONE_OBJECT}) + b"\x00"
    )
    with pytest.raises(ModelError):
        load()


def test_the_catalogue_describes_the_files_of_its_authors() -> None:
    files = {sha256_of(read_file(path)): path for path in MODELS.glob("*.onnx")}
    if not files:
        pytest.skip("../shared/models is missing.")
    for entry in CATALOGUE:
        path = files[entry.spec.sha256]
        assert path.stat().st_size == entry.size_bytes and path.name == entry.file_name
        assert entry.url.startswith("https://github.com/") and entry.spec.licence in ("Apache-2.0", "MIT")
        assert describe_file(path)[0].decoder == entry.spec.decoder


def test_a_directory_is_read_by_its_path(models_dir: Path, file: Path) -> None:
    assert read_stored(add(models_dir, file)).name == "tiny"

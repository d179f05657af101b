"""`ninjacam models`, and what `ninjacam doctor` reports about inference."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ninjacam.management.diagnosis import look_at_inference
from ninjacam.models import EventCall
from tests.harness import color_words
from tests.unit.conftest import make_event
from tests.unit.inference.networks import MODELS, ONE_OBJECT, constant_network


@pytest.fixture
def models_dir(settings: Any, tmp_path: Path) -> Path:
    settings.NINJACAM = {"DATA_DIR": tmp_path / "data"}
    return tmp_path / "data" / "models"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "My_Model.onnx"
    path.write_bytes(constant_network({"output": ONE_OBJECT}))
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    return path


def run(*arguments: object) -> str:
    output = StringIO()
    call_command("ninjacam_models", *map(str, arguments), stdout=output, stderr=StringIO())
    return output.getvalue()


def test_a_file_is_added_tried_listed_and_removed(models_dir: Path, file: Path) -> None:
    said = run(
        "add", file, "--decoder", "yolox", "--labels", file.with_name("labels.txt"), "--licence", "MIT"
    )
    assert said.startswith(
        'Added my_model: 2 labels, decoder yolox, licence MIT. In a processor: load_model("my_model")\n'
        "One image takes "
    )
    assert "my_model    installed             yolox    MIT         2: cat, dog" in run("list")
    (listed,) = json.loads(run("list", "--json"))
    assert listed["name"] == "my_model" and listed["labels"] == ["cat", "dog"]
    assert listed["input_size"] == [64, 64]
    assert (models_dir / "my_model").stat().st_mode & 0o77 == 0
    assert run("remove", "my_model") == "Removed my_model.\n"
    assert json.loads(run("list", "--json")) == []


def test_options_override_the_defaults_of_the_decoder(models_dir: Path, file: Path) -> None:
    options = ("--score", "0.7", "--colors", "rgb", "--mean", "1", "2", "3", "--letterbox", "center")
    run("add", file, "--name", "x", "--decoder", "yolox", "--labels", file.with_name("labels.txt"), *options)
    (listed,) = json.loads(run("list", "--json"))
    assert (listed["score"], listed["colors"], listed["mean"]) == (0.7, "rgb", [1, 2, 3])


@pytest.mark.django_db
def test_a_model_for_the_search_by_words_is_added_listed_and_removed(
    models_dir: Path, tmp_path: Path
) -> None:
    event = make_event(snapshot_ns=1)
    pytest.importorskip("tokenizers", reason="tokenizers is not installed (pip install 'ninjacam[search]').")
    image, text, tokenizer = color_words.write_files(tmp_path / "files")
    with pytest.raises(CommandError, match="needs both --text and --tokenizer"):
        run("add", image, "--text", text)
    said = run("add", image, "--text", text, "--tokenizer", tokenizer, "--name", "colors", "--licence", "MIT")
    assert said.startswith(
        "Added colors: search by words, 8 numbers for each event, licence MIT.\nOne image takes "
    )
    assert "colors      installed             clip     MIT         events by words" in run("list")
    (listed,) = json.loads(run("list", "--json"))
    assert (listed["name"], listed["family"], listed["dimensions"]) == ("colors", "clip", 8)
    assert [call.event_id for call in EventCall.objects.all()] == [event.pk], "earlier events follow at once"
    assert run("remove", "colors") == "Removed colors.\n"
    assert json.loads(run("list", "--json")) == []


def test_the_catalogue_is_listed(models_dir: Path) -> None:
    lines = run("list").splitlines()
    assert lines[0].split() == ["name", "state", "decoder", "licence", "finds"]
    assert [line.split()[0] for line in lines[1:]] == ["yolox-nano", "nanodet", "yunet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--decoder", "yolox"), "The labels of My_Model.onnx are not known"),
        ((), "The decoder of My_Model.onnx is not known"),
        (("--decoder", "yolox", "--labels", "coco"), "does not fit its decoder or labels"),
        (("--decoder", "yolox", "--labels", "no.txt"), "no.txt cannot be read"),
        (("--decoder", "yolox", "--labels", "coco", "--name", "../x"), "cannot be named"),
        (("--decoder", "yolox", "--labels", "coco", "--score", "7"), "`score`"),
    ],
)
def test_an_error_is_one_line_and_adds_nothing(
    models_dir: Path, file: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message) as failure:
        run("add", file, *arguments)
    assert "\n" not in str(failure.value)
    assert not models_dir.exists() or list(models_dir.iterdir()) == []


def test_a_file_of_the_catalogue_needs_no_options(models_dir: Path) -> None:
    path = MODELS / "face_detection_yunet_2023mar.onnx"
    if not path.exists():
        pytest.skip("../shared/models has no YuNet.")
    assert "1 labels, decoder yunet, licence MIT" in run("add", path)
    assert [line.split()[1] for line in run("list").splitlines() if line.startswith("yunet")] == ["installed"]


def test_doctor_reports_engines_and_broken_models(models_dir: Path) -> None:
    assert [(each.level, each.text.split()[3]) for each in look_at_inference()] == [
        ("OK", "onnxruntime"),
        ("OK", "OpenCV"),
    ]
    (models_dir / "broken").mkdir(parents=True)
    *_, last = look_at_inference()
    assert last.level == "WARN" and last.text.startswith("The model “broken” has no file model.onnx")

"""Models for the search by words: what is installed, what is refused, and what vectors they make."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam.core.errors import ModelError
from ninjacam.inference import search_models
from ninjacam.inference.search_child import try_search_model
from ninjacam.inference.search_models import (
    SearchModel,
    describe_search_model,
    find_search_model,
    install_search_model,
    list_search_models,
    make_search_spec,
)
from ninjacam.inference.search_networks import ImageEncoder, TextEncoder, square_around
from ninjacam.inference.stored import list_stored, read_stored, remove
from tests.harness import color_words
from tests.unit.inference.networks import SHARED, constant_network

pytest.importorskip("tokenizers", reason="tokenizers is not installed (pip install 'ninjacam[search]').")
COLORS = {"red": (0, 0, 255), "green": (0, 255, 0), "blue": (255, 0, 0)}
"""BGR."""
TRIED = {"dimensions": color_words.VECTOR, "engine": "x"}


def image_of(color: str) -> Any:
    return np.full((90, 160, 3), COLORS[color], np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    return color_words.write_files(tmp_path / "files")


@pytest.fixture
def model(tmp_path: Path, files: tuple[Path, Path, Path]) -> SearchModel:
    spec = describe_search_model(*files, "clip")
    return install_search_model(tmp_path / "models", files, "colors", spec, lambda made: TRIED)


def test_words_are_most_similar_to_images_that_fit_them(model: SearchModel) -> None:
    images, texts = ImageEncoder(model), TextEncoder(model)
    for color in COLORS:
        words = texts.embed(f"A {color.upper()} car at the gate")
        similar = {each: float(images.embed(image_of(each)) @ words) for each in COLORS}
        assert max(similar, key=lambda each: similar[each]) == color and similar[color] > 0.8
    assert np.linalg.norm(texts.embed("blue")) == pytest.approx(1, abs=1e-5)
    assert texts.embed("빨간") @ images.embed(image_of("red")) > 0.8


def test_only_the_surroundings_of_the_object_count(model: SearchModel) -> None:
    image = image_of("green")
    image[30:60, 10:40] = COLORS["red"]
    vectors = ImageEncoder(model)
    around, whole = vectors.embed(image, (0.1, 0.4, 0.2, 0.6)), vectors.embed(image)
    red = TextEncoder(model).embed("red")
    assert around @ red > whole @ red + 0.3


@given(
    st.lists(st.floats(-1, 2, allow_nan=False), min_size=4, max_size=4),
    st.integers(1, 200),
    st.integers(1, 200),
)
def test_the_square_is_inside_the_image(edges: list[float], width_px: int, height_px: int) -> None:
    image = np.zeros((height_px, width_px, 3), np.uint8)
    left, right = sorted((edges[0], edges[2]))
    top, bottom = sorted((edges[1], edges[3]))
    height, width = square_around(image, (left, top, right, bottom)).shape[:2]
    assert 1 <= width == height <= min(width_px, height_px)


def test_the_trial_runs_both_networks_in_another_process(
    tmp_path: Path, files: tuple[Path, Path, Path]
) -> None:
    spec = describe_search_model(*files, "clip", {"licence": "MIT"})
    made = install_search_model(tmp_path / "models", files, "colors", spec, try_search_model)
    assert made.spec.dimensions == color_words.VECTOR and made.spec.input_size == (32, 32)
    assert find_search_model(tmp_path / "models") == made
    files[1].write_bytes(color_words.text_network(vector=5))
    other = describe_search_model(*files, "clip")
    with pytest.raises(ModelError, match="do not belong together: an image has 8 numbers, and a text has 5"):
        install_search_model(tmp_path / "models", files, "other", other, try_search_model)
    files[2].write_text('{"model": 3}')
    bad = describe_search_model(*files, "clip")
    with pytest.raises(ModelError, match="is not a tokenizer"):
        install_search_model(tmp_path / "models", files, "bad", bad, try_search_model)
    assert [name for name, _ in list_search_models(tmp_path / "models")] == ["colors"]


def test_a_network_that_crashes_or_hangs_is_refused(
    tmp_path: Path, model: SearchModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="did not return"):
        try_search_model(model, timeout_s=0.001)
    (model.directory / "text.onnx").write_bytes(color_words.text_network()[:-50])
    with pytest.raises(ModelError, match="has changed since it was added"):
        TextEncoder(model)


@pytest.mark.parametrize("which", [0, 1])
def test_files_of_another_kind_are_refused(files: tuple[Path, Path, Path], which: int) -> None:
    swapped = [*files]
    swapped[which] = files[1 - which]
    with pytest.raises(ModelError, match="does not map"):
        describe_search_model(swapped[0], swapped[1], swapped[2], "clip")
    files[which].write_bytes(b"\x00\xff" * 50)
    with pytest.raises(ModelError, match="is not an ONNX model"):
        describe_search_model(*files, "clip")
    files[which].unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        describe_search_model(*files, "clip")


def test_a_large_tokenizer_is_refused(
    files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_models, "MAX_TOKENIZER_BYTES", 100)
    with pytest.raises(ModelError, match=r"tokenizer\.json is larger than"):
        describe_search_model(*files, "clip")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({"image_embeds": [[np.nan] * 8]}, "not finite"), ({"image_embeds": [[0.0] * 8]}, "not finite, or zero"),
        ({"image_embeds": [[1.0] * 9]}, "returns 9 numbers, not 8"),
        ({"a": [[1.0] * 8], "b": [[1.0] * 8]}, "returns no vector"), ({"boxes": [[[1.0] * 8]]}, "returns no vector"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_a_vector_is_an_error(
    model: SearchModel, outputs: dict[str, Any], message: str
) -> None:
    (model.directory / "image.onnx").write_bytes(constant_network(outputs, shape=(1, 3, 32, 32)))
    spec = model.spec.model_copy(update={"image_sha256": ""})
    with pytest.raises(ModelError, match=message):
        ImageEncoder(SearchModel(model.name, model.directory, spec)).embed(image_of("red"))


def test_long_texts_are_cut_but_keep_their_end(model: SearchModel) -> None:
    texts = TextEncoder(
        SearchModel(model.name, model.directory, model.spec.model_copy(update={"max_tokens": 5}))
    )
    ids, mask = texts._tokens("red " * 190 + "gate")
    assert len(ids) == 5 and ids[-1] == color_words.vocabulary()["gate"] and mask == [1] * 5
    padded = model.spec.model_copy(update={"max_tokens": 5, "pads": True})
    assert TextEncoder(SearchModel(model.name, model.directory, padded))._tokens("red")[1] == [1, 0, 0, 0, 0]


def test_the_version_depends_on_what_changes_the_vectors(model: SearchModel) -> None:
    assert model.spec.model_copy(update={"licence": "x", "tried_with": "y"}).version == model.spec.version
    for change in ({"text_sha256": "0" * 64}, {"mean": (1.0, 2.0, 3.0)}, {"letterbox": "center"}):
        assert model.spec.model_copy(update=change).version != model.spec.version
    assert SearchModel.from_dict(json.loads(json.dumps(model.as_dict()))) == model


def test_a_broken_description_does_not_hide_another_model(tmp_path: Path, model: SearchModel) -> None:
    broken = tmp_path / "models" / "a-broken"
    broken.mkdir()
    (broken / "search.json").write_text('{"family": "gpt"}')
    found = dict(list_search_models(tmp_path / "models"))
    assert isinstance(found["a-broken"], ModelError)
    assert find_search_model(tmp_path / "models") == model
    with pytest.raises(ModelError, match="invalid"):
        make_search_spec({"family": "clip", "dimensions": 10**9})


def test_it_is_not_a_detector(tmp_path: Path, model: SearchModel) -> None:
    assert list(list_stored(tmp_path / "models")) == []
    with pytest.raises(ModelError, match="is for the search by words"):
        read_stored(model.directory)
    remove(tmp_path / "models", "colors")
    assert find_search_model(tmp_path / "models") is None


def test_a_real_model_finds_what_a_picture_shows(tmp_path: Path) -> None:
    """CLIP or SigLIP, where its files are in ../shared/models/clip."""
    directory = SHARED / "models" / "clip"
    files = directory / "vision_model.onnx", directory / "text_model.onnx", directory / "tokenizer.json"
    if not all(path.is_file() for path in files):
        pytest.skip("../shared/models/clip has no vision_model.onnx, text_model.onnx and tokenizer.json.")
    spec = describe_search_model(*files, "clip")
    made = install_search_model(tmp_path / "models", files, "clip", spec, try_search_model)
    images, texts = ImageEncoder(made), TextEncoder(made)
    shown = images.embed(np.full((224, 224, 3), COLORS["red"], np.uint8))
    assert shown @ texts.embed("the color red") > shown @ texts.embed("the color blue")

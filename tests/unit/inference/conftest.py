"""Engines, models on disk, and a cache of loaded models that each test finds empty."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam.inference import files, loading, onnx_runtime
from ninjacam.inference.stored import StoredModel


@pytest.fixture(autouse=True)
def _nothing_loaded() -> Iterator[None]:
    loading._loaded.clear()
    loading._failed.clear()
    loading._described.clear()
    files._hashes.clear()
    yield
    loading._loaded.clear()
    loading._failed.clear()


@pytest.fixture(params=["onnxruntime", "OpenCV"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test that uses it runs with each engine."""
    name: str = request.param
    if name == "OpenCV":
        monkeypatch.setattr(onnx_runtime, "find_devices", lambda: ())
    return name


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "models"
    monkeypatch.setattr("ninjacam.inference.location._find_models_dir", lambda: made)
    return made


@pytest.fixture(autouse=True)
def trials(monkeypatch: pytest.MonkeyPatch) -> list[StoredModel]:
    """Models that would be tried in a process of their own before they are loaded, which takes half a second each."""
    tried: list[StoredModel] = []
    monkeypatch.setattr(loading, "try_model", lambda stored, device: tried.append(stored))
    return tried

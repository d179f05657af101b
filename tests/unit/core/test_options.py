from collections.abc import Callable
from datetime import time
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ninjacam import Frame, Processor, processor
from ninjacam.core.errors import ConfigError
from ninjacam.core.options import MAX_SCHEMA_BYTES, fit_options, options_model_of, schema_of
from ninjacam.core.processors import ProcessorRegistry


class Mode(StrEnum):
    FAST = "fast"
    EXACT = "exact"


class Edges(BaseModel):
    low: int = Field(80, ge=0, le=255)
    high: int = Field(160, ge=0, le=255)
    mode: Mode = Mode.FAST
    words: list[str] = []

    @field_validator("words")
    @classmethod
    def _not_empty(cls, words: list[str]) -> list[str]:
        if "" in words:
            raise ValueError("no empty words")
        return words

    @model_validator(mode="after")
    def _in_order(self) -> "Edges":
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


def detect(frame: Frame, options: Edges) -> None: ...
def plain(frame: Frame) -> None: ...
def bare(frame: Frame, options) -> None: ...  # type: ignore[no-untyped-def]
def number(frame: Frame, options: int) -> None: ...
def own(frame: Frame, options=None) -> None: ...  # type: ignore[no-untyped-def]
def unknown(frame: Frame, options: "Elsewhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


class WithOptions(Processor):
    Options = Edges


class Wrong(Processor):
    Options = dict


@pytest.mark.parametrize(
    ("definition", "model"),
    [
        (detect, Edges),
        (plain, None),
        (own, None),
        (WithOptions, Edges),
        (Processor, None),
        (len, None),
        (print, None),
    ],
)
def test_the_model_of_a_function_or_class_is_found(definition: Any, model: Any) -> None:
    assert options_model_of(definition) is model


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        (bare, "“options” of bare needs an annotation"),
        (number, "must be a pydantic model"),
        (unknown, "cannot be evaluated: NameError"),
        (Wrong, r"Wrong\.Options must be a pydantic model"),
    ],
)
def test_other_options_are_refused_with_advice(definition: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        options_model_of(definition)


def test_values_that_fit_are_used_in_their_own_types() -> None:
    fitted = fit_options(Edges, {"low": "12", "mode": "exact"})
    assert isinstance(fitted.options, Edges)
    assert (fitted.options.low, fitted.options.mode, fitted.problems) == (12, Mode.EXACT, {})
    assert fitted.values == {"low": 12, "high": 160, "mode": "exact", "words": []}


def test_values_that_do_not_fit_are_left_out_and_the_others_apply() -> None:
    fitted = fit_options(Edges, {"low": 10, "high": 900, "gone": 1, "words": ["", "a"]})
    assert fitted.values == {"low": 10, "high": 160, "mode": "fast", "words": []}
    assert fitted.problems == {
        "gone": "The processor has no such option.",
        "high": "Input should be less than or equal to 255",
        "words": "Value error, no empty words",
    }


def test_a_broken_rule_for_several_options_leaves_all_of_them_out() -> None:
    fitted = fit_options(Edges, {"low": 200, "high": 100})
    assert fitted.values["low"] == 80
    assert set(fitted.problems) == {"low", "high"}
    assert "low must not be above high" in fitted.problems["low"]


def test_an_option_without_a_default_must_be_set() -> None:
    class Needs(BaseModel):
        url: str
        size: int = 3

    assert fit_options(Needs, {"url": "a"}).values == {"url": "a", "size": 3}
    for values in ({}, {"size": 4}, {"url": 5}):
        with pytest.raises(ConfigError, match="“url” has no value"):
            fit_options(Needs, values)


def test_values_are_read_as_json_also_by_strict_models() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        at: time = time(7)
        size: tuple[int, int] = (1, 2)

    fitted = fit_options(Strict, {"at": "08:00:00", "size": [3, 4]})
    assert (fitted.options, fitted.problems) == (Strict(at=time(8), size=(3, 4)), {})
    assert fitted.values == {"at": "08:00:00", "size": [3, 4]}


class Tree(BaseModel):
    name: str = "root"
    inner: "Tree | None" = None


def test_a_model_that_contains_itself_has_options() -> None:
    fitted = fit_options(Tree, {"inner": {"name": "leaf"}, "gone": 1})
    assert fitted.options == Tree(inner=Tree(name="leaf"))
    assert list(fitted.problems) == ["gone"]


def test_a_schema_that_cannot_be_sent_is_refused() -> None:
    class Endless(BaseModel):
        call: Callable[[], int] = int

    class Huge(BaseModel):
        size: int = Field(1, description="x" * MAX_SCHEMA_BYTES)

    for model in (Endless, Huge):
        with pytest.raises(ConfigError, match="JSON"):
            schema_of(model)


def test_the_decorator_registers_options_and_frame_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", registry)
    processor(fps=5)(detect)
    processor(plain)
    entry, other = registry.get("detect"), registry.get("plain")
    assert entry is not None and other is not None
    assert (entry.fps, entry.options, other.options, other.options_schema) == (5.0, Edges, None, None)
    assert entry.options_schema is not None and set(entry.options_schema["properties"]) == {
        "low", "high", "mode", "words",
    }  # fmt: skip
    for fps in (-1, 241, True, "5", float("nan")):
        with pytest.raises(ConfigError, match="frame rate"):
            processor(fps=fps)(plain)  # type: ignore[arg-type]

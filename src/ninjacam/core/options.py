"""Options of processors: pydantic models that users write, and the validation of their values.

Imports pydantic only if a processor has such a model.
"""

import inspect
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ninjacam.core.errors import ConfigError

MAX_SCHEMA_BYTES = 32 << 10
MAX_VALUES_BYTES = 16 << 10
"""Maximum size of the values of one processor as JSON."""
MAX_PROBLEM_CHARS = 300


class OptionsModel(Protocol):
    """The part of pydantic's model interface that Ninjacam uses."""

    @classmethod
    def model_validate_json(cls, json_data: str) -> "OptionsModel": ...
    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...
    def model_dump(self, *, mode: str, by_alias: bool) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class FittedOptions:
    """Validated options. `options`: an instance of the model. `problems`: by option, why its value is not
    used."""

    options: OptionsModel
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, Any]:
        """Return the values of all options in their JSON form."""
        return self.options.model_dump(mode="json", by_alias=True)


def options_model_of(definition: Any) -> type[OptionsModel] | None:
    """Return the options model of a processor: the class attribute `Options`, or the annotation of a
    function's parameter `options`; None if the processor has no options.

    Raises: ConfigError: it is not a pydantic model, or its schema cannot be generated.
    """
    if isinstance(definition, type):
        model, what = getattr(definition, "Options", None), f"{definition.__name__}.Options"
    else:
        model, what = _annotation_of(definition), f"The annotation of “options” in {_name(definition)}"
    if model is None:
        return None
    if not (isinstance(model, type) and hasattr(model, "model_json_schema")):
        raise ConfigError(f"{what} must be a pydantic model: derive it from pydantic.BaseModel.")
    return model


def schema_of(model: type[OptionsModel]) -> dict[str, Any]:
    """Return the JSON Schema of a model. Raises: ConfigError: it cannot be generated, or is too large."""
    try:
        schema = model.model_json_schema()
        size_bytes = len(json.dumps(schema))
    except Exception as exc:  # The boundary to the user's model.
        raise ConfigError(
            f"The options {model.__name__} cannot be described as a JSON Schema: {_one_line(exc)}. "
            "Use types that JSON has."
        ) from exc
    if size_bytes > MAX_SCHEMA_BYTES:
        raise ConfigError(f"The JSON Schema of {model.__name__} is larger than {MAX_SCHEMA_BYTES >> 10} KB.")
    return schema


def properties_of(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schemas of the options, by name. Resolves the reference that replaces the schema of a
    recursive model."""
    name = schema.get("$ref", "").rpartition("/")[2]
    model = schema.get("$defs", {}).get(name, {}) if name else schema
    properties: Mapping[str, Any] = model.get("properties", {})
    return properties


def fit_options(model: type[OptionsModel], values: Mapping[str, Any]) -> FittedOptions:
    """Validate `values`, in their JSON form. Invalid values are omitted, so that the valid ones still apply.

    Runs the user's validators. Raises: ConfigError: an option has neither a valid value nor a default.
    """
    from pydantic import ValidationError

    known = properties_of(schema_of(model))
    problems = {name: "The processor has no such option." for name in values if name not in known}
    used = {name: value for name, value in values.items() if name in known}
    while True:
        try:
            return FittedOptions(model.model_validate_json(json.dumps(used)), problems)
        except ValidationError as exc:
            wrong = _problems_of(exc.errors(), used)
        problems |= wrong
        used = {name: value for name, value in used.items() if name not in wrong}


def _problems_of(errors: Sequence[Mapping[str, Any]], used: Mapping[str, Any]) -> dict[str, str]:
    """Return the invalid ones of the used values with their errors. Raises: ConfigError: no value can be
    omitted."""
    texts = {str(each["loc"][0]) if each["loc"] else "": str(each["msg"]) for each in errors}
    first = next(iter(texts))
    if not used:
        raise ConfigError(
            f"The option “{first}” has no value ({texts[first]}). Set it on the camera's page, or give it a default."
        )
    # If no option is named, a rule for several options is violated, or a default is missing.
    wrong = [name for name in texts if name in used] or list(used)
    return {name: texts.get(name, texts[first])[:MAX_PROBLEM_CHARS] for name in wrong}


def _annotation_of(function: Any) -> Any:
    try:
        parameter = inspect.signature(function).parameters.get("options")
    except (TypeError, ValueError):  # Some functions of C extensions have no signature.
        return None
    if parameter is None:
        return None
    if parameter.annotation is parameter.empty and parameter.default is not parameter.empty:
        return None  # A parameter that is unrelated to options.
    try:
        return typing.get_type_hints(function)["options"]
    except KeyError:
        raise ConfigError(
            f"The parameter “options” of {_name(function)} needs an annotation: a pydantic model."
        ) from None
    except Exception as exc:  # The boundary to user code: an annotation that cannot be evaluated.
        raise ConfigError(
            f"The annotation of “options” in {_name(function)} cannot be evaluated: {_one_line(exc)}."
        ) from exc


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", function))


def _one_line(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}".splitlines()[0][:200]

"""English texts that can be translated where they are displayed.

The engine and its processes have no language: they write English. `sentence` keeps the template and the values, which
travel with the text between processes; pages and the API translate it (`ninjacam.languages`).
"""

from collections.abc import Mapping
from typing import Any


class Sentence(str):
    """An English text made from a template. `values`: what the template's `%(name)s` stand for; they may be of this
    class."""

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, object]


def sentence(template: str, **values: object) -> Sentence:
    """Return `template` with its `%(name)s` replaced, if there are values."""
    made = Sentence(template % values if values else template)
    made.template, made.values = template, values
    return made


def gettext_noop(text: str) -> str:
    """Return `text`. `make translations` finds it by the name of this function."""
    return text


def origin_of(text: str) -> dict[str, Any]:
    """Return the origin of a text for JSON: {"template", "values"}; empty for one without values."""
    if not isinstance(text, Sentence) or not text.values:
        return {}
    return {
        "template": text.template,
        "values": {name: _value(value) for name, value in text.values.items()},
    }


def _value(value: object) -> object:
    if isinstance(value, Sentence):
        return {"text": str(value), **origin_of(value)}
    return value if isinstance(value, bool | int | float) else str(value)


def read_text(text: str, origin: Mapping[str, Any]) -> str:
    """Return a text with its origin, as `origin_of` returned it; the text alone if the origin is missing or invalid."""
    template, values = origin.get("template"), origin.get("values")
    if not isinstance(template, str) or not isinstance(values, Mapping):
        return text
    made = Sentence(text)
    made.template = template
    made.values = {
        name: read_text(str(value.get("text", "")), value) if isinstance(value, Mapping) else value
        for name, value in values.items()
    }
    return made

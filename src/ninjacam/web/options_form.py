"""The form for the options of a processor, generated from their JSON Schema. A vision worker validates the values."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from ninjacam.core.errors import InvalidError
from ninjacam.core.options import properties_of
from ninjacam.languages import translate
from ninjacam.queries.processor_options import ProcessorOptions

Schema = Mapping[str, Any]
MAX_REFERENCES = 20
_UNSET = ("", "---------")


class _JsonField(forms.JSONField):
    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError as exc:
            raise ValidationError(_("The JSON is nested too deeply.")) from exc


class OptionsForm(forms.Form):
    """A form with one field per option, of the same name. `options`: the options to change."""

    def __init__(self, data: Any, options: ProcessorOptions) -> None:
        super().__init__(data, prefix="option")
        self._defaults: dict[str, Any] = {}
        self._values = options.values
        for name, schema in properties_of(options.schema).items():
            found = _resolve(schema, options.schema)
            default = self._defaults[name] = schema.get("default", found.get("default"))
            self.fields[name] = _field(name, found, default)
            # An invalid value stays stored until the user enters another one.
            value = default if name in options.problems else options.values.get(name, default)
            self.initial[name] = _shown(self.fields[name], value)
            if self.fields[name].help_text:
                self.fields[name].widget.attrs["aria-describedby"] = f"id_option-{name}_helptext"
        for name, problem in options.problems.items():
            if name in self.fields:
                self.fields[name].help_text = _("Not used: %(problem)s") % {"problem": translate(problem)}
        self.unknown = sorted(options.values.keys() - self.fields.keys())
        """Stored options that the code no longer has."""

    def changes(self) -> dict[str, Any]:
        """Return the changed values, for `actions.processor_options.set_options`. An empty field means the default."""
        changes: dict[str, Any] = {}
        for name in self.changed_data:
            value = self.cleaned_data.get(name)
            if isinstance(self.fields[name], forms.ChoiceField):
                value = json.loads(value) if value else None
            changes[name] = None if value in ("", self._defaults[name]) else value
        return changes

    def reset(self) -> dict[str, Any]:
        """Return the changes that reset all options to their defaults, including those that no longer exist."""
        return dict.fromkeys(self._values)

    def show_error(self, error: InvalidError) -> None:
        for name, messages in error.fields.items():
            for message in messages:
                self.add_error(name if name in self.fields else None, message)


def _resolve(schema: Schema, root: Schema) -> Schema:
    """Resolve references, and remove null from alternatives."""
    for _step in range(MAX_REFERENCES):
        options = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        reference = schema.get("$ref", "")
        if reference.startswith("#/$defs/"):
            inner = root.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {})
        elif len(schema.get("allOf", ())) == 1:
            inner = schema["allOf"][0]
        elif len(options) == 1:
            inner = options[0]
        else:
            break
        outer = {name: value for name, value in schema.items() if name not in ("$ref", "allOf", "anyOf")}
        schema = {**inner, **outer}
    return schema


def _field(name: str, schema: Schema, default: Any) -> forms.Field:
    common: dict[str, Any] = {
        "label": schema.get("title") or name,
        "help_text": translate(str(schema.get("description", ""))),
        "required": False,
    }
    kind = schema.get("type")
    if "enum" in schema:
        choices = [(json.dumps(value), str(value)) for value in schema["enum"]]
        return forms.ChoiceField(
            choices=choices if default in schema["enum"] else [_UNSET, *choices], **common
        )
    if kind == "boolean" and default is None:
        return forms.ChoiceField(choices=[_UNSET, ("true", _("yes")), ("false", _("no"))], **common)
    if kind == "boolean":
        return forms.BooleanField(**common)
    if kind in ("integer", "number"):
        common |= {"min_value": schema.get("minimum"), "max_value": schema.get("maximum")}
        field: forms.Field = forms.IntegerField(**common) if kind == "integer" else forms.FloatField(**common)
    elif kind == "string":
        field = forms.CharField(max_length=schema.get("maxLength"), strip=False, **common)
    else:
        common["help_text"] = common["help_text"] or _("As JSON.")
        widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})
        return _JsonField(widget=widget, **common)
    if default is not None:
        field.widget.attrs["placeholder"] = str(default)
    return field


def _shown(field: forms.Field, value: Any) -> Any:
    """Return the initial value of a field. A choice is JSON; None selects no choice."""
    if isinstance(field, forms.ChoiceField):
        return "" if value is None else json.dumps(value)
    return value

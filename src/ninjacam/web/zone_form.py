"""The form of a zone, line or mask, and its points as text."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.zones import ZoneFields
from ninjacam.core.errors import InvalidError, NinjacamError
from ninjacam.core.zones import (
    DEFAULT_COLOR,
    MAX_INERTIA_S,
    MAX_LOITERING_S,
    MAX_NAME_CHARS,
    MAX_PRESET_CHARS,
)
from ninjacam.models import CameraZone

MAX_POINTS_CHARS = 4000


class PointsField(forms.CharField):
    """Points as text: `0.1,0.2 0.9,0.2`. Its value is a list of pairs; `core.zones` checks their range."""

    def __init__(self, **options: Any) -> None:
        common: dict[str, Any] = {
            "label": _("Points"),
            "max_length": MAX_POINTS_CHARS,
            "help_text": _("Pairs x,y as fractions of the width and height, such as 0.25,0.5 0.75,0.5"),
            "widget": forms.Textarea(attrs={"rows": 2, "spellcheck": "false", "autocapitalize": "none"}),
        }
        super().__init__(**common | options)

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value  # As entered.
        return " ".join(",".join(f"{number:g}" for number in point) for point in value)

    def clean(self, value: Any) -> Any:
        return self._parse(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), " ".join((data or "").split()))

    def _parse(self, text: str) -> list[list[float]]:
        try:
            points = [[float(number) for number in point.split(",")] for point in text.split()]
        except ValueError:
            points = [[]]
        if any(len(point) != 2 for point in points):
            raise ValidationError(
                _("Write each point as x,y and separate points by spaces, such as 0.25,0.5 0.75,0.5")
            )
        return points


class ZoneForm(forms.Form):
    """The form of a zone. `zone`: the zone to change; None: to add one. The action validates the values."""

    name = forms.CharField(
        label=_("Name"),
        max_length=MAX_NAME_CHARS,
        help_text=CameraZone._meta.get_field("name").help_text,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "off",
                "autocapitalize": "none",
                "spellcheck": "false",
                "pattern": r"[a-z0-9][a-z0-9_\-]*",
                "title": _("a-z, 0-9, - and _"),
            }
        ),
    )
    kind = forms.ChoiceField(label=_("Kind"), choices=CameraZone.Kind.choices)
    color = forms.CharField(
        label=_("Color"), max_length=7, widget=forms.TextInput(attrs={"type": "color"}), initial=DEFAULT_COLOR
    )
    inertia_s = forms.FloatField(
        label=_("Inertia"),
        min_value=0,
        max_value=MAX_INERTIA_S,
        initial=0,
        help_text=CameraZone._meta.get_field("inertia_s").help_text,
    )
    loitering_s = forms.FloatField(
        label=_("Loitering time"),
        min_value=0,
        max_value=MAX_LOITERING_S,
        initial=0,
        help_text=CameraZone._meta.get_field("loitering_s").help_text,
    )
    preset = forms.CharField(
        label=_("Preset"),
        max_length=MAX_PRESET_CHARS,
        required=False,
        help_text=CameraZone._meta.get_field("preset").help_text,
        widget=forms.TextInput(
            attrs={"list": "presets", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    points = PointsField()

    def __init__(self, zone: CameraZone | None = None, data: Any = None) -> None:
        stored = {name: _shown(getattr(zone, name)) for name in self.base_fields} if zone is not None else {}
        # Several forms are on the page, but only one is submitted: only the ids of their elements must differ.
        super().__init__(data, initial=stored, auto_id=f"id_{zone.pk if zone else 'new'}_%s")
        self.zone = zone
        for field in self:
            if field.field.help_text:
                field.field.widget.attrs["aria-describedby"] = f"{field.auto_id}_helptext"

    def zone_fields(self) -> ZoneFields:
        """Return the entered values for the action."""
        entered = self.cleaned_data
        return ZoneFields(
            name=entered["name"],
            kind=entered["kind"],
            points=entered["points"],
            inertia_s=entered["inertia_s"],
            loitering_s=entered["loitering_s"],
            preset=entered["preset"],
            color=entered["color"],
        )

    def show_error(self, error: NinjacamError) -> None:
        """Show an error of the action at its fields, or above them."""
        fields = error.fields if isinstance(error, InvalidError) else {}
        for name, messages in fields.items():
            for message in messages:
                self.add_error(name if name in self.fields else None, message)
        if not fields:
            self.add_error(None, error.message)


def _shown(value: Any) -> Any:
    """Return the initial value of a field: 30 for 30.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value

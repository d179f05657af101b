"""The camera form, which converts input to the fields of `actions.cameras`."""

from copy import copy
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.cameras import RECORD, CameraFields, assign_fields
from ninjacam.actions.sources import AddressFields, assign_address, find_forbidden_address
from ninjacam.actions.validation import invalid
from ninjacam.core.errors import InvalidError
from ninjacam.languages import translate_error
from ninjacam.models import Camera, Stream
from ninjacam.queries.streams import find_stream

SUB = "sub"
"""Name of the stream that the form can add."""


class CameraForm(forms.Form):
    """A camera's settings. `camera`: the camera to change; None to add one.

    The rules are those of the action. `clean` applies them to a draft, so that the form shows all errors at once.
    `may_save_anyway`: whether the address is refused only until the user confirms it.
    """

    may_save_anyway = False

    name = forms.CharField(label=_("Name"), max_length=100, required=False)
    slug = forms.SlugField(
        label=_("Short name"),
        max_length=50,
        help_text=_("Used in URLs and file names: a-z, 0-9, - and _."),
    )
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_(
            "See the camera's manual, for example rtsp://192.168.1.20/stream1 or http://192.168.1.21:8080/video. "
            "The URL of a single JPEG image is requested each second; #interval=0.5 at its end sets another interval. "
            "Enter push: if the device connects to Ninjacam and publishes, as OBS and drones do."
        ),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocapitalize": "none", "spellcheck": "false"}),
    )
    sub_url = forms.CharField(
        label=_("Address of the second stream"),
        max_length=500,
        required=False,
        help_text=_("A smaller one for small pictures, for example rtsp://192.168.1.20/stream2"),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocapitalize": "none", "spellcheck": "false"}),
    )
    username = forms.CharField(
        label=_("User"),
        max_length=200,
        required=False,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=200,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    forget_credentials = forms.BooleanField(label=_("Remove the stored user and password"), required=False)
    transport = forms.ChoiceField(
        label=_("Transport"),
        choices=Camera.Transport.choices,
        initial=Camera.Transport.TCP,
        help_text=_("Use UDP only if TCP does not work."),
    )
    audio = forms.BooleanField(label=_("Record and play audio"), required=False, initial=True)
    verify_tls = forms.BooleanField(
        label=_("Verify the TLS certificate"),
        required=False,
        initial=True,
        help_text=_("Switch off for rtsps: and https: cameras with self-signed certificates."),
    )
    onvif_url = forms.CharField(
        label=_("ONVIF address"),
        max_length=500,
        required=False,
        help_text=Camera._meta.get_field("onvif_url").help_text,
        widget=forms.TextInput(attrs={"inputmode": "url", "autocapitalize": "none", "spellcheck": "false"}),
    )
    sleeps = forms.BooleanField(
        label=_("Battery camera that sleeps"),
        required=False,
        help_text=_(
            "It is connected only while it is watched or recorded, and shown as asleep if it does not answer."
        ),
    )
    enabled = forms.BooleanField(label=_("Enabled"), required=False, initial=True)
    guest_view = forms.CharField(
        label=_("View for guests"),
        max_length=50,
        required=False,
        help_text=Camera._meta.get_field("guest_view").help_text,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
        show_hidden_initial=True,  # A page opened long ago must not remove it.
    )
    record = forms.ChoiceField(
        label=_("Record"),
        choices=Camera.Record.choices,
        initial=Camera.Record.OFF,
        required=False,  # A form without this field does not change it.
        help_text=_("Recordings are kept until the oldest ones are deleted to make room."),
    )
    record_before_s = forms.IntegerField(
        label=_("Seconds before an event"), min_value=0, max_value=60, initial=5, required=False
    )
    record_after_s = forms.IntegerField(
        label=_("Seconds after an event"), min_value=0, max_value=600, initial=10, required=False
    )
    record_schedule = forms.CharField(
        label=_("Schedule"),
        max_length=500,
        required=False,
        help_text=Camera._meta.get_field("record_schedule").help_text,
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, camera: Camera | None = None, **kwargs: Any) -> None:
        if camera is not None:
            names = (
                "slug",
                "name",
                "url",
                "transport",
                "audio",
                "verify_tls",
                "sleeps",
                "enabled",
                "onvif_url",
                "guest_view",
                *RECORD,
            )
            sub = find_stream(camera, SUB)
            kwargs["initial"] = {
                **{name: getattr(camera, name) for name in names},
                "sub_url": sub.url if sub is not None else "",
            }
        super().__init__(*args, **kwargs)
        self.camera = camera
        if camera is not None:
            self.fields["slug"].required = False  # A form without this field does not change it.
            self.fields["slug"].help_text = _(
                "Used in URLs and file names. Recordings and permissions follow a new name; old links stop working."
            )
        if camera is None or not camera.has_credentials:
            del self.fields["forget_credentials"]
        else:
            stored = _("Stored. Leave both empty to keep the stored values.")
            self.fields["password"].help_text = stored
        for name, field in self.fields.items():
            if field.help_text:
                field.widget.attrs["aria-describedby"] = f"id_{name}_helptext"

    def clean(self) -> dict[str, Any]:
        draft = copy(self.camera) if self.camera else Camera(slug=self.cleaned_data.get("slug", "draft"))
        try:
            assign_fields(draft, self.camera_fields())
        except InvalidError as error:
            self.show_error(error)
        else:
            self._require_confirmation(draft)
        if address := self.streams().get(SUB):
            sub = self.camera and find_stream(self.camera, SUB)
            stream = sub or Stream(name=SUB)
            stream.camera = draft
            try:
                assign_address(stream, address, verified_before=draft.verify_tls)
            except InvalidError as error:
                self.add_error("sub_url", error.message)
        try:
            draft.full_clean(validate_unique=False)
        except ValidationError as error:
            self.show_error(invalid(error))
        return self.cleaned_data

    def _require_confirmation(self, draft: Camera) -> None:
        """Report a new address where cameras are not allowed, unless the user saves it anyway."""
        if "save_anyway" in self.data or "url" not in self.camera_fields():
            return
        if error := find_forbidden_address(draft.source()):
            self.may_save_anyway = True
            self.add_error("url", translate_error(error))

    def camera_fields(self) -> CameraFields:
        """Return the changes for the action, without fields that are unchanged or invalid."""
        entered = self.cleaned_data
        fields = CameraFields()
        for name in ("name", "transport", "audio", "verify_tls", "sleeps", "enabled"):
            if name in entered:
                fields[name] = entered[name]
        if "onvif_url" in self.data:  # A form without this field does not change it.
            fields["onvif_url"] = entered.get("onvif_url", "")
        if "guest_view" in self.data and "guest_view" in self.changed_data:
            fields["guest_view"] = entered.get("guest_view", "")
        if entered.get("record"):
            fields["record"] = entered["record"]
            fields["record_schedule"] = entered.get("record_schedule", "")
        if entered.get("record_before_s") is not None:
            fields["record_before_s"] = entered["record_before_s"]
        if entered.get("record_after_s") is not None:
            fields["record_after_s"] = entered["record_after_s"]
        url = entered.get("url", "")
        if self.camera is None or (url and url != self.camera.url):
            fields["url"] = url
        if entered.get("forget_credentials"):
            fields["username"] = fields["password"] = ""
        elif entered.get("username") or entered.get("password"):
            fields["username"], fields["password"] = entered.get("username", ""), entered.get("password", "")
        return fields

    def streams(self) -> dict[str, AddressFields | None]:
        """Return the streams to add or change, by name; None: to remove it."""
        if "sub_url" not in self.data or "sub_url" not in self.cleaned_data:
            return {}
        url, before = self.cleaned_data["sub_url"], self.initial.get("sub_url", "")
        return {} if url == before else {SUB: AddressFields(url=url) if url else None}

    def show_error(self, error: InvalidError) -> None:
        for name, messages in error.fields.items():
            if name in self.errors:  # The field's own error is more specific.
                continue
            for message in messages:
                self.add_error(name if name in self.fields else None, message)
        if not error.fields:
            self.add_error(None, error.message)

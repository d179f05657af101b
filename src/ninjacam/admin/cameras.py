"""Cameras with their streams, zones and grants. Passwords can be entered, but are never shown."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.cameras import RECORD, CameraFields, assign_fields, check_guest_view
from ninjacam.actions.sources import AddressFields, assign_address
from ninjacam.actions.streams import ROLE_STREAMS
from ninjacam.admin.base import AuditedPages
from ninjacam.core.errors import InvalidError
from ninjacam.core.streams import MAX_STREAMS
from ninjacam.core.zones import MAX_ZONES
from ninjacam.models import (
    Camera,
    CameraGrant,
    CameraZone,
    Stream,
)
from ninjacam.models.stream_fields import StreamFields
from ninjacam.queries.processor_options import options_of
from ninjacam.queries.status import read_status
from ninjacam.web.zone_form import PointsField

if TYPE_CHECKING:  # Generic only in the stubs.
    CameraModelForm = forms.ModelForm[Camera]
    CameraModelAdmin = admin.ModelAdmin[Camera]
    GrantTabularInline = admin.TabularInline[CameraGrant, Camera]
    StreamModelForm = forms.ModelForm[Stream]
    StreamInlineFormSet = forms.models.BaseInlineFormSet[Stream, Camera, forms.ModelForm[Stream]]
    StreamTabularInline = admin.TabularInline[Stream, Camera]
    ZoneModelForm = forms.ModelForm[CameraZone]
    ZoneTabularInline = admin.TabularInline[CameraZone, Camera]
else:
    CameraModelForm = StreamModelForm = ZoneModelForm = forms.ModelForm
    CameraModelAdmin = admin.ModelAdmin
    StreamInlineFormSet = forms.models.BaseInlineFormSet
    GrantTabularInline = StreamTabularInline = ZoneTabularInline = admin.TabularInline


class CameraAdminForm(CameraModelForm):
    username = forms.CharField(
        label=_("User"), required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "Stored encrypted and never shown. Leave user and password empty to keep the stored ones."
        ),
    )
    forget_credentials = forms.BooleanField(label=_("Remove the stored user and password"), required=False)

    class Meta:
        model = Camera
        fields = [
            "slug",
            "name",
            "url",
            "transport",
            "audio",
            "verify_tls",
            "sleeps",
            "enabled",
            "guest_view",
            *RECORD,
            *ROLE_STREAMS,
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "guest_view" in self.fields:  # A page opened long ago must not remove it.
            self.fields["guest_view"].show_hidden_initial = True

    def clean(self) -> dict[str, Any]:
        """Apply the rules of the actions: split the URL, reject the mask, send no password to another host."""
        entered = super().clean() or {}
        if self.errors:
            return entered
        draft = Camera.objects.get(pk=self.instance.pk) if self.instance.pk else Camera(slug=entered["slug"])
        fields = CameraFields(
            url=entered["url"], transport=entered["transport"], verify_tls=entered["verify_tls"]
        )
        if entered.get("forget_credentials"):
            fields["username"] = fields["password"] = ""
        elif entered.get("username") or entered.get("password"):
            fields["username"], fields["password"] = entered["username"], entered["password"]
        try:
            assign_fields(draft, fields)
            if "guest_view" not in self.changed_data:
                entered["guest_view"] = draft.guest_view
            draft.guest_view = entered["guest_view"]
            check_guest_view(draft)
        except InvalidError as error:
            raise forms.ValidationError(error.fields) from error
        entered["url"] = draft.url
        self.sealed = draft.credentials
        return entered

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc] # Django's hook, which the stubs leave out
        if not self.errors:
            self.instance.credentials = self.sealed


class StreamAdminForm(StreamModelForm):
    username = forms.CharField(
        label=_("User"), required=False, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    password = forms.CharField(
        label=_("Password"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Leave both empty to keep them, or to use those of the camera at the same address."),
    )
    camera: Camera
    """Set by the formset."""

    class Meta:
        model = Stream
        fields = ["name", "url"]

    def clean(self) -> dict[str, Any]:
        """Apply the rules of the actions."""
        entered = super().clean() or {}
        if self.errors or not entered.get("url"):
            return entered
        found = Stream.objects.filter(pk=self.instance.pk).first() if self.instance.pk else None
        draft = found or Stream(name=entered["name"])
        draft.camera = self.camera
        fields = AddressFields(url=entered["url"])
        if entered.get("username") or entered.get("password"):
            fields["username"], fields["password"] = entered["username"], entered["password"]
        try:
            assign_address(draft, fields, verified_before=self.camera.verify_tls)
        except InvalidError as error:
            raise forms.ValidationError(error.message) from error
        entered["url"] = draft.url
        self.draft = draft
        return entered

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc] # Django's hook, which the stubs leave out
        if not self.errors and hasattr(self, "draft"):
            for field in StreamFields._meta.fields:
                setattr(self.instance, field.attname, getattr(self.draft, field.attname))


class StreamFormSet(StreamInlineFormSet):
    def _construct_form(self, i: int, **options: Any) -> Any:
        form = super()._construct_form(i, **options)  # type: ignore[misc] # Django's hook
        form.camera = self.instance
        return form


class StreamInline(StreamTabularInline):
    model = Stream
    form = StreamAdminForm
    formset = StreamFormSet
    extra = 0
    max_num = MAX_STREAMS


class ZoneAdminForm(ZoneModelForm):
    points = PointsField()

    class Meta:
        model = CameraZone
        fields = ["name", "kind", "points", "inertia_s", "loitering_s", "preset", "color"]
        widgets = {  # Narrow widgets, because they share a row.
            "name": forms.TextInput(attrs={"size": 14}),
            "inertia_s": forms.NumberInput(attrs={"class": "vIntegerField"}),
            "loitering_s": forms.NumberInput(attrs={"class": "vIntegerField"}),
            "preset": forms.TextInput(attrs={"size": 6}),
            "color": forms.TextInput(attrs={"type": "color"}),
        }


class ZoneInline(ZoneTabularInline):
    model = CameraZone
    form = ZoneAdminForm
    extra = 0
    max_num = MAX_ZONES


class GrantInline(GrantTabularInline):
    model = CameraGrant
    extra = 0


@admin.register(Camera)
class CameraAdmin(AuditedPages, CameraModelAdmin):
    form = CameraAdminForm
    list_display = ["slug", "name", "state", "url", "enabled", "record"]
    list_filter = ["enabled", "record"]
    search_fields = ["slug", "name"]
    inlines = [StreamInline, ZoneInline, GrantInline]

    @admin.display(description=_("state"))
    def state(self, camera: Camera) -> str:
        return str(read_status().camera(camera, details=False)["state"])

    @admin.display(description=_("options of processors"))
    def processor_links(self, camera: Camera) -> str:
        """Link to the pages of the options, where they are validated."""
        return format_html_join(
            ", ",
            '<a href="{}">{}</a>',
            (
                (reverse("ninjacam:processor-options", args=[camera.slug, each.processor]), each.processor)
                for each in options_of(camera, read_status())
            ),
        )

    @admin.display(description=_("zones"))
    def draw_zones(self, camera: Camera) -> str:
        """Link to the page where zones are drawn on the camera's image."""
        return format_html(
            '<a href="{}">{}</a>', reverse("ninjacam:zones", args=[camera.slug]), _("Draw zones")
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Camera | None = None) -> list[str]:
        return (
            ["slug", "processor_links", "draw_zones"] if obj else []
        )  # Sockets and recordings are named after the slug.

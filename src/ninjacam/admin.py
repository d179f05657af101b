"""The models in Django's admin. Passwords can be entered, but are never shown."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.audit import acting, record
from ninjacam.actions.cameras import RECORD, CameraFields, assign_fields
from ninjacam.actions.profiles import activate_profile
from ninjacam.actions.rules import RuleFields, assign_rule
from ninjacam.actions.sources import AddressFields, assign_address
from ninjacam.actions.streams import ROLE_STREAMS
from ninjacam.actions.tokens import revoke_token
from ninjacam.actions.webhooks import WebhookFields, assign_webhook, retry_delivery
from ninjacam.auth import principal_of_request
from ninjacam.core.colors import Color
from ninjacam.core.errors import ConflictError, ForbiddenError, InvalidError
from ninjacam.core.streams import MAX_STREAMS
from ninjacam.core.times import to_datetime
from ninjacam.core.zones import MAX_ZONES
from ninjacam.models import (
    ApiToken,
    Camera,
    CameraGrant,
    CameraZone,
    Event,
    Profile,
    ProfileOverride,
    Rule,
    Segment,
    Stream,
    Webhook,
    WebhookDelivery,
)
from ninjacam.models.outbox import note_changed
from ninjacam.models.profile import MAX_OVERRIDES, MAX_PROFILES, find_active
from ninjacam.models.rule import MAX_RECIPIENTS, MAX_RULES
from ninjacam.models.stream_fields import StreamFields
from ninjacam.queries.processor_options import options_of
from ninjacam.queries.status import read_status
from ninjacam.web.zone_form import PointsField

if TYPE_CHECKING:  # Generic only in the stubs.
    CameraModelForm = forms.ModelForm[Camera]
    CameraModelAdmin = admin.ModelAdmin[Camera]
    GrantModelAdmin = admin.ModelAdmin[CameraGrant]
    TokenModelAdmin = admin.ModelAdmin[ApiToken]
    SegmentModelAdmin = admin.ModelAdmin[Segment]
    EventModelAdmin = admin.ModelAdmin[Event]
    GrantTabularInline = admin.TabularInline[CameraGrant, Camera]
    StreamModelForm = forms.ModelForm[Stream]
    StreamInlineFormSet = forms.models.BaseInlineFormSet[Stream, Camera, forms.ModelForm[Stream]]
    StreamTabularInline = admin.TabularInline[Stream, Camera]
    ZoneModelForm = forms.ModelForm[CameraZone]
    ZoneTabularInline = admin.TabularInline[CameraZone, Camera]
    WebhookModelForm = forms.ModelForm[Webhook]
    RuleModelForm = forms.ModelForm[Rule]
    RuleModelAdmin = admin.ModelAdmin[Rule]
    WebhookModelAdmin = admin.ModelAdmin[Webhook]
    DeliveryModelAdmin = admin.ModelAdmin[WebhookDelivery]
    ProfileModelAdmin = admin.ModelAdmin[Profile]
    OverrideInlineFormSet = forms.models.BaseInlineFormSet[
        ProfileOverride, Profile, forms.ModelForm[ProfileOverride]
    ]
    OverrideTabularInline = admin.TabularInline[ProfileOverride, Profile]
else:
    CameraModelForm = StreamModelForm = ZoneModelForm = WebhookModelForm = RuleModelForm = forms.ModelForm
    WebhookModelAdmin = RuleModelAdmin = DeliveryModelAdmin = ProfileModelAdmin = admin.ModelAdmin
    StreamInlineFormSet = OverrideInlineFormSet = forms.models.BaseInlineFormSet
    CameraModelAdmin = GrantModelAdmin = TokenModelAdmin = SegmentModelAdmin = EventModelAdmin = (
        admin.ModelAdmin
    )
    GrantTabularInline = StreamTabularInline = ZoneTabularInline = OverrideTabularInline = admin.TabularInline


class _OnRecord:
    """`actions.audit_signals` records writes on these pages, with the user of the request."""

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acting(request):
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[misc] # of ModelAdmin

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acting(request):
            return super().changelist_view(request, *args, **kwargs)  # type: ignore[misc] # of ModelAdmin

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with acting(request):
            return super().delete_view(request, *args, **kwargs)  # type: ignore[misc] # of ModelAdmin


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
            *RECORD,
            *ROLE_STREAMS,
        ]

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
class CameraAdmin(_OnRecord, CameraModelAdmin):
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


@admin.register(CameraGrant)
class CameraGrantAdmin(_OnRecord, GrantModelAdmin):
    list_display = ["camera", "role", "user", "group", "created_at"]
    list_filter = ["role"]
    list_select_related = ["camera", "user", "group"]


@admin.register(ApiToken)
class ApiTokenAdmin(_OnRecord, TokenModelAdmin):
    """View and revoke tokens. Create them with `ninjacam token create` or the API, which show them once."""

    list_display = ["name", "prefix", "user", "scopes", "expires_at", "last_used_at", "revoked_at"]
    list_select_related = ["user"]
    actions = ["revoke"]
    readonly_fields = [
        "user",
        "prefix",
        "parent",
        "scopes",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    ]
    fields = ["name", *readonly_fields]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description=_("Revoke the selected tokens"), permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: Any) -> None:
        actor = principal_of_request(request)
        for token in queryset.select_related("user") if actor else ():
            if actor is not None and actor.may_act_for(token.user):
                revoke_token(actor, token)


@admin.register(Segment)
class SegmentAdmin(SegmentModelAdmin):
    """View and protect recordings. Rows are created from files; only retention deletes them."""

    list_display = ["slug", "start", "end", "size_bytes", "codec", "protected", "open"]
    list_filter = ["protected"]
    search_fields = ["path__startswith"]
    show_full_result_count = False
    ordering = ["-pk"]
    readonly_fields = ["path", "start", "end", "size_bytes", "codec", "audio_codec", "audio_source", "open"]
    fields = [*readonly_fields, "protected"]

    @admin.display(description=_("start"))
    def start(self, segment: Segment) -> datetime:
        return to_datetime(segment.start_ns)

    @admin.display(description=_("end"))
    def end(self, segment: Segment) -> datetime:
        return to_datetime(segment.end_ns)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Segment | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Segment, form: Any, change: bool) -> None:
        # Save only these fields: the engine may write the others at the same time.
        Segment.objects.filter(pk=obj.pk).update(protected=obj.protected)
        _record(
            request, "recording.protect" if obj.protected else "recording.unprotect", obj.slug, path=obj.path
        )


class ColorFilter(admin.SimpleListFilter):
    title = _("color")
    parameter_name = "color"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(color.value, color.value) for color in Color]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.of_colors([self.value()]) if self.value() else queryset


@admin.register(Event)
class EventAdmin(EventModelAdmin):
    """View, protect and delete events. The API and the engine create them."""

    list_display = ["slug", "kind", "label", "start", "end", "source", "protected"]
    list_filter = ["protected", "triggers_recording", ColorFilter]
    search_fields = ["slug__startswith", "kind__startswith", "label"]
    show_full_result_count = False
    readonly_fields = ["slug", "kind", "start", "end", "source", "data", "triggers_recording"]
    fields = [*readonly_fields, "label", "protected"]

    @admin.display(description=_("start"))
    def start(self, event: Event) -> datetime:
        return event.start

    @admin.display(description=_("end"))
    def end(self, event: Event) -> datetime | None:
        return event.end

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Event, form: Any, change: bool) -> None:
        # Save only these fields: the engine may write the others at the same time.
        with transaction.atomic():
            Event.objects.filter(pk=obj.pk).update(label=obj.label, protected=obj.protected)
            note_changed(Event.objects.get(pk=obj.pk), form.changed_data)
        _record(request, "event.update", obj.slug, event=obj.pk, protected=obj.protected)

    def delete_model(self, request: HttpRequest, obj: Event) -> None:
        pk = obj.pk
        super().delete_model(request, obj)
        _record(request, "event.delete", obj.slug, event=pk, kind=obj.kind)


class NamesField(forms.CharField):
    """A list of names, separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [name.strip() for name in (super().to_python(value) or "").split(",") if name.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


CONDITIONS = ("cameras", "kinds", "label", "zone", "min_score", "min_duration_s", "schedule")


class ConditionsForm(forms.Form):
    """The names in the conditions that webhooks and rules share."""

    cameras = NamesField(
        label=_("Cameras"),
        required=False,
        help_text=_("Short names, separated by commas. Empty: all cameras."),
    )
    kinds = NamesField(
        label=_("Kinds"),
        required=False,
        help_text=_("Kinds of events, separated by commas. Empty: all kinds."),
    )


class WebhookAdminForm(ConditionsForm, WebhookModelForm):
    secret = forms.CharField(
        label=_("Secret"),
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_(
            "Signs each request. 16 to 200 characters of ASCII, stored encrypted and never shown. "
            "Leave it empty to keep the stored one."
        ),
    )

    class Meta:
        model = Webhook
        fields = [
            "name",
            "url",
            "secret",
            "verify_tls",
            "enabled",
            "on_begin",
            "on_end",
            *CONDITIONS,
        ]

    def clean(self) -> dict[str, Any]:
        """Apply the rules of the actions."""
        entered = super().clean() or {}
        if self.errors:
            return entered
        draft = Webhook.objects.get(pk=self.instance.pk) if self.instance.pk else Webhook()
        fields = {name: entered[name] for name in self.Meta.fields}
        if not fields["secret"] and draft.pk:
            del fields["secret"]
        try:
            assign_webhook(draft, WebhookFields(**fields))  # type: ignore[typeddict-item] # the form's fields
        except InvalidError as error:
            raise forms.ValidationError(error.fields) from error
        entered["url"] = draft.url
        self.sealed = draft.credentials
        return entered

    def _post_clean(self) -> None:
        if not self.errors:
            self.instance.credentials = self.sealed
        super()._post_clean()  # type: ignore[misc] # Django's hook, which the stubs leave out


@admin.register(Webhook)
class WebhookAdmin(_OnRecord, WebhookModelAdmin):
    form = WebhookAdminForm
    list_display = ["name", "url", "enabled", "waiting", "dead"]
    list_filter = ["enabled"]

    @admin.display(description=_("waiting"))
    def waiting(self, webhook: Webhook) -> int:
        return webhook.deliveries.filter(state="waiting").count()

    @admin.display(description=_("given up"))
    def dead(self, webhook: Webhook) -> str:
        page = reverse("admin:ninjacam_webhookdelivery_changelist")
        url = f"{page}?webhook__id__exact={webhook.pk}&state__exact=dead"
        return format_html('<a href="{}">{}</a>', url, webhook.deliveries.filter(state="dead").count())


class RuleAdminForm(ConditionsForm, RuleModelForm):
    class Meta:
        model = Rule
        fields = [
            "name",
            "enabled",
            "record",
            "protect",
            "notify",
            "recipients",
            "only_recipients",
            "max_per_hour",
            *CONDITIONS,
        ]

    def clean(self) -> dict[str, Any]:
        """Apply the rules of the actions."""
        entered = super().clean() or {}
        if self.errors:
            return entered
        if len(entered["recipients"]) > MAX_RECIPIENTS:
            message = _("Use at most %(count)s users.") % {"count": MAX_RECIPIENTS}
            raise forms.ValidationError({"recipients": message})
        if entered["recipients"]:
            entered["only_recipients"] = True
        elif entered["only_recipients"] and entered["notify"]:
            raise forms.ValidationError(
                {
                    "recipients": _(
                        "Choose recipients, or clear “only these recipients” to write to all users."
                    )
                }
            )
        draft = Rule.objects.get(pk=self.instance.pk) if self.instance.pk else Rule()
        fields = {name: entered[name] for name in self.Meta.fields}
        try:
            assign_rule(draft, RuleFields(**fields))  # type: ignore[typeddict-item] # the form's fields
        except InvalidError as error:
            raise forms.ValidationError(error.fields) from error
        return entered


@admin.register(Rule)
class RuleAdmin(_OnRecord, RuleModelAdmin):
    form = RuleAdminForm
    list_display = ["name", "enabled", "record", "protect", "notify"]
    list_filter = ["enabled"]
    filter_horizontal = ["recipients"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and Rule.objects.count() < MAX_RULES


@admin.register(WebhookDelivery)
class DeliveryAdmin(DeliveryModelAdmin):
    """View and retry deliveries. Only events create them."""

    list_display = [
        "target",
        "action",
        "event_id",
        "phase",
        "state",
        "attempts",
        "created",
        "status",
        "error",
    ]
    list_filter = ["state", "webhook", "rule"]
    list_select_related = ["webhook", "rule"]
    show_full_result_count = False
    actions = ["retry"]
    fields = readonly_fields = (
        "webhook",
        "rule",
        "action",
        "event_id",
        "phase",
        "key",
        "state",
        "attempts",
        "created",
        "status",
        "error",
        "payload",
    )

    @admin.display(description=_("webhook or rule"))
    def target(self, delivery: WebhookDelivery) -> str:
        return str(delivery.webhook or delivery.rule)

    @admin.display(description=_("created at"))
    def created(self, delivery: WebhookDelivery) -> datetime:
        return to_datetime(delivery.created_ns)

    @admin.action(description=_("Retry the selected deliveries"), permissions=["change"])
    def retry(self, request: HttpRequest, queryset: Any) -> None:
        actor = principal_of_request(request)
        for delivery in queryset:
            try:
                if actor is not None:
                    retry_delivery(actor, delivery)
            except (ConflictError, ForbiddenError) as error:
                self.message_user(request, error.message, "warning")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: WebhookDelivery | None = None) -> bool:
        return False


class OverrideFormSet(OverrideInlineFormSet):
    def clean(self) -> None:
        """Databases do not compare empty values, so two overrides for all cameras need a check."""
        super().clean()
        cameras = [
            form.cleaned_data.get("camera")
            for form in self.forms
            if form.has_changed() and not form.cleaned_data.get("DELETE") and not form.errors
        ]
        if cameras.count(None) > 1:
            raise forms.ValidationError(_("Use one override for all cameras."))


class OverrideInline(OverrideTabularInline):
    model = ProfileOverride
    formset = OverrideFormSet
    extra = 0
    max_num = MAX_OVERRIDES + 1


@admin.register(Profile)
class ProfileAdmin(_OnRecord, ProfileModelAdmin):
    list_display = ["name", "schedule", "active"]
    inlines = [OverrideInline]
    actions = ["activate"]

    @admin.display(description=_("active"), boolean=True)
    def active(self, profile: Profile) -> bool:
        return find_active(timezone.now()).profile == profile

    @admin.action(description=_("Activate the selected profile"))
    def activate(self, request: HttpRequest, queryset: Any) -> None:
        actor = principal_of_request(request)
        names = list(queryset.values_list("name", flat=True)[:2])
        try:
            if len(names) != 1:
                self.message_user(request, _("Select one profile."), "warning")
            elif actor is not None:
                activate_profile(actor, names[0])
        except ForbiddenError as error:
            self.message_user(request, error.message, "warning")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and Profile.objects.count() < MAX_PROFILES


def _record(request: HttpRequest, verb: str, subject: str, **details: object) -> None:
    actor = principal_of_request(request)
    if actor is not None:
        record(actor, verb, subject, **details)

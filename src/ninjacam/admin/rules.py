"""Webhooks, rules, and their deliveries."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.rules import RuleFields, assign_rule
from ninjacam.actions.webhooks import WebhookFields, assign_webhook, retry_delivery
from ninjacam.admin.base import AuditedPages
from ninjacam.auth import principal_of_request
from ninjacam.core.errors import ConflictError, ForbiddenError, InvalidError
from ninjacam.core.times import to_datetime
from ninjacam.models import (
    Rule,
    Webhook,
    WebhookDelivery,
)
from ninjacam.models.rule import MAX_RECIPIENTS, MAX_RULES

if TYPE_CHECKING:  # Generic only in the stubs.
    WebhookModelForm = forms.ModelForm[Webhook]
    RuleModelForm = forms.ModelForm[Rule]
    RuleModelAdmin = admin.ModelAdmin[Rule]
    WebhookModelAdmin = admin.ModelAdmin[Webhook]
    DeliveryModelAdmin = admin.ModelAdmin[WebhookDelivery]
else:
    WebhookModelForm = RuleModelForm = forms.ModelForm
    WebhookModelAdmin = RuleModelAdmin = DeliveryModelAdmin = admin.ModelAdmin


class NamesField(forms.CharField):
    """A list of names, separated by commas."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [name.strip() for name in (super().to_python(value) or "").split(",") if name.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


CONDITIONS = ("cameras", "kinds", "label", "zone", "min_score", "min_duration_s", "schedule", "profiles")


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
    # Not a choice of the present profiles: saving would remove the name of a deleted one.
    profiles = NamesField(
        label=_("Profiles"),
        required=False,
        help_text=_(
            "Names, separated by commas. One of them must be active when an event begins. Empty: with any, and without."
        ),
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
class WebhookAdmin(AuditedPages, WebhookModelAdmin):
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
class RuleAdmin(AuditedPages, RuleModelAdmin):
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

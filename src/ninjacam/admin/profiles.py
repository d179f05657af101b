"""Profiles."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.profiles import activate_profile
from ninjacam.admin.base import AuditedPages
from ninjacam.auth import principal_of_request
from ninjacam.core.errors import ForbiddenError
from ninjacam.models import (
    Profile,
    ProfileOverride,
)
from ninjacam.models.profile import MAX_OVERRIDES, MAX_PROFILES, find_active

if TYPE_CHECKING:  # Generic only in the stubs.
    ProfileModelAdmin = admin.ModelAdmin[Profile]
    OverrideInlineFormSet = forms.models.BaseInlineFormSet[
        ProfileOverride, Profile, forms.ModelForm[ProfileOverride]
    ]
    OverrideTabularInline = admin.TabularInline[ProfileOverride, Profile]
else:
    ProfileModelAdmin = admin.ModelAdmin
    OverrideInlineFormSet = forms.models.BaseInlineFormSet
    OverrideTabularInline = admin.TabularInline


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
class ProfileAdmin(AuditedPages, ProfileModelAdmin):
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

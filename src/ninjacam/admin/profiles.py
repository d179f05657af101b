"""Profiles."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
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
from ninjacam.models.names_in_conditions import find_naming
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Profile]:
        active = find_active(timezone.now()).profile
        is_active = Q(pk=active.pk if active is not None else None)
        return super().get_queryset(request).annotate(is_active=ExpressionWrapper(is_active, BooleanField()))

    @admin.display(description=_("active"), boolean=True)
    def active(self, profile: Profile) -> bool:
        return bool(getattr(profile, "is_active", False))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """A profile in the conditions of a webhook or rule cannot be deleted, as in `actions.profiles`."""
        deleted, counts, missing, protected = super().get_deleted_objects(objs, request)
        for profile in objs:
            for row in find_naming("profiles", profile.name):
                protected.append(f"{row._meta.verbose_name}: {row}")
        return deleted, counts, missing, protected

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

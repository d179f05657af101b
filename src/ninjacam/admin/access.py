"""Grants and API tokens."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.tokens import revoke_token
from ninjacam.admin.base import AuditedPages
from ninjacam.auth import principal_of_request
from ninjacam.models import (
    ApiToken,
    CameraGrant,
)

if TYPE_CHECKING:  # Generic only in the stubs.
    GrantModelAdmin = admin.ModelAdmin[CameraGrant]
    TokenModelAdmin = admin.ModelAdmin[ApiToken]
else:
    GrantModelAdmin = TokenModelAdmin = admin.ModelAdmin


@admin.register(CameraGrant)
class CameraGrantAdmin(AuditedPages, GrantModelAdmin):
    list_display = ["camera", "role", "user", "group", "created_at"]
    list_filter = ["role"]
    list_select_related = ["camera", "user", "group"]


@admin.register(ApiToken)
class ApiTokenAdmin(AuditedPages, TokenModelAdmin):
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

"""What the pages share: records of changes."""

from typing import Any

from django.http import HttpRequest

from ninjacam.actions.audit import acting, record
from ninjacam.auth import principal_of_request


class AuditedPages:
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


def record_change(request: HttpRequest, verb: str, subject: str, **details: object) -> None:
    actor = principal_of_request(request)
    if actor is not None:
        record(actor, verb, subject, **details)

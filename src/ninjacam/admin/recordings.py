"""Recordings and events."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ninjacam.admin.base import record_change
from ninjacam.core.colors import Color
from ninjacam.core.times import to_datetime
from ninjacam.models import (
    Event,
    Segment,
)
from ninjacam.models.outbox import note_changed

if TYPE_CHECKING:  # Generic only in the stubs.
    SegmentModelAdmin = admin.ModelAdmin[Segment]
    EventModelAdmin = admin.ModelAdmin[Event]
else:
    SegmentModelAdmin = EventModelAdmin = admin.ModelAdmin


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
        record_change(
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
        record_change(request, "event.update", obj.slug, event=obj.pk, protected=obj.protected)

    def delete_model(self, request: HttpRequest, obj: Event) -> None:
        pk = obj.pk
        super().delete_model(request, obj)
        record_change(request, "event.delete", obj.slug, event=pk, kind=obj.kind)

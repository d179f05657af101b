"""The page of the audit log, for administrators."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, cast
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError
from ninjacam.models import AuditEntry
from ninjacam.queries.audit import AuditFilter, list_audit_entries, list_cameras_in_log, list_verbs
from ninjacam.queries.pages import paginate
from ninjacam.web.views import page, render_page

PAGE = 100


@dataclass(frozen=True, slots=True)
class AuditRow:
    """`details`: (name, value) as text."""

    entry: AuditEntry
    details: list[tuple[str, str]]


class DayField(forms.DateField):
    """A day from 1970 to 2199, whose midnight and next day exist in each time zone."""

    def to_python(self, value: Any) -> date | None:
        day = super().to_python(value)
        if day is not None and not 1970 <= day.year < 2200:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return day


class AuditForm(forms.Form):
    user = forms.CharField(
        label=_("User"), required=False, max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    verb = forms.ChoiceField(label=_("Activity"), required=False)
    camera = forms.ChoiceField(label=_("Camera"), required=False)
    since = DayField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))
    until = DayField(label=_("To"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))

    def __init__(self, data: Any, verbs: Iterable[str], cameras: Iterable[str]) -> None:
        super().__init__(data, label_suffix="")
        for name, values in (("verb", verbs), ("camera", cameras)):
            choices = [("", _("all")), *((value, value) for value in values)]
            self.fields[name].choices = choices  # type: ignore[attr-defined] # a choice

    def wanted(self) -> AuditFilter:
        """Return the conditions of the valid fields."""
        given = {name: value for name, value in self.cleaned_data.items() if value}
        if "since" in given:
            given["since"] = _midnight(given["since"])
        if "until" in given:
            given["until"] = _midnight(given["until"]) + timedelta(days=1)
        return cast(AuditFilter, given)


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


@require_safe
@page
def show_audit(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show the newest entries: `?user=ada&verb=camera.update&camera=door&since=2026-11-01&until=2026-11-30`."""
    form = AuditForm(request.GET, list_verbs(principal), list_cameras_in_log(principal))
    is_valid = form.is_valid()
    found = list_audit_entries(principal, form.wanted())
    try:
        shown = paginate(found, ("-pk",), request.GET.get("after", ""), PAGE)
    except InvalidError:  # A cursor that was changed by hand.
        shown = paginate(found, ("-pk",), "", PAGE)
    query = {name: value for name, value in request.GET.items() if name in form.fields and value}
    rows = [
        AuditRow(entry, [(name, _text(value)) for name, value in entry.details.items()])
        for entry in shown.items
    ]
    context = {
        "form": form,
        "rows": rows,
        "is_filtered": bool(query),
        "older": "?" + urlencode({**query, "after": shown.next}) if shown.next else "",
    }
    return render_page(request, principal, "ninjacam/audit.html", context, 200 if is_valid else 422)


def _text(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)

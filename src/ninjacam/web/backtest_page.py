"""The page of a backtest: its progress, and then the comparison of the saved options with the tried ones."""

import uuid
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from ninjacam.actions.audit import record_taken
from ninjacam.actions.backtests import changes_of, delete_backtest, get_backtest, last_night, read_result
from ninjacam.actions.processor_options import set_options
from ninjacam.auth import Principal
from ninjacam.core.times import to_datetime, to_ns
from ninjacam.models.export import ACTIVE
from ninjacam.queries.cameras import get_camera
from ninjacam.web.views import page, render_page

_FORMAT = "%Y-%m-%dT%H:%M"


class SpanForm(forms.Form):
    """The span of recordings to try options on, in the time zone of the project. Without data: last night."""

    start = forms.DateTimeField(label=_("From"))
    end = forms.DateTimeField(label=_("To"))

    def __init__(self, data: object = None) -> None:
        night = dict(zip(("start", "end"), last_night(timezone.now()), strict=True))
        super().__init__(data, prefix="span", initial=night)  # type: ignore[arg-type] # of a request
        for field in self.fields.values():
            field.widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format=_FORMAT)

    def span_ns(self) -> tuple[int, int]:
        """Return the start and the end of a valid form, or of one without data."""
        times: Any = self.cleaned_data if self.is_bound else self.initial
        return to_ns(times["start"]), to_ns(times["end"])


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_backtest(
    request: HttpRequest, principal: Principal, slug: str, backtest_id: uuid.UUID
) -> HttpResponse:
    """Show it. POST `save`: save the tried options; POST: cancel or delete it. Both lead to the options."""
    backtest = get_backtest(principal, slug, backtest_id)
    processor = backtest.options["processor"]
    if request.method == "POST":
        if "save" in request.POST:
            set_options(principal, slug, processor, backtest.options["changes"])
        else:
            delete_backtest(principal, backtest)
        return redirect("ninjacam:processor-options", slug, processor)
    result = read_result(backtest)
    if result is not None:
        record_taken(
            principal, "backtest.view", slug, backtest.start_ns, backtest.end_ns, backtest=str(backtest.pk)
        )
    context = {
        "camera": get_camera(principal, slug),
        "backtest": backtest,
        "processor": processor,
        "changes": changes_of(backtest),
        "start": to_datetime(backtest.start_ns),
        "end": to_datetime(backtest.end_ns),
        "is_active": backtest.state in ACTIVE,
        # `backtest.report` escapes all that comes from user code and from the video.
        "result": None if result is None else mark_safe(result.html),  # noqa: S308
    }
    return render_page(request, principal, "ninjacam/backtest.html", context)

"""The page with events as cards: filters, search by words, what the user has not seen yet, and changes and exports of
several events at once."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods

from ninjacam.actions.events import delete_event, mark_seen, update_event
from ninjacam.actions.exports import create_export
from ninjacam.actions.word_search import MAX_CHARS, is_search_possible, search_events
from ninjacam.auth import Principal
from ninjacam.core.colors import Color
from ninjacam.core.errors import InvalidError, NinjacamError
from ninjacam.core.times import to_ns
from ninjacam.models import Event, Role
from ninjacam.models.event import EventQuerySet
from ninjacam.problems import problem_of
from ninjacam.queries.cameras import list_cameras, may_deleted
from ninjacam.queries.events import EventFilter, count_kinds, get_event, list_events
from ninjacam.queries.pages import Page, paginate
from ninjacam.web.event_cards import AFTER_NS, BEFORE_NS, camera_names, make_cards, time_text
from ninjacam.web.views import page, render_page

PAGE = 48
"""Maximum number of cards: divisible by 2, 3, 4 and 6 columns."""
MAX_KINDS = 12
MAX_DIGITS = 18
"""Of an id, which has 64 bits."""
MAX_EXPORT_NS = 24 * 3600 * 10**9
SPANS = {
    "day": (timedelta(days=1), gettext_lazy("Last 24 hours")),
    "week": (timedelta(days=7), gettext_lazy("Last 7 days")),
    "month": (timedelta(days=30), gettext_lazy("Last 30 days")),
    "year": (timedelta(days=365), gettext_lazy("Last year")),
}
COLOR_NAMES = {
    Color.BLACK: gettext_lazy("black"),
    Color.GRAY: gettext_lazy("gray"),
    Color.WHITE: gettext_lazy("white"),
    Color.RED: gettext_lazy("red"),
    Color.ORANGE: gettext_lazy("orange"),
    Color.YELLOW: gettext_lazy("yellow"),
    Color.GREEN: gettext_lazy("green"),
    Color.BLUE: gettext_lazy("blue"),
    Color.PURPLE: gettext_lazy("purple"),
    Color.BROWN: gettext_lazy("brown"),
    Color.PINK: gettext_lazy("pink"),
}


class FilterForm(forms.Form):
    """Conditions for the events of the page. Empty fields: any. `search`: words that the snapshots should fit."""

    search = forms.CharField(
        label=gettext_lazy("Search by words"),
        required=False,
        max_length=MAX_CHARS,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": gettext_lazy("red car at the gate")}),
    )

    camera = forms.MultipleChoiceField(label=gettext_lazy("Cameras"), required=False)
    span = forms.ChoiceField(label=gettext_lazy("Period"), required=False)
    day = forms.DateField(
        label=gettext_lazy("Day"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    kind = forms.CharField(label=gettext_lazy("Kind"), required=False, max_length=32)
    label = forms.CharField(label=gettext_lazy("Label contains"), required=False, max_length=200)
    zone = forms.CharField(label=gettext_lazy("Zone"), required=False, max_length=50)
    min_score = forms.FloatField(
        label=gettext_lazy("Minimum score"),
        required=False,
        min_value=0,
        max_value=1,
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    color = forms.ChoiceField(
        label=gettext_lazy("Color"), required=False, choices=[("", gettext_lazy("any")), *COLOR_NAMES.items()]
    )
    unseen = forms.BooleanField(label=gettext_lazy("Only unseen"), required=False)

    def __init__(self, data: Mapping[str, Any], cameras: dict[str, str]) -> None:
        super().__init__(data)
        self.fields["camera"].choices = list(cameras.items())  # type: ignore[attr-defined] # a MultipleChoiceField
        self.fields["span"].choices = [(name, label) for name, (_length, label) in SPANS.items()]  # type: ignore[attr-defined]

    def problems(self) -> list[str]:
        """Return the errors of the values that are not used."""
        return [
            f"{self.fields[name].label}: {error}" for name, errors in self.errors.items() for error in errors
        ]

    @property
    def is_narrow(self) -> bool:
        """Whether a condition is set that the folded part of the form contains."""
        given = self.cleaned_data
        return any(
            given.get(name) not in (None, "", [], False) for name in ("label", "zone", "min_score", "color")
        )

    def span_ns(self) -> tuple[int, int]:
        """Return [start, end): of the day in the time zone of the project, or of the period until now."""
        day = self.cleaned_data.get("day")
        if isinstance(day, date):
            start = timezone.make_aware(datetime(day.year, day.month, day.day))
            following = day + timedelta(days=1) if day < date.max else day
            end = timezone.make_aware(datetime(following.year, following.month, following.day))
            return to_ns(start), to_ns(end)
        now = timezone.now()
        length = SPANS[self.cleaned_data.get("span") or "week"][0]
        return to_ns(now - length), to_ns(now + timedelta(minutes=1))

    def conditions(self, principal: Principal) -> EventFilter:
        given = self.cleaned_data
        return EventFilter(
            kinds=(given["kind"],) if given.get("kind") else (),
            label=given.get("label") or "",
            zone=given.get("zone") or "",
            min_score=given.get("min_score"),
            colors=(given["color"],) if given.get("color") else (),
            unseen_by=principal.user if given.get("unseen") else None,
        )


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_events(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show events as cards, newest first: `?camera=door&kind=person&day=2026-11-22&unseen=on`; with `?search=red car`,
    the ones that fit the words best. POST changes the chosen ones: `do`: seen, unseen, protect, release, delete; or
    export, which leads to the exports."""
    problems = _change(request, principal) if request.method == "POST" else []
    if request.method == "POST" and not problems:
        is_export = request.POST.get("do") == "export"
        return redirect("ninjacam:exports" if is_export else request.get_full_path())
    status = 409 if problems else 200
    names = camera_names(principal)
    form = FilterForm({"span": "week", **_given(request)}, names)
    problems += form.problems()
    start_ns, end_ns = form.span_ns()
    wanted = form.cleaned_data.get("camera") or []
    conditions = form.conditions(principal)
    found = list_events(principal, wanted, start_ns, end_ns, conditions)
    # The others must remain visible, too, so that the user can change from one to another.
    of_all_kinds = list_events(principal, wanted, start_ns, end_ns, replace(conditions, kinds=()))
    words = form.cleaned_data.get("search", "")
    shown, failed = _search(principal, found, words) if words else (_paginate(request, found), [])
    problems += failed
    cards = make_cards(principal, shown.items, names)
    by_day = [(day, list(of_day)) for day, of_day in groupby(cards, lambda card: card.start.date())]
    context = {
        "form": form,
        "days": [(None, cards)] if words and cards else by_day,
        "has_search": is_search_possible() or bool(words),
        "has_failed": bool(failed),
        "kinds": _kind_links(request, form.cleaned_data.get("kind", ""), count_kinds(of_all_kinds)),
        "older": _link(request, after=shown.next) if shown.next else "",
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "since": _since(request, form, end_ns),
        "problems": problems,
        "may_control": _may(principal, Role.CONTROL),
        "may_export": _may(principal, Role.EXPORT),
        "has_cameras": bool(names) or may_deleted(principal, Role.REPLAY),
        "today": timezone.localdate(),
        "yesterday": timezone.localdate() - timedelta(days=1),
    }
    return render_page(request, principal, "ninjacam/events.html", context, status)


def _search(principal: Principal, found: EventQuerySet, words: str) -> tuple[Page[Event], list[str]]:
    """Return the events that fit the words best, and what went wrong."""
    try:
        return Page([event for event, _score in search_events(principal, found, words, PAGE)], None), []
    except NinjacamError as error:
        return Page([], None), [problem_of(error).detail]


def _since(request: HttpRequest, form: FilterForm, end_ns: int) -> str:
    """Return the present time, from which new events are announced; "": this page does not show the newest ones."""
    now_ns = to_ns(timezone.now())
    is_other = request.GET.get("after") or form.is_narrow or form.cleaned_data.get("search")
    return "" if is_other or end_ns < now_ns else time_text(now_ns)


def _paginate(request: HttpRequest, found: EventQuerySet) -> Page[Event]:
    order = ("-start_ns", "-pk")
    try:
        return paginate(found, order, request.GET.get("after", ""), PAGE)
    except InvalidError:  # A cursor that was changed by hand.
        return paginate(found, order, "", PAGE)


def _given(request: HttpRequest) -> dict[str, object]:
    """Return the values of the query, empty ones left out."""
    given: dict[str, object] = {name: value for name, value in request.GET.items() if value}
    return {**given, "camera": [slug for slug in request.GET.getlist("camera") if slug]}


def _change(request: HttpRequest, principal: Principal) -> list[str]:
    """Change the chosen events. Return what went wrong, each message once."""
    given = request.POST.getlist("event")[:PAGE]
    ids = [int(text) for text in given if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS]
    do = request.POST.get("do", "")
    if not ids:
        return [_("Choose events first.")]
    if do in ("seen", "unseen"):
        mark_seen(principal, ids, seen=do == "seen")
        return []
    if do not in ("protect", "release", "delete", "export"):
        return [_("Unknown action.")]
    problems: dict[str, None] = {}
    exported = 0
    for event_id in ids:
        try:
            event = get_event(principal, event_id, Role.EXPORT if do == "export" else Role.CONTROL)
            if do == "export":
                _export(principal, event)
                exported += 1
            elif do == "delete":
                delete_event(principal, event)
            else:
                update_event(principal, event, protected=do == "protect")
        except NinjacamError as error:
            problems[str(error)] = None
    if problems and exported:
        made = ngettext(
            "%(count)d event is being exported.", "%(count)d events are being exported.", exported
        )
        return [made % {"count": exported}, *problems]
    return list(problems)


def _export(principal: Principal, event: Event) -> None:
    """Export the recording of an event, with some seconds before and after it, until now if it is ongoing. Raises:
    NinjacamError."""
    now_ns = to_ns(timezone.now())
    end_ns = now_ns if event.end_ns is None else min(now_ns, event.end_ns + AFTER_NS)
    start_ns = max(event.start_ns - BEFORE_NS, end_ns - MAX_EXPORT_NS)
    create_export(principal, event.slug, start_ns, end_ns, "copy", {})


def _may(principal: Principal, role: Role) -> bool:
    """Return whether the user has this role for a camera."""
    return list_cameras(principal, role).exists() or may_deleted(principal, role)


def _kind_links(request: HttpRequest, chosen: str, counts: Mapping[str, int]) -> list[dict[str, object]]:
    """Return the most frequent kinds, and the chosen one, also without events: its link removes the condition."""
    shown = list(counts.items())[:MAX_KINDS]
    if chosen and chosen not in dict(shown):
        shown.append((chosen, counts.get(chosen, 0)))
    return [
        {
            "name": kind.replace("_", " "),
            "count": count,
            "url": _link(request, kind="" if kind == chosen else kind, after=""),
            "is_chosen": kind == chosen,
        }
        for kind, count in shown
    ]


def _link(request: HttpRequest, **changes: str | None) -> str:
    """Return the query of this page with some values changed; empty values are left out."""
    query = request.GET.copy()
    for name, value in changes.items():
        query[name] = value or ""
    return "?" + urlencode([(name, value) for name, values in query.lists() for value in values if value])

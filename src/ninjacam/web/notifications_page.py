"""The page on which users choose of which events they are notified, and in which browsers."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from ninjacam.actions import notifications as actions
from ninjacam.actions.conditions import ConditionFields
from ninjacam.auth import Principal
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import InvalidError, NinjacamError, NotFoundError
from ninjacam.core.times import to_datetime, to_ns
from ninjacam.models import NotificationChoice, Profile, Role, VapidKey
from ninjacam.models.notification import EVERYTHING
from ninjacam.queries import notifications as queries
from ninjacam.queries.cameras import list_cameras
from ninjacam.queries.events import count_kinds, list_events
from ninjacam.queries.profiles import list_profiles
from ninjacam.web.views import page, render_page

KINDS_OF = timedelta(days=30)
"""The kinds of events of this period can be chosen, besides COMMON_KINDS."""
MAX_KINDS = 40
COMMON_KINDS = ("person", "vehicle", "motion", "camera_down")
MAX_DIGITS = 18
MAX_TOKEN_CHARS = 500


class NotificationForm(forms.Form):
    """Fields of `ConditionFields`. No choice: any."""

    enabled = forms.BooleanField(label=gettext_lazy("Notify me"), required=False)
    cameras = forms.MultipleChoiceField(
        label=gettext_lazy("Cameras"), required=False, widget=forms.CheckboxSelectMultiple
    )
    kinds = forms.MultipleChoiceField(
        label=gettext_lazy("Kinds"), required=False, widget=forms.CheckboxSelectMultiple
    )
    schedule = forms.CharField(
        label=gettext_lazy("Times"),
        required=False,
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "mon-fri 22:00-06:00"}),
        help_text=gettext_lazy("When an event must begin. Empty: at any time."),
    )
    profiles = forms.MultipleChoiceField(
        label=gettext_lazy("Profiles"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("One of them must be active when an event begins."),
    )
    label = forms.CharField(label=gettext_lazy("Label contains"), required=False, max_length=200)
    zone = forms.CharField(label=gettext_lazy("Zone"), required=False, max_length=50)
    min_score = forms.FloatField(
        label=gettext_lazy("Minimum score"),
        required=False,
        min_value=0,
        max_value=1,
        widget=forms.NumberInput(attrs={"step": "0.05"}),
    )
    min_duration_s = forms.FloatField(
        label=gettext_lazy("Minimum duration in seconds"), required=False, min_value=0, max_value=86_400
    )

    def __init__(
        self, data: Any, choice: NotificationChoice, choices: Mapping[str, Mapping[str, str]]
    ) -> None:
        initial = {name: getattr(choice, name) for name in self.base_fields}
        super().__init__(data, initial=initial)
        for name, offered in choices.items():
            self.fields[name].choices = list(offered.items())  # type: ignore[attr-defined] # multiple choices
            if not offered:
                del self.fields[name]

    @property
    def is_narrow(self) -> bool:
        """Whether a condition is set that the folded part of the form contains, or one of them is wrong."""
        narrow = ("label", "zone", "min_score", "min_duration_s")
        return any(self[name].value() not in (None, "", 0) or self[name].errors for name in narrow)

    def values(self) -> ConditionFields:
        given = dict(self.cleaned_data)
        given["min_duration_s"] = given["min_duration_s"] or 0
        return cast(ConditionFields, given)

    def add_problem(self, error: InvalidError) -> None:
        for name, messages in (error.fields or {"": [error.message]}).items():
            for message in messages:
                self.add_error(name if name in self.fields else None, message)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_notifications(request: HttpRequest, principal: Principal) -> HttpResponse:
    """POST: `do` is save, mute or unmute (of `camera`), remove or test (of `browser`)."""
    choice = queries.get_choice(principal)
    do = request.POST.get("do", "") if request.method == "POST" else ""
    form = NotificationForm(request.POST if do == "save" else None, choice, _choices(principal, choice))
    problem = ""
    if do:
        problem = _save(principal, form) if do == "save" else _do(request, principal, do)
        if not problem and not form.errors:
            done = "saved" if do == "save" else do if do == "test" else ""
            return redirect(reverse("ninjacam:notifications") + (f"?done={done}" if done else ""))
    context = {
        "form": form,
        "problem": problem,
        "done": request.GET.get("done", ""),
        "mutes": _mutes(principal, choice),
        "cameras": [(camera.slug, str(camera)) for camera in list_cameras(principal, Role.REPLAY)],
        "browsers": [
            {"row": row, "has_failed": has_failed, "is_this": actions.is_browser_of(row, request.session)}
            for row, has_failed in queries.list_subscriptions(principal)
        ],
        "public_key": VapidKey.get().public_key,
    }
    status = 422 if problem or form.errors else 200
    return render_page(request, principal, "ninjacam/notifications.html", context, status)


def _save(principal: Principal, form: NotificationForm) -> str:
    """Return the error that belongs to no field."""
    if not form.is_valid():
        return ""
    try:
        actions.update_notifications(principal, form.values())
    except InvalidError as error:
        form.add_problem(error)
    except NinjacamError as error:
        return str(error)
    return ""


def _do(request: HttpRequest, principal: Principal, do: str) -> str:
    """Carry out another action than saving. Return what went wrong."""
    camera = request.POST.get("camera", EVERYTHING)
    slug = None if camera == EVERYTHING else camera
    known: dict[str, Callable[[], object]] = {
        "mute": lambda: actions.mute_notifications(principal, slug, actions.HOUR_S),
        "unmute": lambda: actions.mute_notifications(principal, slug, 0),
        "remove": lambda: actions.unsubscribe(principal, _browser(request, principal)),
        "test": lambda: actions.send_test(principal, _browser(request, principal)),
    }
    if do not in known:
        return _("Unknown action.")
    try:
        known[do]()
    except NinjacamError as error:
        return str(error)
    return ""


def _browser(request: HttpRequest, principal: Principal) -> Any:
    """Raises: NotFoundError."""
    text = request.POST.get("browser", "")
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    return queries.get_subscription(principal, int(text) if is_number else 0)


def _choices(principal: Principal, choice: NotificationChoice) -> dict[str, dict[str, str]]:
    """Return the values of the fields with their names: those that the user may choose, and those that are chosen."""
    now_ns = to_ns(timezone.now())
    since_ns = now_ns - int(KINDS_OF.total_seconds()) * 10**9
    kinds = list(count_kinds(list_events(principal, [], since_ns, now_ns)))[:MAX_KINDS]
    cameras = {camera.slug: str(camera) for camera in list_cameras(principal, Role.REPLAY)}
    profiles: list[Profile] = list(list_profiles(principal)) if principal.may_all("view_profile") else []
    return {
        "cameras": cameras | {slug: slug for slug in choice.cameras if slug not in cameras},
        "kinds": {
            kind: kind.replace("_", " ") for kind in dict.fromkeys((*COMMON_KINDS, *kinds, *choice.kinds))
        },
        "profiles": {name: name for name in (*(each.name for each in profiles), *choice.profiles)},
    }


def _mutes(principal: Principal, choice: NotificationChoice) -> list[dict[str, object]]:
    names = {camera.slug: str(camera) for camera in list_cameras(principal, Role.REPLAY)}

    def until(time_ns: int) -> datetime:
        return timezone.localtime(to_datetime(time_ns))

    return [
        {
            "key": slug,
            "name": _("All cameras") if slug == EVERYTHING else names.get(slug, slug) or _("This server"),
            "until": until(until_ns),
        }
        for slug, until_ns in sorted(choice.present_mutes(SYSTEM_CLOCK.wall_ns()).items())
    ]


@csrf_exempt  # The token shows that the request comes from a notification; its service worker has no other.
@require_POST
def mute_by_notification(request: HttpRequest) -> HttpResponse:
    """Mute the camera of a notification for an hour. Needs no session, which may have expired."""
    try:
        actions.mute_by_notification(request.POST.get("token", "")[:MAX_TOKEN_CHARS])
    except NotFoundError as error:
        return HttpResponse(str(error), status=404, content_type="text/plain; charset=utf-8")
    return HttpResponse(status=204)

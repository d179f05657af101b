"""The views of the pages: read the objects that the user may see, call actions for writes, render."""

from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from django.conf import settings
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import split_domain_port
from django.shortcuts import redirect, render
from django.template.response import SimpleTemplateResponse
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from ninjacam.actions import cameras as actions
from ninjacam.actions.discovery import list_networks
from ninjacam.actions.notifications import browser_marker
from ninjacam.actions.publish_keys import create_publish_key, revoke_publish_key
from ninjacam.actions.sessions import note_use
from ninjacam.actions.sign_in import remember_browser
from ninjacam.actions.streams import delete_stream, put_stream
from ninjacam.actions.tokens import MAX_TOKENS, revoke_all_tokens
from ninjacam.auth import Principal
from ninjacam.conf import get_settings
from ninjacam.core.errors import ConflictError, ForbiddenError, InvalidError, NinjacamError, ViewNotFoundError
from ninjacam.core.ready_made import READY_MADE, is_ready_made
from ninjacam.discovery.networks import MIN_PREFIX
from ninjacam.engine.findings import Level
from ninjacam.languages import visitors_choose
from ninjacam.models import ApiToken, Camera, WallLayout
from ninjacam.problems import Problem, problem_of
from ninjacam.project import login_required, login_url
from ninjacam.queries.cameras import get_camera, list_cameras, list_recorded, may_deleted
from ninjacam.queries.event_calls import list_event_processors
from ninjacam.queries.processor_options import options_of
from ninjacam.queries.publishing import (
    get_publish_key,
    list_publish_keys,
    publish_urls,
)
from ninjacam.queries.status import Status, read_status
from ninjacam.queries.streams import list_streams
from ninjacam.queries.talk import talk_ability
from ninjacam.queries.views import list_views, overlay_of, views_to_choose
from ninjacam.routes import ROUTES
from ninjacam.sources.registry import speaks_rtsp
from ninjacam.web.forms import CameraForm
from ninjacam.web.log_in import LogInForm, PasswordForm
from ninjacam.web.phone_link import PhoneLink, make_phone_link
from ninjacam.web.player import render_player, state_label

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)
RATES = ("0.5", "1", "2", "4", "8")
MAX_TOGETHER = 9
"""Maximum number of cameras. Most machines cannot decode more streams in a browser."""
View = Callable[Concatenate[HttpRequest, Principal, P], HttpResponse]


COMPLETE_LANGUAGES = ("en", "ko")
"""The languages into which all texts of the pages are translated."""


def in_complete_language(view: Callable[P, R]) -> Callable[P, R]:
    """Render the page in the visitor's language if it is completely translated, else in the first complete language."""

    @wraps(view)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        language = translation.get_language() or ""
        known = language if language.partition("-")[0] in COMPLETE_LANGUAGES else COMPLETE_LANGUAGES[0]
        with translation.override(known):
            response = view(*args, **kwargs)
            if isinstance(response, SimpleTemplateResponse):
                response.render()
            return response

    return translated


class LogIn(LoginView):
    template_name = "ninjacam/login.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        remember_browser(self.request, response, form.get_user())
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        if getattr(form, "throttled", False):
            response.status_code = 429
        return response

    def get_default_redirect_url(self) -> str:
        return reverse("ninjacam:wall")


class LogOut(LogoutView):
    def get_default_redirect_url(self) -> str:
        return login_url()


TITLES = (
    gettext_noop("Forbidden"),
    gettext_noop("Not Found"),
    gettext_noop("Conflict"),
    gettext_noop("Too Many Requests"),
    gettext_noop("Internal Server Error"),
    gettext_noop("Bad Gateway"),
    gettext_noop("Service Unavailable"),
)
"""The translated ones of the phrases of HTTP statuses."""


def title_of(problem: Problem) -> str:
    """Return the title of a page that reports a problem."""
    return _(problem.as_dict()["title"])


def page(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Decorate a view for users who are logged in, by session only. Our errors become a page with their status."""

    @never_cache
    @login_required
    @in_complete_language
    @wraps(view)
    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:  # login_required guarantees it; this check is for mypy.
            raise PermissionDenied
        note_use(request)
        principal = Principal(request.user, "session", credential=request.session.session_key or "")
        try:
            return view(request, principal, *args, **kwargs)
        except NinjacamError as error:
            problem = problem_of(error)
            context = {"title": title_of(problem), "detail": problem.detail}
            return render_page(request, principal, "ninjacam/error.html", context, status=problem.status)

    return checked


def render_page(
    request: HttpRequest, principal: Principal, template: str, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """Render with the context that every page requires around its content."""
    around = {
        "user": principal.user,
        "may_add": principal.may_all("add_camera", "configure"),
        "may_administer": principal.may_administer(),
        "may_replay_any": may_deleted(principal, "replay") or list_cameras(principal, "replay").exists(),
        "base": reverse("ninjacam:wall"),
        "browser_marker": browser_marker(principal.user),
    }
    return render(request, template, {**around, **context}, status=status)


@require_safe
@page
def show_wall(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show all cameras that the user may view, or those of a layout: `?layout=3`. `?view=edges` shows that view for
    cameras that have it."""
    status = read_status()
    layouts = list(WallLayout.objects.visible_to(principal.user))
    layout = next((each for each in layouts if str(each.pk) == request.GET.get("layout")), None)
    cameras: Iterable[Camera] = list_cameras(principal)
    if layout is not None:
        cameras = layout.arrange(cameras)
    chosen = request.GET.get("view", "")
    tiles = [_tile(principal, camera, status, chosen) for camera in cameras]
    views = sorted({view for tile in tiles for view in tile["views"]})
    context = {
        "tiles": tiles,
        "views": views,
        "chosen": chosen,
        "layouts": layouts,
        "layout": layout,
        "is_own_layout": layout is not None and layout.owner_id == principal.user.pk,
        "engine_running": status.engine_running,
    }
    return render_page(request, principal, "ninjacam/wall.html", context)


def _tile(principal: Principal, camera: Camera, status: Status, chosen: str) -> dict[str, Any]:
    views = views_to_choose(principal, camera, status)
    findings = status.camera(camera, details=False).get("findings", ())
    return {
        "camera": camera,
        "finding": next((finding for finding in findings if finding["level"] != Level.INFO), None),
        "views": views,
        "player": render_player(
            camera.slug,
            {
                "view": chosen if chosen in views else None,
                "overlay": overlay_of(principal, camera, status),
                "data_views": " ".join(views),
            },
        ),
    }


@require_safe
@page
def show_camera(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    camera = get_camera(principal, slug)
    status = read_status()
    may_configure = principal.may("configure", camera)
    choices = views_to_choose(principal, camera, status)
    views = [view for view in list_views(principal, [camera], status) if view.name in choices]
    chosen = request.GET.get("view", "")
    if chosen and chosen not in choices:
        raise ViewNotFoundError(
            _("The camera “%(slug)s” has no view “%(view)s”.") % {"slug": slug, "view": chosen[:50]}
        )
    query = f"?view={chosen}" if chosen else ""
    live = [
        {
            "kind": route.kind,
            "label": route.label,
            "url": request.build_absolute_uri(route.path(slug) + query),
        }
        for route in ROUTES
        if route.label
    ]
    figures = status.camera(camera, details=may_configure)
    context = {
        "camera": camera,
        "views": views,
        "event_processors": list_event_processors(principal, camera, status),
        "chosen": chosen,
        "player": render_player(
            slug,
            {
                "view": chosen or None,
                "overlay": overlay_of(principal, camera, status),
                "controls": True,
                "data_may_export": principal.may("export", camera),
            },
        ),
        "may_replay": principal.may("replay", camera),
        "may_export": principal.may("export", camera),
        "rates": RATES,
        "time": request.GET.get("time", ""),
        "figures": figures,
        "state": state_label(figures["state"]),
        "may_configure": may_configure,
        "has_device": bool(camera.onvif_url) and camera.enabled,
        "may_control": principal.may("control", camera),
        "takes_audio": speaks_rtsp(camera.url) and camera.enabled,
        "talk": talk_ability(camera, figures),
        "live": live,
        "streams": [
            {"stream": stream, "state": state_label(stream.state)}
            for stream in list_streams(principal, [camera], status)
        ],
        "template_tag": f'{{% camera "{slug}" view="{chosen}" %}}' if chosen else f'{{% camera "{slug}" %}}',
        **(_for_configuring(request, camera, status) if may_configure else {}),
    }
    return render_page(request, principal, "ninjacam/camera.html", context)


@require_safe
@page
def show_replay(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show the recordings of several cameras in sync: `?camera=a&camera=b`, at most MAX_TOGETHER; `time`: the start.

    Includes those of deleted cameras, for users who may view them.
    """
    asked = request.GET.getlist("camera")
    wanted = list_recorded(principal, asked) if asked else []
    there = {camera.slug: camera for camera in Camera.objects.all()}
    names = {slug: str(there.get(slug, slug)) for slug in list_recorded(principal, [])}
    shown = wanted[:MAX_TOGETHER]
    status = read_status()
    exportable = [slug for slug in shown if slug in there and principal.may("export", there[slug])]
    players = [
        {
            "slug": slug,
            "name": names[slug],
            "element": render_player(
                slug,
                {
                    "controls": True,
                    "overlay": status.overlay_of(slug),
                    "data_name": names[slug],
                    "data_may_export": slug in exportable,
                },
            ),
        }
        for slug in shown
    ]
    context = {
        "cameras": [{"slug": slug, "name": name, "chosen": slug in shown} for slug, name in names.items()],
        "players": players,
        "too_many": len(wanted) > len(shown),
        "most": MAX_TOGETHER,
        "may_export": bool(exportable),
        "rates": RATES,
        "time": request.GET.get("time", ""),
    }
    return render_page(request, principal, "ninjacam/replay.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def add_camera(request: HttpRequest, principal: Principal) -> HttpResponse:
    if not principal.may_all("add_camera", "configure"):
        raise ForbiddenError(_("You are not allowed to add cameras."))
    by_phone = {"slug": "phone", "url": "push:"} if request.GET.get("by") == "phone" else None
    form = CameraForm(request.POST or None, initial=by_phone)
    if request.method == "POST" and form.is_valid():
        try:
            streams = {name: address for name, address in form.streams().items() if address}
            camera = actions.create_camera(
                principal, form.cleaned_data["slug"], form.camera_fields(), streams
            )
            next_page = "publish-keys" if camera.is_published else "camera"
            return redirect(f"ninjacam:{next_page}", camera.slug)
        except InvalidError as error:
            form.show_error(error)
        except ConflictError as error:
            form.add_error("slug", error.message)
    return _show_form(request, principal, form)


@require_safe
@page
def show_discovery(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show the page that searches the network for cameras through the API."""
    networks = [
        str(each.network) for each in list_networks(principal) if each.network.prefixlen >= MIN_PREFIX
    ]
    strings = {
        "searching": _("Searching …"),
        "progress": _("{alive} devices respond, {found} cameras found …"),
        "done": _("Found: {found}."),
        "nothing": _(
            "No camera responded. Check that the cameras are on and in this network, or add one by its address."
        ),
        "cancelled": _("The search was cancelled."),
        "failed": _("The search failed."),
        "known": _("Already added: {camera}"),
        "locked": _("needs a password"),
        "camera": _("camera"),
        "phone": _("phone"),
        "recorder": _("recorder"),
        "unknown": _("unknown device"),
        "unread": _("Its other streams could not be read: {reason}"),
    }
    context = {"networks": networks, "network": next(iter(networks), ""), "strings": strings}
    return render_page(request, principal, "ninjacam/discover.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def edit_camera(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    camera = get_camera(principal, slug, "configure")
    form = CameraForm(request.POST or None, camera=camera)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                camera = actions.update_camera(principal, camera, form.camera_fields())
                for name, address in form.streams().items():
                    if address is None:
                        delete_stream(principal, camera, name)
                    else:
                        put_stream(principal, camera, name, address)
                camera = actions.rename_camera(principal, camera, form.cleaned_data["slug"] or slug)
            return redirect("ninjacam:camera", camera.slug)
        except ConflictError as error:
            form.add_error("slug", error.message)
        except InvalidError as error:
            form.show_error(error)
    return _show_form(request, principal, form)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_publish_keys(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    """Show the keys with which devices publish to a camera. Create one, which is shown once, or revoke one."""
    camera = get_camera(principal, slug, "configure")
    context: dict[str, Any] = {"camera": camera, "ports_open": get_settings().publish_ports.is_open}
    if request.method == "POST" and request.POST.get("revoke", "").isdecimal():
        revoke_publish_key(principal, get_publish_key(principal, slug, int(request.POST["revoke"][:18])))
        return redirect("ninjacam:publish-keys", slug)
    if request.GET.get("phone", "").isdecimal():
        row = get_publish_key(principal, slug, int(request.GET["phone"][:18]))
        context |= {"phone": make_phone_link(request, row), "phone_key": row}
    if request.method == "POST":
        _row, key = create_publish_key(principal, camera, request.POST.get("name", "")[:100])
        context |= {"key": key, "urls": publish_urls(key, split_domain_port(request.get_host())[0])}
    context["keys"] = list_publish_keys(principal, slug)
    return render_page(request, principal, "ninjacam/publish_keys.html", context)


def _for_configuring(request: HttpRequest, camera: Camera, status: Status) -> dict[str, object]:
    return {
        "phone": _phone_link(request, camera),
        "processors": options_of(camera, status),
        "ready_made": _ready_made(camera, status),
        "zones": camera.zones.all(),
    }


def _ready_made(camera: Camera, status: Status) -> list[dict[str, object]]:
    """`is_replaced`: a processor of the user's code has this name, and is used instead."""
    chosen = camera.processors or ()
    own = {each["name"] for each in status.processors if not is_ready_made(str(each.get("module", "")))}
    return [
        {"name": name, "description": _(text), "is_chosen": name in chosen, "is_replaced": name in own}
        for name, text in READY_MADE.items()
    ]


def _phone_link(request: HttpRequest, camera: Camera) -> PhoneLink | None:
    """Return the link by which a phone becomes this camera; None if no device can publish to it."""
    key = camera.publish_keys.order_by("pk").first() if camera.is_published and camera.enabled else None
    return make_phone_link(request, key) if key is not None else None


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_account(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Change the user's own password and language; list and revoke the user's own API tokens."""
    user = principal.user
    revoking = request.method == "POST" and "revoke_all" in request.POST
    if revoking:
        revoke_all_tokens(principal, user)
        return redirect("ninjacam:account")
    form = None
    if user.has_usable_password():  # Other users have their password elsewhere, for example in LDAP.
        form = PasswordForm(request, user, request.POST if request.method == "POST" else None)
        if form.is_valid():
            form.save()
            update_session_auth_hash(request, user)  # type: ignore[arg-type] # takes every user model
            if form.cleaned_data["end_tokens"]:
                revoke_all_tokens(principal, user)
            return redirect("ninjacam:account")
    tokens = ApiToken.objects.filter(user_id=user.pk, revoked_at=None).select_related("parent")[:MAX_TOKENS]
    context = {
        "form": form,
        "tokens": [token for token in tokens if token.is_usable()],
        "languages": _selectable_languages(),
    }
    return render_page(
        request, principal, "ninjacam/account.html", context, 422 if form and form.errors else 200
    )


def _selectable_languages() -> list[dict[str, str]]:
    """Return the languages among which users can choose; none if the project has only one, or ignores the choice.

    `code`: of the project's setting LANGUAGES. `name`: in the language itself.
    """
    codes = [code for code, _name in settings.LANGUAGES if code.partition("-")[0] in COMPLETE_LANGUAGES]
    if len(codes) < 2 or not visitors_choose():
        return []
    return [{"code": code, "name": translation.get_language_info(code)["name_local"]} for code in codes]


def _show_form(request: HttpRequest, principal: Principal, form: CameraForm) -> HttpResponse:
    context = {"form": form, "camera": form.camera}
    return render_page(request, principal, "ninjacam/camera_form.html", context, 422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def delete_camera(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    camera = get_camera(principal, slug, "configure")
    if request.method == "POST":
        wanted: Literal["keep", "delete"] = "delete" if request.POST.get("recordings") == "delete" else "keep"
        actions.delete_camera(principal, camera, recordings=wanted)
        return redirect("ninjacam:wall")
    may_delete = principal.may("export", camera)
    return render_page(
        request, principal, "ninjacam/camera_delete.html", {"camera": camera, "may_delete": may_delete}
    )

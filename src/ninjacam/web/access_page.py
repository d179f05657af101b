"""The matrix of permissions, for administrators: all users or groups of one camera, or all cameras of one user."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from ninjacam.actions.grants import Holder, change_grants
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError, NotFoundError
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.permission_sources import PermissionSources, Sources
from ninjacam.queries.users import get_group, get_user, list_groups, list_users, require_administrator
from ninjacam.web.views import page, render_page

PAGE = 40
"""Rows of a page. Each has a checkbox and a hidden field for each role; Django accepts 1,000 fields."""


@dataclass(frozen=True, slots=True)
class Cell:
    """`key`: names holder, camera and role. `is_given`: to this holder, for this camera. `sources`: why the holder has
    the role, in words."""

    key: str
    role_name: str
    is_given: bool
    sources: list[str]


@dataclass(frozen=True, slots=True)
class AccessRow:
    name: str
    url: str
    is_inactive: bool
    cells: list[Cell]


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_access(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show who has which role: `?camera=door`, with `?of=groups` for groups, or `?user=5`.

    POST: `grant`: the keys of checked cells; `held`: the keys that were checked before. Only differences change.
    """
    require_administrator(principal)
    if request.method == "POST":
        _change(principal, set(request.POST.getlist("grant")), set(request.POST.getlist("held")))
        return redirect(request.get_full_path())
    cameras = list(Camera.objects.order_by("slug"))
    context: dict[str, Any] = {"cameras": cameras, "roles": Role.labels, "search": request.GET.get("q", "")}
    if request.GET.get("user"):
        user = get_user(principal, request.GET["user"])
        context |= {"account": user, **_of_user(request, user, cameras)}
    elif cameras:
        slug = request.GET.get("camera")
        camera = get_camera(principal, slug[:50]) if slug else cameras[0]
        is_groups = request.GET.get("of") == "groups"
        context |= {
            "camera": camera,
            "is_groups": is_groups,
            **_of_camera(request, principal, camera, is_groups),
        }
    return render_page(request, principal, "ninjacam/access.html", context)


def _of_camera(request: HttpRequest, principal: Principal, camera: Camera, is_groups: bool) -> dict[str, Any]:
    search = request.GET.get("q", "")
    found: Any = list_groups(principal, search) if is_groups else list_users(principal, search)
    shown: Page[Any] = Paginator(found, PAGE).get_page(request.GET.get("page"))
    holders = list(shown.object_list)
    if is_groups:
        sources = PermissionSources([], holders)
        rows = [_row(group, camera, sources, sources.of_group(group, camera)) for group in holders]
    else:
        sources = PermissionSources(holders, [])
        rows = [_row(user, camera, sources, sources.of_user(user, camera)) for user in holders]
    return {"rows": rows, "shown": shown}


def _of_user(request: HttpRequest, user: Any, cameras: list[Camera]) -> dict[str, Any]:
    shown: Page[Camera] = Paginator(cameras, PAGE).get_page(request.GET.get("page"))
    sources = PermissionSources([user], [])
    rows = [
        _row(user, camera, sources, sources.of_user(user, camera), is_camera=True)
        for camera in shown.object_list
    ]
    return {"rows": rows, "shown": shown}


def _row(
    holder: Any, camera: Camera, sources: PermissionSources, found: Sources, *, is_camera: bool = False
) -> AccessRow:
    kind = "group" if isinstance(holder, Group) else "user"
    granted = sources.granted(holder, camera)
    cells = [
        Cell(f"{kind}~{holder.pk}~{camera.slug}~{role.value}", str(role.label), role in granted, found[role])
        for role in Role
    ]
    access = reverse("ninjacam:access")
    if is_camera:
        return AccessRow(str(camera), f"{access}?camera={camera.slug}", False, cells)
    if isinstance(holder, Group):
        return AccessRow(holder.name, reverse("ninjacam:group", args=[holder.pk]), False, cells)
    return AccessRow(holder.get_username(), f"{access}?user={holder.pk}", not holder.is_active, cells)


def _change(principal: Principal, checked: set[str], held: set[str]) -> None:
    """Raises: ForbiddenError, NotFoundError, InvalidError."""
    holders: dict[tuple[str, str], Any] = {}

    def read(keys: Iterable[str]) -> list[Holder]:
        found = []
        for key in sorted(keys):
            parts = key.rsplit("~", 2)
            kind, _tilde, pk = parts[0].partition("~")
            if len(parts) != 3 or kind not in ("user", "group") or parts[2] not in Role.values:
                raise InvalidError(_("Reload the page and try again."))
            if (kind, pk) not in holders:
                holders[kind, pk] = get_user(principal, pk) if kind == "user" else _group(principal, pk)
            found.append((get_camera(principal, parts[1]), parts[2], holders[kind, pk]))
        return found

    change_grants(principal, read(checked - held), read(held - checked))


def _group(principal: Principal, pk: str) -> Group:
    """Raises: NotFoundError."""
    if not pk.isdecimal() or len(pk) > 10:
        raise NotFoundError(_("No such group."))
    return get_group(principal, int(pk))

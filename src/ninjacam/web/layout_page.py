"""The page on which a user arranges the cameras of the wall."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from ninjacam.actions.layouts import delete_layout, get_own_layout, may_share, save_layout
from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, InvalidError, QuotaError
from ninjacam.models import Camera, WallLayout
from ninjacam.queries.cameras import list_cameras
from ninjacam.routes import ROUTES_BY_NAME
from ninjacam.web.views import page, render_page

STILL_WIDTH_PX = 320


@require_http_methods(["GET", "HEAD", "POST"])
@page
def edit_layout(request: HttpRequest, principal: Principal, layout_id: int | None = None) -> HttpResponse:
    """Show all cameras, those of the layout first. POST saves or deletes it: the order of `camera` is the order of the
    wall."""
    layout = None if layout_id is None else get_own_layout(principal, layout_id)
    problem = ""
    if request.method == "POST":
        if layout is not None and request.POST.get("do") == "delete":
            delete_layout(principal, layout)
            return redirect("ninjacam:wall")
        try:
            saved = save_layout(
                principal,
                layout,
                name=request.POST.get("name", ""),
                slugs=request.POST.getlist("camera"),
                shared="shared" in request.POST,
            )
            return redirect(f"{reverse('ninjacam:wall')}?layout={saved.pk}")
        except (InvalidError, ForbiddenError, QuotaError) as error:
            problem = str(error)
    context = {
        "layout": layout,
        "name": request.POST.get("name", layout.name if layout else ""),
        "shared": "shared" in request.POST
        or (request.method != "POST" and layout is not None and layout.shared),
        "may_share": may_share(principal),
        "tiles": _tiles(principal, layout, request.POST.getlist("camera") if problem else None),
        "problem": problem,
    }
    return render_page(request, principal, "ninjacam/layout.html", context, status=422 if problem else 200)


def _tiles(
    principal: Principal, layout: WallLayout | None, given: list[str] | None
) -> list[dict[str, object]]:
    """Return all cameras, chosen ones first. `given`: the slugs of a form that was refused."""
    cameras = list(list_cameras(principal))
    if given is not None:
        by_slug = {camera.slug: camera for camera in cameras}
        chosen = [by_slug[slug] for slug in dict.fromkeys(given) if slug in by_slug]
    else:
        chosen = cameras if layout is None else layout.arrange(cameras)
    others = [camera for camera in cameras if camera not in chosen]
    return [_tile(camera, is_chosen=True) for camera in chosen] + [
        _tile(camera, is_chosen=False) for camera in others
    ]


def _tile(camera: Camera, *, is_chosen: bool) -> dict[str, object]:
    still = ROUTES_BY_NAME["live-snapshot"].path(camera.slug)
    return {"camera": camera, "is_chosen": is_chosen, "still": f"{still}?width={STILL_WIDTH_PX}"}

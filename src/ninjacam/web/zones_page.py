"""The page where zones, lines and masks are drawn on the image of a camera."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from ninjacam.actions.zones import create_zone, delete_zone, update_zone
from ninjacam.auth import Principal
from ninjacam.core.errors import ConflictError, InvalidError, QuotaError
from ninjacam.core.zones import MAX_POINTS, MAX_ZONES, MIN_POINTS
from ninjacam.models import Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.zones import get_zone, list_zones
from ninjacam.routes import ROUTES
from ninjacam.web.player import render_player
from ninjacam.web.views import page, render_page
from ninjacam.web.zone_form import ZoneForm


@require_http_methods(["GET", "HEAD", "POST"])
@page
def edit_zones(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    """Show a form for each zone, which also works without JavaScript. The script draws the zones of the forms, and
    saves them through the API, so that the video continues."""
    camera = get_camera(principal, slug, Role.CONFIGURE)
    sent = None
    if request.method == "POST":
        name = request.POST.get("zone", "")
        zone = get_zone(principal, slug, name, Role.CONFIGURE) if name else None
        if zone is not None and "delete" in request.POST:
            delete_zone(principal, slug, name)
            return redirect("ninjacam:zones", slug)
        sent = ZoneForm(zone, request.POST)
        if sent.is_valid() and _save(principal, slug, sent):
            return redirect(reverse("ninjacam:zones", args=[slug]) + f"#zone-{sent.cleaned_data['name']}")
    context = {
        "camera": camera,
        "forms": _forms(principal, slug, sent),
        "new": sent if sent is not None and sent.zone is None else ZoneForm(),
        "sent": sent,
        "player": render_player(slug, {"fit": "fill"}),
        "snapshot": next(route.path(slug) for route in ROUTES if route.kind == "snapshot"),
        "limits": {"max_zones": MAX_ZONES, "max_points": MAX_POINTS, "min_points": dict(MIN_POINTS)},
        "strings": _strings(),
    }
    status = 422 if sent is not None else 200
    return render_page(request, principal, "ninjacam/zones.html", context, status=status)


def _save(principal: Principal, slug: str, form: ZoneForm) -> bool:
    """Return whether the zone is saved; otherwise, the form shows the error."""
    try:
        if form.zone is None:
            create_zone(principal, slug, form.zone_fields())
        else:
            update_zone(principal, slug, form.zone.name, form.zone_fields())
    except (InvalidError, ConflictError, QuotaError) as error:
        form.show_error(error)
        return False
    return True


def _forms(principal: Principal, slug: str, sent: ZoneForm | None) -> list[ZoneForm]:
    """Return a form for each zone: the submitted one with its errors, and others with the stored values."""
    changed = sent.zone if sent is not None else None
    zones = list_zones(principal, slug, Role.CONFIGURE)
    return [sent if sent is not None and zone == changed else ZoneForm(zone) for zone in zones]


def _strings() -> dict[str, Any]:
    """Return the texts of the script, in the language of the request."""
    return {
        "idle": _("Select a shape to change it, or add one."),
        "selected": _(
            "Drag a point to move it, or an edge to add a point. With the keyboard: Tab to a point, then arrow keys, "
            "Insert or Delete."
        ),
        "draw_zone": _(
            "Click the corners on the image. To finish, click the first one again or press Enter."
        ),
        "draw_line": _("Click the start of the line, then its end. It is crossed from either side."),
        "draw_mask": _(
            "Click the corners of the area to ignore. To finish, click the first one again or press Enter."
        ),
        "too_many": _("A camera has at most {count} zones, lines and masks."),
        "too_few_points": _("A shape of this kind has at least {count} points."),
        "unreadable": _("Write each point as x,y with numbers from 0 to 1, and separate points by spaces."),
        # xgettext:no-python-format
        "point": _("Point {number} of {count}: {x} % from the left, {y} % from the top"),
        "unsaved": _("Not saved"),
        "saved": _("Saved. Processors use it within two seconds."),
        "unnamed": _("new"),
        "delete": _("Delete “{name}”?"),
        "zone": _("zone"),
        "line": _("line"),
        "mask": _("mask"),
    }

"""The processors of one camera: the selection of ready-made ones, and the page with the options of each."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from ninjacam.actions.cameras import CameraFields, update_camera
from ninjacam.actions.processor_options import set_options
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.processor_options import get_options
from ninjacam.web.options_form import OptionsForm
from ninjacam.web.player import render_player
from ninjacam.web.views import page, render_page

MAX_CHOSEN = 50


@require_POST
@page
def choose_processors(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    """Process the form on the camera's page. Raises: InvalidError, NotFoundError, ForbiddenError."""
    camera = get_camera(principal, slug, "configure")
    update_camera(principal, camera, CameraFields(processors=request.POST.getlist("processor")[:MAX_CHOSEN]))
    return redirect("ninjacam:camera", slug)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def edit_options(request: HttpRequest, principal: Principal, slug: str, processor: str) -> HttpResponse:
    camera = get_camera(principal, slug, "configure")
    options = get_options(principal, slug, processor)
    form = OptionsForm(request.POST or None, options)
    if request.method == "POST" and ("reset" in request.POST or form.is_valid()):
        changes = form.reset() if "reset" in request.POST else form.changes()
        try:
            if changes:
                set_options(principal, slug, processor, changes)
            return redirect("ninjacam:processor-options", slug, processor)
        except InvalidError as error:
            form.show_error(error)
    context = {
        "camera": camera,
        "options": options,
        "form": form,
        "player": render_player(slug, {"view": processor}),
    }
    return render_page(request, principal, "ninjacam/options.html", context)

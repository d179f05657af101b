"""The processors of one camera: the selection of ready-made ones, and the page with the options of each."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST

from ninjacam.actions.backtests import create_backtest
from ninjacam.actions.cameras import CameraFields, update_camera
from ninjacam.actions.processor_options import set_options
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError, LimitError
from ninjacam.models import Role
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.processor_options import get_options
from ninjacam.web.backtest_page import SpanForm
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
    """Show the form, save it, or (POST `try`) try it on the recordings of last night or of the entered times."""
    camera = get_camera(principal, slug, "configure")
    options = get_options(principal, slug, processor)
    form = OptionsForm(request.POST or None, options)
    span_form = SpanForm(request.POST if request.POST.get("try") == "times" else None)
    is_trial = "try" in request.POST
    is_reset = "reset" in request.POST and not is_trial
    if request.method == "POST" and (is_reset or form.is_valid()):
        try:
            if not is_trial:
                changes = form.reset() if is_reset else form.changes()
                if changes:
                    set_options(principal, slug, processor, changes)
                return redirect("ninjacam:processor-options", slug, processor)
            if not span_form.is_bound or span_form.is_valid():
                span_ns = span_form.span_ns()
                backtest = create_backtest(principal, slug, processor, form.changes(), *span_ns)
                return redirect("ninjacam:backtest", slug, backtest.pk)
        except InvalidError as error:
            form.show_error(error)
        except LimitError as error:
            form.add_error(None, error.message)
    context = {
        "span_form": span_form if principal.may(Role.REPLAY, camera) else None,
        "camera": camera,
        "options": options,
        "form": form,
        "player": render_player(slug, {"view": processor}),
    }
    return render_page(request, principal, "ninjacam/options.html", context)

"""The page of the setup link: creates the administrator, and shows where data is stored. The wall comes next."""

import shutil
from typing import Any

from django.contrib.auth import get_user_model, login
from django.contrib.auth.forms import BaseUserCreationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from ninjacam.actions.setup import check_setup_token, create_first_administrator
from ninjacam.actions.sign_in import remember_browser
from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.problems import problem_of
from ninjacam.web.views import in_complete_language

_BACKEND = "django.contrib.auth.backends.ModelBackend"


class AdministratorForm(BaseUserCreationForm):  # type: ignore[type-arg] # not generic at run time
    """The name and password of the administrator, with the project's rules for passwords."""

    class Meta(BaseUserCreationForm.Meta):
        model = get_user_model()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, initial={"username": "admin"}, **kwargs)
        for name, field in self.fields.items():
            if field.help_text:
                field.widget.attrs["aria-describedby"] = f"id_{name}_helptext"


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@in_complete_language
def show_setup(request: HttpRequest, token: str) -> HttpResponse:
    try:
        check_setup_token(request, token)
        form = AdministratorForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            user = form.save(commit=False)
            create_first_administrator(request, token, user)
            login(request, user, backend=_BACKEND)
            response = redirect("ninjacam:wall")
            remember_browser(request, response, user)
            return response
    except NinjacamError as error:
        problem = problem_of(error)
        return render(request, "ninjacam/setup.html", {"problem": problem.detail}, status=problem.status)
    data = get_settings().data_dir
    context = {"form": form, "data": data, "free_bytes": shutil.disk_usage(data).free}
    return render(request, "ninjacam/setup.html", context, status=422 if form.errors else 200)

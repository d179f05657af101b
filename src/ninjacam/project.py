"""Access to the surrounding Django project: its ASGI application and its login page.

`startproject` omits some settings that Ninjacam requires. Each has a working default here.
"""

import functools
import importlib.util
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.urls import Resolver404, get_script_prefix, resolve, reverse

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)


def application_path() -> str | None:
    """Return the dotted path of the project's ASGI application, or None if the project has none.

    It is the setting ASGI_APPLICATION or, without one, `application` in the module `asgi` beside the project's urls.py.
    """
    configured = getattr(settings, "ASGI_APPLICATION", None)
    if configured:
        return str(configured)
    package = str(settings.ROOT_URLCONF).rpartition(".")[0]
    module = f"{package}.asgi" if package else "asgi"
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        return None
    return f"{module}.application" if found else None


def login_url() -> str:
    """Return the project's LOGIN_URL, or Ninjacam's own login page if that setting does not lead to a page.

    Django's default is /accounts/login/, which a new project does not have.
    """
    url = resolve_url(settings.LOGIN_URL)
    parts = urlsplit(url)
    return url if parts.netloc or leads_somewhere(parts.path) else reverse("ninjacam:login")


def leads_somewhere(path: str) -> bool:
    """Return whether the project has a view at `path`, the path of a URL of this site."""
    try:
        resolve("/" + path.removeprefix(get_script_prefix()).removeprefix("/"))
    except Resolver404:
        return False
    return True


def login_required(
    view: Callable[Concatenate[HttpRequest, P], R],
) -> Callable[Concatenate[HttpRequest, P], R | HttpResponseRedirect]:
    """Send visitors who are not logged in to `login_url()`, as Django's decorator of this name does."""

    @functools.wraps(view)
    def checked(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> R | HttpResponseRedirect:
        if not request.user.is_authenticated:
            # Imported here: it requires the apps, which may not be ready when this module is imported.
            from django.contrib.auth.views import (
                redirect_to_login,
            )

            return redirect_to_login(request.get_full_path(), login_url())
        return view(request, *args, **kwargs)

    return checked

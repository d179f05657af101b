"""The page `/api/v1/docs`: Swagger UI from Ninja's own package, from our own URLs, so without any other host.

Ninja's page would load it from a CDN unless the project lists "ninja" among its apps.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import ninja
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import get_token
from django.urls import path, reverse
from django.utils.html import format_html, json_script
from django.views.decorators.cache import cache_control
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

from ninjacam.api.errors import problem_response
from ninjacam.auth import principal_of_request
from ninjacam.problems import not_authenticated
from ninjacam.project import login_required

_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-init.js": "text/javascript",
    "favicon.svg": "image/svg+xml",
}
_ASSET_DIR = Path(ninja.__file__).parent / "static" / "ninja"


class Docs(DocsBase):
    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        def asset(name: str) -> str:
            return reverse("ninjacam-api:docs-asset", args=[name])

        settings = {"layout": "BaseLayout", "deepLinking": True, "url": self.get_openapi_url(api, kwargs)}
        page = format_html(
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="{icon}"><link rel="stylesheet" href="{css}"></head>'
            '<body data-csrf-token="{token}" data-api-csrf="true">{settings}<div id="swagger-ui"></div>'
            '<script src="{bundle}"></script><script src="{init}"></script></body></html>',
            title=api.title,
            icon=asset("favicon.svg"),
            css=asset("swagger-ui.css"),
            token=get_token(request),
            settings=json_script(settings, "swagger-settings"),
            bundle=asset("swagger-ui-bundle.js"),
            init=asset("swagger-ui-init.js"),
        )
        return HttpResponse(page)


def signed_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """The page asks to sign in; the document, which programs fetch, answers 401, and takes a token as well."""

    @wraps(view, updated=())
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.path.endswith("/docs"):
            return login_required(view)(request, *args, **kwargs)
        if principal_of_request(request) is None:
            return problem_response(not_authenticated())
        return view(request, *args, **kwargs)

    return checked


@login_required
@cache_control(private=True, max_age=3600)
def _serve_asset(request: HttpRequest, name: str) -> HttpResponse:
    if name not in _ASSETS:
        raise Http404
    return HttpResponse((_ASSET_DIR / name).read_bytes(), content_type=_ASSETS[name])


asset_patterns = [path("docs/assets/<str:name>", _serve_asset, name="docs-asset")]

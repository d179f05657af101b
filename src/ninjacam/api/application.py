"""The API as a whole: authentication, routers, documents, and the common form of all responses."""

from functools import wraps
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import URLPattern, URLResolver, re_path
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from ninjacam import __version__
from ninjacam.api import docs
from ninjacam.api.auth import BearerAuth, SessionAuth
from ninjacam.api.errors import add_handlers, problem_response
from ninjacam.api.media_paths import media_paths
from ninjacam.api.routers import (
    annotations,
    backtests,
    cameras,
    device,
    discovery,
    events,
    exports,
    grants,
    links,
    me,
    notifications,
    patrols,
    processor_options,
    profiles,
    ptz,
    publish_keys,
    recordings,
    rules,
    streams,
    tokens,
    values,
    views,
    webhooks,
    zones,
)
from ninjacam.api.schemas.problems import ProblemOut
from ninjacam.problems import Problem

_DESCRIPTION = """\
Cameras, their views, states, recordings and events, and access to them.

**Authentication**: a session cookie (with the `X-CSRFToken` header on writes), or `Authorization: Bearer nc_...` with \
a token of `/tokens`. A token never allows more than its user may do.

**Errors** are [problem+json](https://www.rfc-editor.org/rfc/rfc9457). Programs should use `code`, which never changes.

**Roles**: `view`, `replay`, `export`, `control` and `configure`, for each camera. Cameras that you have no role for \
return 404, like cameras that do not exist. If you have other roles for a camera, but not the required one, the \
response is 403 and names the role. The same applies to streams and recordings.

**Lists** are paginated: send `next` of a page as `after` to get the next page. On the last page `next` is null.
"""

_STATUS_TEXT = {
    "400": "The body is not valid JSON",
    "401": "No session and no valid token",
    "403": "You do not have the required role or permission",
    "404": "Not found, or you have no role for the camera",
    "409": "Conflict with the current state, for example a name that is in use",
    "414": "The URL is longer than 8 KB",
    "422": "A value is invalid",
    "429": "Too many requests",
    "502": "The camera refuses, or does not respond as it should",
    "503": "The camera takes no commands at the moment",
}


class Api(NinjaAPI):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._document: tuple[str, OpenAPISchema] | None = None
        """The prefix of the URLs, and the document that has them."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the document, made once: that takes 0.1 s of CPU, and any user may ask for it again and again."""
        prefix = self.get_root_path(path_params or {}) if path_prefix is None else path_prefix
        if self._document is None or self._document[0] != prefix:
            self._document = (prefix, self._make_document(prefix))
        return self._document[1]

    def _make_document(self, prefix: str) -> OpenAPISchema:
        """The OpenAPI document, with the errors of each operation as problem+json."""
        schema = super().get_openapi_schema(path_prefix=prefix)
        problem = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        schema["paths"] |= media_paths()
        schema["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        for path, operations in schema["paths"].items():
            for operation in operations.values():
                _add_errors(operation, has_path="{" in path)
        return schema


def _add_errors(operation: dict[str, Any], *, has_path: bool) -> None:
    """Describe the errors that an operation can have, and those that it lists itself without a description."""
    responses: dict[Any, Any] = operation["responses"]
    codes = {"401", "403"}
    names_camera = any(parameter["name"] == "camera" for parameter in operation.get("parameters", ()))
    if has_path or names_camera:
        codes.add("404")
    if operation.get("parameters"):
        codes.add("422")
    if "requestBody" in operation:
        codes |= {"400", "404", "409", "422", "429"}
    if {"control", "device"}.intersection(operation.get("tags", ())):  # The camera itself answers.
        codes |= {"409", "502", "503"}
    codes |= {str(code) for code, response in responses.items() if not response}
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for code in sorted(codes):
        responses[int(code)] = {"description": _STATUS_TEXT[code], "content": content}
    if any(parameter["schema"].get("type") == "array" for parameter in operation.get("parameters", ())):
        responses[414] = {"description": _STATUS_TEXT["414"]}


api = Api(
    title="Ninjacam",
    version=__version__,
    description=_DESCRIPTION,
    urls_namespace="ninjacam-api",
    auth=[BearerAuth(), SessionAuth()],
    docs=docs.Docs(),
    docs_decorator=docs.signed_in,
    openapi_extra={"info": {"license": {"name": "MIT", "identifier": "MIT"}}},
)
add_handlers(api)
api.add_router("/me", me.router, tags=["me"])
api.add_router("/cameras", cameras.router, tags=["cameras"])
api.add_router("/cameras", ptz.router, tags=["control"])
api.add_router("/cameras", device.router, tags=["device"])
api.add_router("/cameras", patrols.router, tags=["cameras"])
api.add_router("/cameras", processor_options.router, tags=["views"])
api.add_router("/cameras", backtests.router, tags=["views"])
api.add_router("/cameras", zones.router, tags=["views"])
api.add_router("/cameras", values.router, tags=["views"])
api.add_router("/profiles", profiles.router, tags=["cameras"])
api.add_router("/discovery", discovery.router, tags=["cameras"])
api.add_router("", streams.router, tags=["cameras"])
api.add_router("", views.router, tags=["views"])
api.add_router("", recordings.router, tags=["recordings"])
api.add_router("", annotations.router, tags=["recordings"])
api.add_router("/events", events.router, tags=["events"])
api.add_router("/rules", rules.router, tags=["events"])
api.add_router("/webhooks", webhooks.router, tags=["events"])
api.add_router("/notifications", notifications.router, tags=["events"])
api.add_router("/exports", exports.router, tags=["recordings"])
api.add_router("", grants.router, tags=["access"])
api.add_router("", publish_keys.router, tags=["cameras"])
api.add_router("/tokens", tokens.router, tags=["access"])
api.add_router("/links", links.router, tags=["access"])


def _as_problem(pattern: URLPattern) -> URLPattern:
    """Return 405, and the 404 of Ninja's root, as problem+json: Ninja's exception handlers do not receive them."""
    view = pattern.callback

    @wraps(view)
    def with_problems(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            response: HttpResponseBase = view(request, *args, **kwargs)
        except Http404:
            return _not_found(request)
        if response.status_code != 405:
            return response
        allow = response["Allow"]
        detail = f"The method {request.method} is not allowed. Use one of: {allow}."
        return problem_response(Problem(405, "method_not_allowed", detail, ((b"allow", allow.encode()),)))

    pattern.callback = with_problems
    return pattern


@csrf_exempt  # changes nothing, and Django would refuse in HTML
def _not_found(request: HttpRequest) -> HttpResponseBase:
    return problem_response(Problem(404, "not_found", "No such operation."))


def urls() -> tuple[list[URLPattern | URLResolver], str, str]:
    """For `path("api/v1/", urls())`."""
    patterns, app_name, namespace = api.urls
    own: list[URLPattern | URLResolver] = [
        _as_problem(pattern) if isinstance(pattern, URLPattern) else pattern for pattern in patterns
    ]
    own += [path_ for path_ in docs.asset_patterns]
    return [*own, re_path(r"", _not_found, name="not-found")], app_name, namespace

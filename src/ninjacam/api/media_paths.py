"""The routes outside /api/v1 for the OpenAPI document, from the table `ninjacam.routes`."""

import re
from typing import Any

from django.urls import reverse

from ninjacam.routes import ROUTES, Parameter, Route

_SIG = Parameter(
    "sig", {"type": "string"}, "Signature of a link of `POST /links`, instead of a session or a token."
)
_TYPE_OF = {
    "slug": {"type": "string"},
    "int": {"type": "integer"},
    "uuid": {"type": "string", "format": "uuid"},
}
_PART = re.compile(r"<(\w+):(\w+)>")


def media_paths() -> dict[str, Any]:
    """Return OpenAPI path items, by path."""
    mount = reverse("ninjacam:wall")
    return {
        mount + _PART.sub(r"{\2}", route.pattern): {"get": _operation(route)}
        for route in ROUTES
        if route.operation_id
    }


def _operation(route: Route) -> dict[str, Any]:
    values = [
        {"name": name, "in": "path", "required": True, "schema": _TYPE_OF[kind]}
        for kind, name in _PART.findall(route.pattern)
    ]
    query = [
        {
            "name": each.name,
            "in": "query",
            "required": each.required,
            "schema": dict(each.schema),
            "description": each.description,
        }
        for each in (*route.parameters, _SIG)
    ]
    is_text = route.content_type.endswith(("mpegurl", "event-stream"))
    body = {"schema": {"type": "string"} if is_text else {"type": "string", "format": "binary"}}
    content = {"content": {route.content_type: body}} if route.content_type else {}
    return {
        "operationId": route.operation_id,
        "summary": route.summary,
        "description": route.description,
        "tags": ["media"],
        "parameters": [*values, *query],
        "responses": {101 if route.protocol == "websocket" else 200: {"description": "OK", **content}},
        "security": [{"BearerAuth": []}, {"SessionAuth": []}],
    }

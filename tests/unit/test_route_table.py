"""The table of routes, and the values derived from it."""

import inspect
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import resolve
from django.utils.module_loading import import_string

from ninjacam import routes
from ninjacam.api import api
from ninjacam.models import Camera, CameraGrant, Role
from ninjacam.routes import LINKED_ROUTES, ROUTES, ROUTES_BY_NAME, Parameter, Route
from tests.unit.conftest import signed_in

EXAMPLES = {"slug": "door", "int": "7", "uuid": "1c9e6679-7425-40de-944b-e07fc1f90ae7", "str": "a:b-c"}
TIME = "2026-11-22T08:00:00Z"


def path_of(route: Route) -> str:
    path = route.pattern
    for converter, value in EXAMPLES.items():
        while f"<{converter}:" in path:
            before, _, rest = path.partition(f"<{converter}:")
            path = before + value + rest.partition(">")[2]
    return path


def example(parameter: Parameter) -> str:
    if parameter.schema["type"] == "string":
        return TIME if "format" in parameter.schema else parameter.schema.get("enum", ["edges"])[-1]
    return str(parameter.schema["minimum"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_each_row_is_served(route: Route) -> None:
    handler = import_string(route.handler)
    assert inspect.iscoroutinefunction(handler)
    assert list(inspect.signature(handler).parameters) == ["worker", "scope", "receive", "send", "target"]
    assert route.regex.match(path_of(route))
    assert resolve("/" + path_of(route)).view_name == f"ninjacam:{route.name}"


def test_each_path_belongs_to_one_row() -> None:
    assert len(ROUTES_BY_NAME) == len({route.kind for route in ROUTES}) == len(ROUTES)
    for route in ROUTES:
        assert [other.name for other in ROUTES if other.regex.match(path_of(route))] == [route.name]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_row_about_a_camera_has_a_role_and_documentation(route: Route) -> None:
    if "<slug:" not in route.pattern:
        return
    assert route.role in Role.values
    operations = api.get_openapi_schema(path_prefix="/api/v1/")["paths"]
    documented = next(
        each["get"]
        for each in operations.values()
        if each.get("get", {}).get("operationId") == route.operation_id
    )
    assert {each.name for each in route.parameters} <= {each["name"] for each in documented["parameters"]}


@pytest.mark.parametrize(
    "parameter", [each for route in ROUTES for each in route.parameters], ids=lambda each: each.name
)
def test_a_parameter_accepts_its_example_and_rejects_nonsense(parameter: Parameter) -> None:
    assert parameter.accepts(example(parameter))
    assert not parameter.accepts("x" * 101)


@pytest.mark.parametrize("kind", LINKED_ROUTES)
def test_a_link_of_each_kind_opens_its_route_with_its_role(kind: str, viewer: User, camera: Camera) -> None:
    route = LINKED_ROUTES[kind]
    parameters = {each.name: example(each) for each in route.parameters if each.name != "view"}
    role = route.role_for(parameters)
    client = signed_in(viewer)
    body = {"camera": "door", "kind": kind, "parameters": parameters}
    if role != "view":
        assert client.post("/api/v1/links", body, content_type="application/json").status_code == 403
        CameraGrant.objects.create(camera=camera, user=viewer, role=role)
    made = client.post("/api/v1/links", body, content_type="application/json")
    assert made.status_code == 201
    address, _, query = made.json()["url"].partition("?")
    assert address.endswith("/" + path_of(route))
    assert query.startswith(urlencode(parameters) + "&sig=" if parameters else "sig=")


def test_a_camera_has_the_urls_of_the_table_in_the_api_and_on_its_page(viewer: User, camera: Camera) -> None:
    client: Client = signed_in(viewer)
    urls = client.get("/api/v1/cameras/door").json()["urls"]
    assert urls == {route.kind: "/" + path_of(route) for route in ROUTES if route.is_camera_url}
    page = client.get("/cameras/door/").content.decode()
    for route in ROUTES:
        assert (f'value="http://testserver/{path_of(route)}"' in page) == bool(route.label)


def test_a_set_flag_requires_the_role_of_its_parameter() -> None:
    clip = ROUTES_BY_NAME["rec-clip"]
    assert [clip.role_for({"download": value}) for value in ("", "0", "1")] == ["replay", "replay", "export"]


def test_the_row_and_the_handler_of_the_how_to_fit() -> None:
    text = (Path(__file__).parents[2] / "docs/how-to/add-an-output.md").read_text(encoding="utf-8")
    row, module = (block.partition("```")[0] for block in text.split("```python\n")[1:])
    route = eval(row, vars(routes))
    assert route.regex.match(path_of(route))
    handler: dict[str, object] = {}
    exec(compile(module, "size.py", "exec"), handler)
    serve = handler[route.handler.rpartition(".")[2]]
    assert inspect.iscoroutinefunction(serve)
    assert list(inspect.signature(serve).parameters) == ["worker", "scope", "receive", "send", "target"]

"""Each operation with a body, and each of its fields and parameters, with values that break naive code."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.api.application import api
from ninjacam.models import Camera

IDENTIFIER = "00000000-0000-0000-0000-000000000000"


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), default=str)
    )
    return found


DOCUMENT = schema()


def resolve(part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        part = DOCUMENT["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    for choice in part.get("anyOf", []):
        if choice.get("type") != "null":
            return {**part, **resolve(choice)}
    return part


def path_of(path: str) -> str:
    """Return a path with the names of an existing camera."""
    for name in ("slug", "camera"):
        path = path.replace("{" + name + "}", "door")
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        path = f"{before}{IDENTIFIER if 'export' in before else 1}{after}"
    return path


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield all operations except streams, which Django never serves: see `tests/integration/test_front_door.py`."""
    for path, methods in DOCUMENT["paths"].items():
        if not path.startswith("/api/") or path.endswith("/stream"):
            continue
        for method, operation in methods.items():
            yield method, path_of(path), operation


WITH_BODY = [
    pytest.param(method, path, operation, id=f"{method}-{path}")
    for method, path, operation in operations()
    if "requestBody" in operation
]
WITH_PARAMETERS = [
    pytest.param(method, path, operation, id=f"{method}-{path}")
    for method, path, operation in operations()
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ()))
]
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "closed deep lists": b"[" * 5_000 + b"]" * 5_000,
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a huge number": b"1" * 100_000,
    "a huge exponent": b'{"a": 1e999999}',
    "not a number": b"NaN",
    "a list": b"[1, 2]",
    "a string": b'"text"',
    "many keys": json.dumps({f"key{number}": number for number in range(20_000)}).encode(),
    "3 MB": b'{"name": "' + b"x" * 3_000_000 + b'"}',
}
VALUES: tuple[Any, ...] = (
    "\0", "a\0b", "\ud800", "x" * 100_000, "\U000e0001", "", " ", 10**400, -(10**30), 2**63, -(2**63) - 1, 1e308,
    True, None, [], {}, [[[]]], ["\0"], [10**400], {"\0": "\0"}, "99999-12-31T00:00:00Z", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
)  # fmt: skip

TEXTS = (
    "%00", "a%00b", "%ff", "%ed%a0%80", "9" * 400, "-1", "1e999", "NaN", "", "x" * 5000, "99999-01-01T00:00:00Z",
    "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59",
)  # fmt: skip


@pytest.fixture
def client(admin_user: User, camera: Camera) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(admin_user)
    return client


def send(client: Client, method: str, path: str, body: bytes) -> tuple[int, str]:
    response = client.generic(method.upper(), path, body, content_type="application/json")
    if response.streaming:  # a search, which begins only when it is read
        response.close()
        return response.status_code, ""
    return response.status_code, response.content.decode()


@pytest.mark.parametrize(("method", "path", "operation"), WITH_BODY)
def test_a_nonsensical_body_is_a_problem_and_not_a_server_error(
    client: Client, method: str, path: str, operation: dict[str, Any]
) -> None:
    for name, body in BODIES.items():
        status, text = send(client, method, path, body)
        assert status < 500, (name, text)
        assert status >= 400 or name in ("nothing", "many keys"), (name, text)
        if name == "3 MB":
            assert status == 413, text


def plain(field: dict[str, Any]) -> Any:
    """Return a valid value, so that the other fields are read as well."""
    field = resolve(field)
    if "enum" in field:
        return field["enum"][0]
    if "const" in field:
        return field["const"]
    if field.get("format") == "date-time":
        return "2026-11-01T00:00:00Z"
    return {"string": "door", "integer": 1, "number": 1.0, "boolean": True, "array": [], "object": {}}.get(
        field.get("type", "string"), "door"
    )


def is_survived(status: int, text: str) -> bool:
    """502: the probed camera failed; 503: the camera does not accept commands."""
    return status < 500 or status == 502 or (status == 503 and "stream_unavailable" in text)


@pytest.mark.parametrize(("method", "path", "operation"), WITH_BODY)
def test_no_value_of_a_field_causes_a_server_error(
    client: Client, method: str, path: str, operation: dict[str, Any]
) -> None:
    """The value in all fields at once, and then, with valid required fields, in each field that does not reject it."""
    body = resolve(operation["requestBody"]["content"]["application/json"]["schema"])
    fields = body.get("properties", {})
    assert fields
    usual = {name: plain(fields[name]) for name in body.get("required", ())}
    if "url" in usual:
        usual["url"] = "rtsp://127.0.0.1:9/x"
    for value in VALUES:
        status, text = send(client, method, path, json.dumps(dict.fromkeys(fields, value)).encode())
        assert is_survived(status, text), (str(value)[:60], text)
        errors = json.loads(text).get("errors", ()) if status == 422 else ()
        rejected = {each["field"].partition(".")[0] for each in errors}
        for name in fields.keys() - rejected:
            status, text = send(client, method, path, json.dumps({**usual, name: value}).encode())
            assert is_survived(status, text), (name, str(value)[:60], text)


@pytest.mark.parametrize(("method", "path", "operation"), WITH_PARAMETERS)
def test_no_value_of_a_parameter_causes_a_server_error(
    client: Client, method: str, path: str, operation: dict[str, Any]
) -> None:
    names = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
    usual = {each["name"]: plain(each["schema"]) for each in operation["parameters"] if each["in"] == "query"}
    for name in names:
        for text in TEXTS:
            query = "&".join(f"{key}={text if key == name else value}" for key, value in usual.items())
            response = client.generic(method.upper(), f"{path}?{query}")
            assert response.status_code < 500, (name, text, response.content)


@pytest.mark.parametrize("text", ["%00", "a%00b", "%ff", "9" * 400, "-1", "x" * 5000, "%ed%a0%80"])
def test_no_value_in_a_path_causes_a_server_error(client: Client, text: str) -> None:
    for path in DOCUMENT["paths"]:
        before, brace, rest = path.partition("{")
        if brace and path.startswith("/api/"):
            address = before + text + path_of(rest.partition("}")[2])
            for method in DOCUMENT["paths"][path]:
                status, answer = send(client, method, address, b"{}")
                assert 400 <= status < 500, (method, address, answer)

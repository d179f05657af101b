from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError
from django.http import UnreadablePostError
from django.test import Client

from ninjacam.core.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NinjacamError,
    NotFoundError,
    SourceError,
)
from ninjacam.models import Camera
from ninjacam.problems import STATUS_OF
from tests.unit.conftest import signed_in


def check(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert set(problem) - {"errors"} == {"type", "title", "status", "detail", "code"}
    assert (problem["status"], problem["code"]) == (status, code)
    return problem


def test_anonymous_users_get_401_with_instructions(client: Client) -> None:
    response = client.get("/api/v1/cameras")
    check(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_path_is_404(client: Client) -> None:
    check(client.get("/api/v1/nothing/here"), 404, "not_found")
    check(client.get("/api/v1/"), 404, "not_found")
    check(client.get("/api/v1/cameras/UPPER!"), 404, "not_found")
    check(Client(enforce_csrf_checks=True).delete("/api/v1/cameras/UPPER!"), 404, "not_found")


def test_a_wrong_method_is_405(admin_user: User) -> None:
    response = signed_in(admin_user).put("/api/v1/cameras")
    check(response, 405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_a_wrong_value_is_named_but_not_repeated(admin_user: User) -> None:
    body = {"slug": "Not A Slug", "url": "rtsp://h/", "hidden": "secret-value"}
    problem = check(
        signed_in(admin_user).post("/api/v1/cameras", body, content_type="application/json"), 422, "invalid"
    )
    assert {error["field"] for error in problem["errors"]} == {"slug", "hidden"}
    assert "secret-value" not in str(problem)


def test_a_body_that_is_not_json_is_400(admin_user: User) -> None:
    response = signed_in(admin_user).post("/api/v1/cameras", "{", content_type="application/json")
    check(response, 400, "malformed")


def test_a_taken_slug_is_409(admin_user: User, camera: Camera) -> None:
    body = {"slug": "door", "url": "rtsp://h/"}
    check(
        signed_in(admin_user).post("/api/v1/cameras", body, content_type="application/json"), 409, "conflict"
    )


def test_a_bug_is_500_without_details(
    admin_user: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("inner secrets")

    monkeypatch.setattr("ninjacam.api.routers.cameras.read_status", fail)
    response = signed_in(admin_user).get("/api/v1/cameras")
    check(response, 500, "internal")
    assert "inner secrets" not in response.content.decode()
    assert "inner secrets" in caplog.text


def test_every_error_has_one_status() -> None:
    def status(kind: type[NinjacamError]) -> int:
        return next(status for base, status in STATUS_OF if issubclass(kind, base))

    def family(kind: type[NinjacamError]) -> list[type[NinjacamError]]:
        return [kind, *(child for sub in kind.__subclasses__() for child in family(sub))]

    assert all(400 <= status(kind) < 600 for kind in family(NinjacamError))
    assert [status(kind) for kind in (ForbiddenError, NotFoundError, ConflictError, InvalidError, SourceError)] == [
        403, 404, 409, 422, 502,
    ]  # fmt: skip


def test_a_client_that_disconnects_within_its_body_is_400(
    admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise UnreadablePostError("error on read")

    client = signed_in(admin_user)
    monkeypatch.setattr("ninjacam.api.routers.cameras.read_status", gone)
    check(client.get("/api/v1/cameras"), 400, "malformed")


@pytest.mark.parametrize("error", [OperationalError("database is locked"), InterfaceError("closed")])
def test_an_unavailable_database_is_503(
    error: Exception, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise error

    client = signed_in(admin_user)
    monkeypatch.setattr("ninjacam.api.routers.cameras.read_status", away)
    response = client.get("/api/v1/cameras")
    check(response, 503, "database")
    assert response["Retry-After"]

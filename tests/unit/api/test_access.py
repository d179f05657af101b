from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from ninjacam.auth import principal_from
from ninjacam.models import ApiToken, Camera, CameraGrant
from tests.unit.conftest import signed_in, with_token

TOKENS = "/api/v1/tokens"


def post(client: Client, path: str, body: object) -> Any:
    return client.post(path, body, content_type="application/json")


def test_a_token_is_shown_once_and_works_until_revoked(viewer: User) -> None:
    client = signed_in(viewer)
    made = post(client, TOKENS, {"name": "wall", "scopes": ["view"]}).json()
    secret = made["token"]
    assert secret not in client.get(TOKENS).content.decode()
    program = Client(headers={"Authorization": f"Bearer {secret}"})
    assert program.get("/api/v1/me").json()["scopes"] == ["view"]
    assert client.delete(f"{TOKENS}/{made['id']}").status_code == 204
    assert client.delete(f"{TOKENS}/{made['id']}").status_code == 204
    assert program.get("/api/v1/me").status_code == 401


def test_all_own_tokens_are_revoked_in_one_request(viewer: User, stranger: User) -> None:
    client = signed_in(viewer)
    secrets = [
        post(client, TOKENS, {"name": "a", "scopes": [scope]}).json()["token"] for scope in ("*", "view")
    ]
    of_stranger = post(signed_in(stranger), TOKENS, {"name": "a", "scopes": ["*"]}).json()["token"]
    program, narrow, other = (
        Client(headers={"Authorization": f"Bearer {secret}"}) for secret in (*secrets, of_stranger)
    )
    assert narrow.delete(TOKENS).status_code == 403
    assert program.delete(TOKENS).json() == {"revoked": 2}
    assert program.get("/api/v1/me").status_code == narrow.get("/api/v1/me").status_code == 401
    assert other.get("/api/v1/me").status_code == 200
    assert client.delete(TOKENS).json() == {"revoked": 0}


def test_a_token_without_full_scope_cannot_create_tokens(admin_user: User) -> None:
    client = with_token(admin_user, "view", "configure", "metrics")
    assert post(client, TOKENS, {"name": "x", "scopes": ["*"]}).status_code == 403
    assert client.get(TOKENS).status_code == 403
    assert post(with_token(admin_user, "*"), TOKENS, {"name": "x", "scopes": ["*"]}).status_code == 201


def test_tokens_of_other_users_return_404(admin_user: User, viewer: User) -> None:
    of_viewer = post(signed_in(viewer), TOKENS, {"name": "x", "scopes": ["view"]}).json()["id"]
    client = signed_in(admin_user)
    assert client.get(TOKENS).json()["items"] == []
    assert client.delete(f"{TOKENS}/{of_viewer}").status_code == 404


@pytest.mark.parametrize(
    "scopes", [[], ["fly"], ["view:nowhere"], ["view:yard"], ["view:"], ["*:door"], ["metrics:door"]]
)
def test_unknown_scopes_are_rejected(viewer: User, yard: Camera, scopes: list[str]) -> None:
    answer = post(signed_in(viewer), TOKENS, {"name": "x", "scopes": scopes})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "scopes"


def test_a_token_that_would_already_be_expired_is_rejected(viewer: User) -> None:
    past = (timezone.now() - timedelta(hours=1)).isoformat()
    assert (
        post(signed_in(viewer), TOKENS, {"name": "x", "scopes": ["view"], "expires_at": past}).status_code
        == 422
    )


@pytest.mark.parametrize(
    "far",
    [
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        "2300-01-01T00:00:00Z",
        "2099-01-01T00:00:00",
    ],
)
def test_times_without_an_offset_or_out_of_range_are_rejected(viewer: User, camera: Camera, far: str) -> None:
    client = signed_in(viewer)
    CameraGrant.objects.create(camera=camera, user=viewer, role="replay")
    for path, body, field in ((TOKENS, {"name": "x", "scopes": ["view"]}, "expires_at"),):
        answer = post(client, path, {**body, field: far})
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == [field]
    now = timezone.now().isoformat()
    others: tuple[tuple[str, dict[str, str], str], ...] = (
        ("at", {}, "time"),
        ("clip", {"end": now}, "start"),
        ("clip", {"start": now}, "end"),
    )
    for kind, parameters, name in others:
        link = {"camera": "door", "kind": kind, "parameters": {**parameters, name: far}}
        answer = post(client, "/api/v1/links", link)
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["errors"]] == [f"parameters.{name}"]


def test_tokens_are_limited_and_listed_in_pages(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninjacam.actions.tokens.MAX_TOKENS", 3)
    client = signed_in(viewer)
    answers = [
        post(client, TOKENS, {"name": str(number), "scopes": ["view"]}).status_code for number in range(4)
    ]
    assert answers == [201, 201, 201, 429]
    first = client.get(TOKENS, {"limit": 2}).json()
    second = client.get(TOKENS, {"limit": 2, "after": first["next"]}).json()
    assert [item["name"] for item in first["items"] + second["items"]] == ["2", "1", "0"] and second[
        "next"
    ] is None


def test_a_link_opens_the_path_that_it_was_made_for(viewer: User) -> None:
    body = {
        "camera": "door",
        "kind": "snapshot",
        "view": "edges",
        "parameters": {"width": "320"},
        "lifetime_s": 60,
    }
    answer = post(signed_in(viewer), "/api/v1/links", body)
    assert answer.status_code == 201
    url = answer.json()["url"]
    assert url.startswith("http://testserver/live/door/snapshot.jpg?width=320&view=edges&sig=")
    query = dict(pair.split("=", 1) for pair in url.partition("?")[2].split("&"))
    from urllib.parse import unquote

    query = {name: unquote(value) for name, value in query.items()}
    found = principal_from(cookies={}, sig=query["sig"], path="/live/door/snapshot.jpg", query=query)
    assert found is not None and found.user == viewer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"camera": "yard", "kind": "mjpeg"}, 404),
        ({"camera": "door", "kind": "mjpeg", "lifetime_s": 7 * 24 * 3600 + 1}, 422),
        ({"camera": "door", "kind": "mjpeg", "lifetime_s": 0}, 422),
        ({"camera": "door", "kind": "admin"}, 422),
        ({"camera": "door", "kind": "segment"}, 422),
        ({"camera": "door", "kind": "snapshot", "parameters": {"fps": "5"}}, 422),
        ({"camera": "door", "kind": "snapshot", "parameters": {"width": "15"}}, 422),
        ({"camera": "door", "kind": "snapshot", "parameters": {"width": "9" * 99}}, 422),
        ({"camera": "door", "kind": "snapshot", "parameters": {"view": "edges"}}, 422),
        ({"camera": "door", "kind": "mjpeg", "parameters": {"fps": "nan"}}, 422),
        ({"camera": "door", "kind": "mjpeg", "parameters": {"fps": "12.5"}}, 201),
        ({"camera": "door", "kind": "ws"}, 201),
    ],
)
def test_links_are_limited_in_number_and_lifetime(
    viewer: User, yard: Camera, body: dict[str, Any], status: int
) -> None:
    assert post(signed_in(viewer), "/api/v1/links", body).status_code == status


def test_the_api_does_not_accept_links(viewer: User) -> None:
    url = post(signed_in(viewer), "/api/v1/links", {"camera": "door", "kind": "mjpeg"}).json()["url"]
    assert Client().get("/api/v1/cameras?sig=" + url.partition("sig=")[2]).status_code == 401


def test_grants_are_given_and_listed_and_removed(
    admin_user: User, stranger: User, guards: Group, camera: Camera
) -> None:
    client, path = signed_in(admin_user), "/api/v1/cameras/door/grants"
    made = post(client, path, {"role": "view", "user": "stranger"})
    assert made.status_code == 201
    assert post(client, path, {"role": "view", "user": "stranger"}).status_code == 409
    assert post(client, path, {"role": "replay", "group": "guards"}).status_code == 201
    assert [item["group"] for item in client.get(path).json()["items"]] == [None, "guards"]
    assert signed_in(stranger).get("/api/v1/cameras/door").status_code == 200
    assert client.delete(f"/api/v1/grants/{made.json()['id']}").status_code == 204
    assert signed_in(stranger).get("/api/v1/cameras/door").status_code == 404


@pytest.mark.parametrize(
    "holder", [{}, {"user": "nobody"}, {"group": "none"}, {"user": "stranger", "group": "guards"}]
)
def test_a_grant_needs_exactly_one_known_holder(
    admin_user: User, stranger: User, guards: Group, camera: Camera, holder: dict[str, str]
) -> None:
    answer = post(signed_in(admin_user), "/api/v1/cameras/door/grants", {"role": "view", **holder})
    assert answer.status_code == 422


def test_users_who_configure_a_camera_cannot_grant_roles_for_it(viewer: User, camera: Camera) -> None:
    CameraGrant.objects.create(camera=camera, user=viewer, role="configure")
    client = signed_in(viewer)
    assert (
        post(client, "/api/v1/cameras/door/grants", {"role": "export", "user": "viewer"}).status_code == 403
    )
    assert client.get("/api/v1/cameras/door/grants").status_code == 403
    grant = CameraGrant.objects.filter(role="view").get()
    assert client.delete(f"/api/v1/grants/{grant.pk}").status_code == 403


def test_tokens_are_stored_hashed(viewer: User) -> None:
    secret = post(signed_in(viewer), TOKENS, {"name": "wall", "scopes": ["view"]}).json()["token"]
    assert secret.rpartition("_")[2] not in str(list(ApiToken.objects.values()))

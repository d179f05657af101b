"""Users and groups: who may change them, what is refused, and what ends with an account."""

import json
import logging
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from ninjacam.actions.tokens import create_token
from ninjacam.actions.users import update_user
from ninjacam.auth import LocalOperator, Principal, principal_from, refresh
from ninjacam.core.errors import ForbiddenError, InvalidError
from ninjacam.models import ApiToken, Camera
from ninjacam.web.users_page import PAGE
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
USERS = "/administration/users/"
GROUPS = "/administration/groups/"
GOOD = "a-long-passphrase-7"


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def save(client: Client, user: User, **changes: Any) -> Any:
    fields = {
        "do": "save", "username": user.username, "is_active": "on" if user.is_active else "",
        "is_superuser": "on" if user.is_superuser else "", **changes,
    }  # fmt: skip
    return client.post(f"{USERS}{user.pk}/", {name: value for name, value in fields.items() if value})


def test_an_administrator_creates_a_user_who_can_log_in(admin: Client, guards: Group) -> None:
    fields = {"username": "ada", "password": GOOD, "is_active": "on", "groups": [guards.pk]}
    assert admin.post(f"{USERS}new/", fields).status_code == 302
    ada = User.objects.get(username="ada")
    assert ada.check_password(GOOD) and list(ada.groups.all()) == [guards]
    assert not ada.is_superuser and not ada.is_staff
    assert "ada" in admin.get(USERS, {"q": "AD"}).content.decode()
    assert '<th scope="row">' not in admin.get(USERS, {"q": "nobody\0"}).content.decode()


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"username": "root", "password": GOOD}, "username"),
        ({"username": "bad name\n!", "password": GOOD}, "username"),
        ({"username": "ada", "password": "1234"}, "password"),
        ({"username": "ada", "password": GOOD, "groups": ["99"]}, "groups"),
        ({"username": "ada", "password": GOOD, "email": "x"}, "email"),
    ],
)
def test_wrong_fields_are_reported_beside_them(
    admin: Client, guards: Group, fields: dict[str, Any], name: str
) -> None:
    response = admin.post(f"{USERS}new/", {"is_active": "on", **fields})
    assert response.status_code == 422 and response.context["form"].errors[name]
    assert User.objects.count() == 1 and GOOD not in response.content.decode()


def test_lists_have_pages(admin: Client) -> None:
    User.objects.bulk_create(User(username=f"user-{number:03}") for number in range(PAGE + 5))
    first, second, far = (admin.get(USERS, {"page": page}).content.decode() for page in ("1", "2", "x"))
    assert first.count('<th scope="row">') == PAGE and second.count('<th scope="row">') == 6
    assert far.count('<th scope="row">') == PAGE and "page=2" in first


def test_a_deactivated_user_loses_sessions_and_tokens_for_good(admin: Client, viewer: User) -> None:
    client = signed_in(viewer)
    token, secret = create_token(LocalOperator(), viewer, "x", ["view"])
    session = Principal(viewer, "session", credential=client.session.session_key or "")
    assert refresh([session])[session] is not None
    assert save(admin, viewer, is_active="").status_code == 302
    assert refresh([session])[session] is None, "its streams end"
    viewer.refresh_from_db()
    assert not viewer.is_active
    assert save(admin, viewer, is_active="on").status_code == 302
    assert client.get("/api/v1/me").status_code == 401
    assert principal_from(cookies={}, authorization=f"Bearer {secret}") is None
    assert ApiToken.objects.get(pk=token.pk).revoked_at is not None


def test_nobody_can_withdraw_their_own_access(admin: Client, admin_user: User) -> None:
    User.objects.create_superuser("second", password="x")
    for change in ("is_active", "is_superuser"):
        response = save(admin, admin_user, **{change: ""})
        assert response.status_code == 422 and response.context["form"].errors[change]
        admin_user.refresh_from_db()
        assert admin_user.is_active and admin_user.is_superuser
    assert save(admin, admin_user, email="root@example.org").status_code == 302


def test_two_administrators_cannot_remove_each_other(admin_user: User) -> None:
    second = User.objects.create_superuser("second", password="x")
    first_acts, second_acts = Principal(admin_user, "session"), Principal(second, "session")
    update_user(first_acts, second, {"is_superuser": False})
    with pytest.raises(ForbiddenError, match="no longer"):  # `second` still holds the user as it was.
        update_user(second_acts, admin_user, {"is_superuser": False})
    assert list(User.objects.filter(is_superuser=True)) == [admin_user]
    with pytest.raises(InvalidError):
        update_user(first_acts, admin_user, {"is_active": False})


def test_only_superusers_administer(stranger: User, viewer: User, guards: Group, admin_user: User) -> None:
    stranger.is_staff = True
    stranger.save()
    stranger.user_permissions.set(Permission.objects.all())  # Everything except being a superuser.
    token = Principal(admin_user, "token", scopes=frozenset({"configure"}))
    client = signed_in(stranger)
    for path in (USERS, f"{USERS}new/", f"{USERS}{admin_user.pk}/", GROUPS, f"{GROUPS}{guards.pk}/"):
        for response in (client.get(path), client.post(path, {"do": "save", "name": "x", "username": "x"})):
            is_list = path == USERS and response.request["REQUEST_METHOD"] == "POST"
            assert (
                response.status_code == (405 if is_list else 403) and "root" not in response.content.decode()
            )
    assert "Administration" not in client.get("/").content.decode()
    for who in (Principal(stranger, "session"), token):
        with pytest.raises(ForbiddenError):
            update_user(who, viewer, {"is_superuser": True})
    viewer.refresh_from_db()
    assert not viewer.is_superuser


def test_a_new_password_ends_sessions_and_if_wanted_tokens(admin: Client, viewer: User) -> None:
    client = signed_in(viewer)
    create_token(LocalOperator(), viewer, "x", ["view"])
    response = admin.post(f"{USERS}{viewer.pk}/", {"do": "password", "new-password": "1"})
    assert response.status_code == 422
    assert admin.post(f"{USERS}{viewer.pk}/", {"do": "password", "new-password": GOOD}).status_code == 302
    assert client.get("/api/v1/me").status_code == 401
    assert ApiToken.objects.filter(revoked_at=None).count() == 1
    fields = {"do": "password", "new-password": GOOD, "new-end_tokens": "on"}
    assert admin.post(f"{USERS}{viewer.pk}/", fields).status_code == 302
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_missing_users_and_groups_are_not_found(admin: Client) -> None:
    for path in (
        f"{USERS}999999/",
        f"{USERS}x/",
        f"{USERS}{10**30}/",
        f"{GROUPS}999999/",
        f"{GROUPS}{10**30}/",
    ):
        assert admin.get(path).status_code == 404


def test_groups_are_created_renamed_and_deleted(admin: Client, viewer: User) -> None:
    assert admin.post(GROUPS, {"name": " night "}).status_code == 302
    group = Group.objects.get(name="night")
    assert admin.post(GROUPS, {"name": "night"}).status_code == 422
    assert admin.post(f"{GROUPS}{group.pk}/", {"do": "save", "name": "day"}).status_code == 302
    viewer.groups.add(group)
    assert "viewer" in admin.get(f"{GROUPS}{group.pk}/").content.decode()
    assert admin.post(f"{GROUPS}{group.pk}/", {"do": "delete"}).status_code == 302
    assert not Group.objects.exists() and User.objects.filter(pk=viewer.pk).exists()


def test_changes_are_audited_once_and_without_passwords(
    admin: Client, viewer: User, guards: Group, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ninjacam.audit"):
        save(admin, viewer, groups=[guards.pk])
        save(admin, viewer, groups=[guards.pk])  # Nothing changes.
        admin.post(f"{USERS}{viewer.pk}/", {"do": "password", "new-password": GOOD})
        save(admin, viewer, is_superuser="on", groups=[guards.pk])
    entries = [json.loads(each.getMessage()) for each in caplog.records if each.name == "ninjacam.audit"]
    assert [each["verb"] for each in entries] == ["user.update", "user.password", "user.update"]
    assert entries[0]["fields"] == ["groups"] and entries[2]["is_superuser"] is True
    assert {each["by"] for each in entries} == {"root (session)"} and GOOD not in caplog.text

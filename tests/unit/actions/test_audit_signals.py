"""Changes outside of actions are also recorded in the audit log, once, with their user and without secrets."""

import json
import logging
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from ninjacam.actions.cameras import CameraFields, create_camera, delete_camera, update_camera
from ninjacam.actions.grants import create_grant, delete_grant
from ninjacam.actions.tokens import create_token, revoke_all_tokens
from ninjacam.auth import LocalOperator
from ninjacam.models import ApiToken, AuditEntry, Camera, CameraGrant
from tests.unit.conftest import PASSWORD, signed_in
from tests.unit.test_admin import ADD, change, save


class Audit:
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "ninjacam.audit")
        self._caplog = caplog

    def take(self) -> list[dict[str, Any]]:
        """Return the audit entries since the last call."""
        entries = [
            json.loads(each.getMessage()) for each in self._caplog.records if each.name == "ninjacam.audit"
        ]
        self._caplog.clear()
        return entries

    @property
    def text(self) -> str:
        return self._caplog.text


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> Audit:
    return Audit(caplog)


def verbs(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(entry["verb"], entry["subject"], entry["by"]) for entry in entries]


def test_changes_in_the_admin_are_audited_with_their_user(
    admin_user: User, viewer: User, camera: Camera, audit: Audit
) -> None:
    admin = signed_in(admin_user)
    audit.take()
    save(admin, ADD, slug="gate", url=f"rtsp://bob:{PASSWORD}@10.0.0.8/x")
    assert verbs(audit.take()) == [("camera.create", "gate", "root (session)")]
    save(admin, change(camera), url=camera.url, name="New name", username="u", password="typed-password")
    (entry,) = audit.take()
    assert entry["verb"] == "camera.update" and entry["fields"] == ["credentials", "name"]
    admin.post("/admin/ninjacam/cameragrant/add/", {"camera": camera.pk, "user": viewer.pk, "role": "export"})
    (entry,) = audit.take()
    assert verbs([entry]) == [("grant.create", "door", "root (session)")]
    assert (entry["role"], entry["user"]) == ("export", "viewer")
    chosen = [grant.pk for grant in CameraGrant.objects.all()]
    admin.post(
        "/admin/ninjacam/cameragrant/",
        {"action": "delete_selected", "_selected_action": chosen, "post": "yes"},
    )
    assert verbs(audit.take()) == [("grant.delete", "door", "root (session)")] * 2
    token = ApiToken.objects.create(user=viewer, name="t", prefix="abc", scopes=["*"])
    audit.take()
    admin.post("/admin/ninjacam/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    assert verbs(audit.take()) == [("token.revoke", "abc", "root (session)")]
    admin.post(f"/admin/ninjacam/camera/{camera.pk}/delete/", {"post": "yes"})
    assert ("camera.delete", "door", "root (session)") in verbs(audit.take())
    assert PASSWORD not in audit.text and "typed-password" not in audit.text


def test_accounts_created_and_changed_in_the_admin_are_audited(
    admin_user: User, guards: Group, audit: Audit
) -> None:
    admin = signed_in(admin_user)
    audit.take()
    admin.post(
        "/admin/auth/user/add/",
        {
            "username": "eve",
            "usable_password": "true",
            "password1": "a long password",
            "password2": "a long password",
        },
    )
    (entry,) = audit.take()
    assert verbs([entry]) == [("user.create", "eve", "root (session)")] and entry["is_superuser"] is False
    eve = User.objects.get(username="eve")
    form = {
        "username": "eve", "is_active": "on", "is_superuser": "on", "groups": [guards.pk],
        "date_joined_0": "2026-11-22", "date_joined_1": "08:00:00", "last_login_0": "", "last_login_1": "",
    }  # fmt: skip
    admin.post(f"/admin/auth/user/{eve.pk}/change/", form)
    changed, joined = audit.take()
    assert verbs([changed]) == [("user.update", "eve", "root (session)")]
    assert changed["is_superuser"] is True and "is_superuser" in changed["fields"]
    assert (joined["verb"], joined["what"]) == ("user.groups.add", ["guards"])
    new = {"usable_password": "true", "password1": "another password", "password2": "another password"}
    admin.post(f"/admin/auth/user/{eve.pk}/password/", new)
    (entry,) = audit.take()
    assert entry["verb"] == "user.update" and entry["fields"] == ["password"]
    admin.post(f"/admin/auth/user/{eve.pk}/delete/", {"post": "yes"})
    assert ("user.delete", "eve", "root (session)") in verbs(audit.take())
    assert "password" not in audit.text.replace('"fields": ["password"]', "")


def test_changes_in_a_shell_are_audited_with_their_process(db: None, audit: Audit) -> None:
    User.objects.create_superuser("root", password="x")
    Camera.objects.create(slug="gate", url="rtsp://10.0.0.8/")
    entries = audit.take()
    assert [entry["verb"] for entry in entries] == ["user.create", "camera.create"]
    assert entries[0]["is_superuser"] is True
    assert all(entry["by"].startswith("process ") for entry in entries)


def test_what_an_action_audits_is_not_audited_twice(admin_user: User, audit: Audit) -> None:
    audit.take()
    operator = LocalOperator()
    camera = create_camera(operator, "gate", CameraFields(url="rtsp://10.0.0.8/"))
    update_camera(operator, camera, CameraFields(name="x"))
    grant = create_grant(operator, camera, "view", user="root")
    create_token(operator, admin_user, "wall", ["view"])
    revoke_all_tokens(operator, admin_user)
    delete_grant(operator, grant)
    create_grant(operator, camera, "view", user="root")
    delete_camera(operator, camera)
    assert [entry["verb"] for entry in audit.take()] == [
        "camera.create", "camera.update", "grant.create", "token.create", "token.revoke", "grant.delete",
        "grant.create", "camera.delete",
    ]  # fmt: skip


def test_using_an_account_or_a_token_records_no_change(db: None, audit: Audit) -> None:
    user = User.objects.create_user("owner", password="a long password")
    audit.take()
    client = Client()
    client.post("/login/", {"username": "owner", "password": "a long password"}, REMOTE_ADDR="203.0.113.7")
    client.post("/logout/")
    entries = audit.take()
    assert [(entry["verb"], entry["subject"], entry["address"]) for entry in entries] == [
        ("login", "owner", "203.0.113.7"), ("logout", "owner", "127.0.0.1")
    ]  # fmt: skip
    user.check_password("a long password")
    user.save(update_fields=["last_login"])
    user.save()
    assert not audit.take()


def test_rehashing_a_password_at_login_is_not_audited_as_a_change(
    db: None, settings: Any, audit: Audit
) -> None:
    user = User.objects.create_user("owner", password="a long password")
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS
    ]  # fmt: skip
    audit.take()
    assert user.check_password("a long password") and user.password.startswith("pbkdf2")
    assert not audit.take()
    user.set_password("another password")
    user.save()
    assert [entry["fields"] for entry in audit.take()] == [["password"]]


@pytest.mark.django_db
def test_a_user_and_a_group_with_roles_can_be_deleted(viewer: User, camera: Camera, guards: Group) -> None:
    CameraGrant.objects.create(camera=camera, group=guards, role="view")
    viewer.delete()
    guards.delete()
    assert not CameraGrant.objects.exists()
    assert set(AuditEntry.objects.filter(verb__endswith=".delete").values_list("verb", "subject")) == {
        ("grant.delete", "door"), ("user.delete", "viewer"), ("group.delete", "guards"),
    }  # fmt: skip


def test_accounts_can_be_created_before_the_table_of_the_log(db: None, audit: Audit) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE ninjacam_auditentry RENAME TO elsewhere")
    user = User.objects.create_user("early")
    assert User.objects.get(pk=user.pk) == user
    assert [each["verb"] for each in audit.take()] == ["user.create"]

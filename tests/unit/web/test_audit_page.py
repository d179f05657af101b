"""The audit log: what is stored with an action, how long, and what its page shows to whom."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.utils import timezone

from ninjacam.actions.audit import MAX_DETAILS_CHARS, record_as
from ninjacam.actions.cameras import CameraFields, update_camera
from ninjacam.actions.grants import create_grant
from ninjacam.auth import LocalOperator, Principal
from ninjacam.models import AuditEntry, Camera
from ninjacam.web.audit_page import PAGE
from tests.unit.conftest import PASSWORD, signed_in

pytestmark = pytest.mark.django_db
PATH = "/administration/audit/"


@pytest.fixture
def admin(admin_user: User) -> Client:
    client = signed_in(admin_user)
    AuditEntry.objects.all().delete()
    return client


def subjects(client: Client, **query: Any) -> list[str]:
    response = client.get(PATH, query)
    assert response.status_code == 200
    return [row.entry.subject for row in response.context["rows"]]


def test_an_action_is_stored_without_credentials(
    admin: Client, admin_user: User, viewer: User, camera: Camera
) -> None:
    AuditEntry.objects.all().delete()
    who = Principal(admin_user, "session")
    update_camera(
        who, camera, CameraFields(url=f"rtsp://bob:{PASSWORD}@10.0.0.8/x?token=abc", password=PASSWORD)
    )
    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.verb, entry.camera) == ("root (session)", "camera.update", "door")
    page = admin.get(PATH).content.decode()
    assert "camera.update" in page and "root (session)" in page
    for hidden in (PASSWORD, "bob", "abc"):
        assert hidden not in page and hidden not in str(entry.details)


def test_an_entry_is_undone_with_its_action(camera: Camera, viewer: User) -> None:
    AuditEntry.objects.all().delete()
    with transaction.atomic():
        create_grant(LocalOperator(), camera, "replay", user="viewer")
        assert AuditEntry.objects.count() == 1
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


def test_entries_outlive_their_user(admin: Client, viewer: User) -> None:
    record_as("viewer (session)", "event.delete", "door", event=1)
    viewer.delete()
    assert "viewer (session)" in admin.get(PATH, {"user": "viewer"}).content.decode()


def test_filters(admin: Client) -> None:
    record_as("ada (session)", "camera.update", "door")
    record_as("ada (token)", "event.delete", "yard")
    record_as("adam (session)", "camera.update", "yard")
    record_as("root (session)", "user.update", "ada")
    record_as("root (session)", "profile.activate", "door")
    old = AuditEntry.objects.order_by("pk")[0]
    AuditEntry.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=10))
    assert subjects(admin) == ["door", "ada", "yard", "yard", "door"]
    assert subjects(admin, user="ada") == ["ada", "yard", "door"]
    assert subjects(admin, verb="camera.update") == ["yard", "door"]
    assert subjects(admin, camera="door") == ["door"], "a profile of this name is not the camera"
    assert subjects(admin, camera="door", user="adam") == []
    today = timezone.localdate()
    assert len(subjects(admin, since=today.isoformat())) == 4
    assert subjects(admin, until=(today - timedelta(days=9)).isoformat()) == ["door"]


@pytest.mark.parametrize(
    "query",
    [{"since": "x"}, {"until": "9999-12-31"}, {"since": "0001-01-01"}, {"verb": "nonsense"}, {"user": "a\0"}],
)
def test_wrong_filters_are_reported(admin: Client, query: dict[str, str]) -> None:
    response = admin.get(PATH, query)
    assert response.status_code == 422 and response.context["form"].errors


def test_pages_follow_each_other(admin: Client) -> None:
    for number in range(PAGE + 3):
        record_as("ada", "camera.update", f"camera-{number}")
    response = admin.get(PATH, {"user": "ada"})
    assert len(response.context["rows"]) == PAGE
    older = admin.get(PATH + response.context["older"])
    assert [row.entry.subject for row in older.context["rows"]] == ["camera-2", "camera-1", "camera-0"]
    assert len(subjects(admin, after="nonsense")) == PAGE


def test_hostile_names_are_stored_and_escaped(admin: Client) -> None:
    record_as("eve\0<b>", "zone.create", "x\0" * 300, zone="<script>\0", many="y" * 2 * MAX_DETAILS_CHARS)
    entry = AuditEntry.objects.get()
    assert (
        len(entry.subject) <= 200 and entry.camera == "" and len(str(entry.details)) < MAX_DETAILS_CHARS + 50
    )
    assert (
        "<script>\0" not in admin.get(PATH).content.decode()
        and "eve&lt;b&gt;" in admin.get(PATH).content.decode()
    )


def test_old_and_surplus_entries_are_deleted(settings: Any) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "AUDIT_DAYS": 30, "AUDIT_ENTRIES": 100}
    AuditEntry.objects.all().delete()
    record_as("ada", "camera.update", "old")
    AuditEntry.objects.update(at=timezone.now() - timedelta(days=31))
    record_as("ada", "camera.update", "kept")
    for _number in range(30):
        record_as("not logged in", "login.failed", "root")
    AuditEntry.objects.sweep()
    assert AuditEntry.objects.filter(verb="login.failed").count() == 10
    assert list(AuditEntry.objects.exclude(verb="login.failed").values_list("subject", flat=True)) == ["kept"]
    for number in range(120):
        record_as("ada", "camera.update", str(number))
    AuditEntry.objects.sweep()
    assert AuditEntry.objects.count() == 100 and AuditEntry.objects.first().subject == "119"  # type: ignore[union-attr]


def test_others_are_refused(viewer: User) -> None:
    assert signed_in(viewer).get(PATH).status_code == 403

import json
import logging

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from ninjacam.actions.audit import record_taken
from ninjacam.actions.cameras import CameraFields, create_camera, delete_camera, update_camera
from ninjacam.actions.links import create_link
from ninjacam.actions.tokens import create_token, revoke_token
from ninjacam.auth import LocalOperator, Principal
from ninjacam.core.errors import ForbiddenError
from ninjacam.models import Camera
from tests.unit.conftest import PASSWORD


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ninjacam.audit")
    return caplog


def test_every_write_is_audited_without_secrets(admin_user: User, audit: pytest.LogCaptureFixture) -> None:
    who = Principal(admin_user, "session")
    camera = create_camera(who, "gate", CameraFields(url=f"rtsp://bob:{PASSWORD}@10.0.0.8/x?token=abc"))
    update_camera(who, camera, CameraFields(password=PASSWORD, name="x"))
    token, secret = create_token(who, admin_user, "wall", ["view"])
    link = create_link(who, camera.slug, "mjpeg")
    revoke_token(who, token)
    delete_camera(who, camera)
    entries = [json.loads(record.getMessage()) for record in audit.records]
    assert [entry["verb"] for entry in entries] == [
        "camera.create", "camera.update", "token.create", "link.create", "token.revoke", "camera.delete",
    ]  # fmt: skip
    assert {entry["by"] for entry in entries} == {"root (session)"}
    for hidden in (PASSWORD, "bob", "abc", secret, link.path.partition("sig=")[2]):
        assert hidden not in audit.text


def test_a_name_cannot_forge_a_line(db: None, audit: pytest.LogCaptureFixture) -> None:
    user = User.objects.create_superuser("eve\nINFO ninjacam.audit: forged")
    create_camera(Principal(user, "session"), "gate", CameraFields(url="rtsp://10.0.0.8/"))
    assert "\n" not in audit.records[0].getMessage()


def test_a_refused_write_changes_nothing(
    viewer: User, camera: Camera, audit: pytest.LogCaptureFixture
) -> None:
    who = Principal(viewer, "session")
    with pytest.raises(ForbiddenError):
        update_camera(who, camera, CameraFields(name="x"))
    with pytest.raises(ForbiddenError):
        delete_camera(who, camera)
    with pytest.raises(ForbiddenError):
        create_camera(who, "new", CameraFields(url="rtsp://10.0.0.8/"))
    assert (
        list(Camera.objects.values_list("slug", "name")) == [("door", "Back entrance")] and not audit.records
    )


def test_the_local_operator_may_do_everything(camera: Camera) -> None:
    update_camera(LocalOperator(), camera, CameraFields(name="x"))
    assert Camera.objects.get().name == "x"


def test_no_migration_is_missing(db: None) -> None:
    call_command("makemigrations", "ninjacam", "--check", "--dry-run", verbosity=0)


def test_replays_are_recorded_once_for_each_hour_of_the_recordings(
    viewer: User, camera: Camera, audit: pytest.LogCaptureFixture
) -> None:
    who = Principal(viewer, "session")
    hour_ns = 3600 * 10**9
    spans = [(0, 1), (1, 2), (hour_ns, hour_ns + 1), (hour_ns - 1, 2 * hour_ns), (0, 3 * hour_ns)]
    counts = []
    for start_ns, end_ns in spans:
        record_taken(who, "recording.replay", camera.slug, start_ns, end_ns)
        counts.append(len(audit.records))
    assert counts == [1, 1, 2, 2, 3]

from ninjacam.management.diagnosis import look_at_database
from ninjacam.models import Camera


def fixes() -> list[str]:
    return [finding.text for finding in look_at_database() if finding.level == "FIX"]


def test_a_camera_with_an_unsupported_protocol_is_named(camera: Camera, admin_user: object) -> None:
    assert fixes() == []
    camera.set_source("srt://10.0.0.5:9000")
    camera.save()
    (text,) = fixes()
    assert text.startswith(f"{camera.slug}: SRT is not supported. Use ")

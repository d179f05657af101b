import pytest

from ninjacam.core.errors import UnsupportedSchemeError
from ninjacam.management.diagnosis import look_at_database
from ninjacam.models import Camera
from ninjacam.sources import ffmpeg_network


def fixes() -> list[str]:
    return [finding.text for finding in look_at_database() if finding.level == "FIX"]


def test_srt_is_missed_only_where_a_camera_speaks_it(
    camera: Camera, admin_user: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ffmpeg_network, "srt_error", lambda: UnsupportedSchemeError("Install libsrt."))
    assert fixes() == []
    camera.set_source("srt://10.0.0.5:9000")
    camera.save()
    assert fixes() == [f"{camera.slug}: Install libsrt."]
    monkeypatch.setattr(ffmpeg_network, "srt_error", lambda: None)
    assert fixes() == []

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks


@pytest.mark.django_db  # since Django 6.1, checks query the database
def test_recordings_in_a_published_directory_cause_a_warning(settings: Any, tmp_path: Path) -> None:
    def warned() -> list[str]:
        return [str(message.msg) for message in run_checks() if message.id == "ninjacam.W005"]

    settings.MEDIA_ROOT = str(tmp_path / "media")
    assert warned() == []
    settings.NINJACAM = {**settings.NINJACAM, "RECORDINGS_DIR": tmp_path / "media" / "recordings"}
    assert "RECORDINGS_DIR" in warned()[0]
    settings.NINJACAM = {**settings.NINJACAM, "RETENTION": {"byte": 1}}
    assert [message.id for message in run_checks() if message.id == "ninjacam.E001"] == ["ninjacam.E001"]

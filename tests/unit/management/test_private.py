import os
from pathlib import Path
from typing import Any

import pytest

from ninjacam.conf import get_settings
from ninjacam.management import private
from ninjacam.management.diagnosis import look_at_code, look_at_modes
from ninjacam.management.private import PrivatePath, make_private, private_paths


@pytest.fixture
def data(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create the product's data directory with the permissions that umask 022 allows."""
    data = tmp_path / "data"
    for name in ("run", "recordings", "exports"):
        (data / name).mkdir(parents=True)
        (data / name).chmod(0o755)
    for name in ("secret_key", "ninjacam.sqlite3", "ninjacam.sqlite3-wal", "cameras.py"):
        (data / name).write_text("x")
        (data / name).chmod(0o644)
    data.chmod(0o755)
    settings.NINJACAM = {"DATA_DIR": data}
    settings.DEBUG = False
    monkeypatch.setattr(private, "PRODUCT_SETTINGS", settings.SETTINGS_MODULE)
    monkeypatch.setattr(private, "_database_file", lambda: data / "ninjacam.sqlite3")
    return data


LOOSE = ("", "run", "recordings", "exports", "secret_key", "ninjacam.sqlite3", "ninjacam.sqlite3-wal")


def modes(data: Path) -> dict[str, int]:
    return {name: (data / name).stat().st_mode & 0o777 for name in LOOSE}


def test_our_own_files_are_made_private_and_each_change_is_named(data: Path) -> None:
    said = list(make_private(private_paths(get_settings())))
    assert modes(data) == {name: 0o700 if (data / name).is_dir() else 0o600 for name in LOOSE}
    assert len(said) == len(LOOSE)
    assert f"Changed the mode of the data directory {data} from 755 to 700." in said
    assert list(make_private(private_paths(get_settings()))) == []


def test_a_directory_with_other_files_is_left_as_it_is(data: Path) -> None:
    (data / "www").mkdir()
    said = list(make_private(private_paths(get_settings())))
    assert f"Other users can read the data directory {data} (mode 755). Run: chmod go= {data}" in said
    assert modes(data)[""] == 0o755 and modes(data)["ninjacam.sqlite3"] == 0o600


def test_the_database_of_a_project_is_left_as_it_is(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "PRODUCT_SETTINGS", "other.settings")
    list(make_private(private_paths(get_settings())))
    assert modes(data)["ninjacam.sqlite3"] == 0o644 and modes(data)["run"] == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_files_of_another_user_are_left_as_they_are(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    os.chown(tmp_path, 54_321, 54_321)
    said = list(make_private([PrivatePath("data directory", tmp_path, own=True)]))
    assert len(said) == 1 and said[0].startswith("Other users can read") and tmp_path.stat().st_mode & 0o55


@pytest.mark.parametrize("name", LOOSE)
def test_doctor_reports_how_to_fix_each_loose_mode(data: Path, name: str) -> None:
    list(make_private(private_paths(get_settings())))
    assert [finding.level for finding in look_at_modes()] == ["OK"]
    (data / name).chmod(0o750 if (data / name).is_dir() else 0o640)
    (found,) = look_at_modes()
    assert found.level == "FIX" and f"chmod go= {data / name}".rstrip("/") in found.text


def test_doctor_reports_how_to_fix_code_that_others_can_write(
    data: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ninjacam.processes import processor_modules

    monkeypatch.setattr(processor_modules, "PRODUCT_SETTINGS", settings.SETTINGS_MODULE)
    assert list(look_at_code()) == []
    (data / "cameras.py").chmod(0o666)
    (found,) = look_at_code()
    assert found.level == "FIX" and f"chmod go-w {data / 'cameras.py'}" in found.text

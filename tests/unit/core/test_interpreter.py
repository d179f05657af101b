import os
import sys
from pathlib import Path

import pytest

from ninjacam.core.interpreter import bare_environment, full_environment, import_path, python_command

SOURCE = str(Path(__file__).parents[3] / "src")


def test_a_child_imports_from_the_same_absolute_paths_as_this_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "path", ["", "relative", "/srv/project", "/usr/lib/python", "/srv/project"])
    assert import_path() == os.pathsep.join(["/srv/project", "/usr/lib/python", SOURCE])


def test_a_child_runs_in_safe_path_mode() -> None:
    assert python_command("a.b", "--c") == [sys.executable, "-P", "-m", "a.b", "--c"]


def test_a_bare_environment_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("NINJACAM_SECRET_KEY", "DATABASE_URL", "DJANGO_SECRET_KEY", "AWS_SESSION_TOKEN", "PGPASSWORD")
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("TZ", "Asia/Seoul")
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    bare = bare_environment()
    assert "hidden" not in bare.values()
    assert (bare["TZ"], bare["PYTHONHASHSEED"], bare["PATH"]) == ("Asia/Seoul", "1", os.environ["PATH"])
    assert full_environment()["DATABASE_URL"] == "hidden"

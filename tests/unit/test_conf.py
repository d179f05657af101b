import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import ninjacam
from ninjacam.checks import check_ninjacam
from ninjacam.conf import Settings, get_settings, parse_settings
from ninjacam.core.errors import ConfigError


def ids() -> set[str]:
    return {str(problem.id) for problem in check_ninjacam(None)}


def test_no_setting_is_required(settings: Any, tmp_path: Path) -> None:
    del settings.NINJACAM
    settings.BASE_DIR = tmp_path
    config = get_settings()
    assert config.data_dir == tmp_path / "ninjacam_data" and config.run_dir == config.data_dir / "run"
    assert config.secret_keys == (settings.SECRET_KEY,)


def test_an_overridden_setting_takes_effect_at_once(settings: Any) -> None:
    settings.NINJACAM = {"CAMERAS_PER_CAPTURE": 3}
    assert get_settings().cameras_per_capture == 3
    settings.NINJACAM = {"CAMERAS_PER_CAPTURE": 4}
    assert get_settings().cameras_per_capture == 4


@pytest.mark.parametrize(
    "given",
    [
        {"TYPO": 1},
        {"data_dir": "/x"},
        {"DATA_DIR": ""},
        {"CAMERAS_PER_CAPTURE": 0},
        {"CAMERAS_PER_CAPTURE": "16"},
        {"CAMERAS_PER_CAPTURE": True},
        {"REAUTH_S": 0},
        {"RELOAD": "yes"},
        {"SECRET_KEYS": "one"},
        {"SECRET_KEYS": [""]},
        {"ALLOWED_NETWORKS": ["10.0.0.1/8"]},
    ],
)
def test_wrong_settings_raise_an_error_and_fail_a_check(given: dict[str, Any], settings: Any) -> None:
    with pytest.raises(ConfigError, match=next(iter(given))):
        parse_settings(given)
    settings.NINJACAM = given
    assert ids() == {"ninjacam.E001"}


def test_an_error_never_contains_a_key() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_settings({"SECRET_KEYS": ["the-first-key", 1]})
    assert "the-first-key" not in str(caught.value)
    assert "the-first-key" not in repr(parse_settings({"SECRET_KEYS": ["the-first-key"]}))


def test_the_settings_of_the_product_pass_every_check() -> None:
    assert ids() == set()


def test_each_check_finds_its_problem(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.NINJACAM = {"DATA_DIR": tmp_path}
    settings.MEDIA_ROOT = str(tmp_path)
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    plain = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
    monkeypatch.setattr("django.conf.settings.DATABASES", plain)
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
    settings.ASGI_APPLICATION = None
    assert ids() >= {f"ninjacam.W00{number}" for number in (1, 2, 3, 5, 6)}


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    missing = [item.name.upper() for item in fields(Settings) if f"| `{item.name.upper()}` |" not in page]
    assert missing == []


def test_every_environment_variable_of_the_product_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/settings.md").read_text()
    source = (Path(ninjacam.__file__).parent / "site/environment.py").read_text()
    read = set(re.findall(r'"(NINJACAM_[A-Z_]+)"', source))
    assert sorted(name for name in read if f"`{name}`" not in page) == []

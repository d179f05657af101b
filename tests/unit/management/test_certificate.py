from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ninjacam.conf import Settings, parse_settings
from ninjacam.core.errors import ConfigError
from ninjacam.management.certificate import LIFETIME, RENEW_BEFORE, own_names, prepare_certificate
from ninjacam.testing.tls import make_certificate

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Settings:
    return parse_settings({"DATA_DIR": tmp_path, "TLS": True})


def test_the_certificate_is_made_once_and_only_its_owner_can_read_it(
    config: Settings, tmp_path: Path
) -> None:
    first = prepare_certificate(config, now=NOW)
    assert len(first.split(":")) == 32
    assert prepare_certificate(config, now=NOW + timedelta(days=100)) == first
    (file,) = tmp_path.iterdir()
    assert file.name == "tls.pem" and file.stat().st_mode & 0o777 == 0o600


def test_a_certificate_is_renewed_before_it_expires(config: Settings) -> None:
    first = prepare_certificate(config, now=NOW)
    assert prepare_certificate(config, now=NOW + LIFETIME - RENEW_BEFORE - timedelta(days=1)) == first
    assert prepare_certificate(config, now=NOW + LIFETIME - RENEW_BEFORE + timedelta(days=1)) != first


def test_the_operators_certificate_is_never_replaced(config: Settings, tmp_path: Path) -> None:
    file = tmp_path / "mine.pem"
    file.write_bytes(b"".join(make_certificate()))
    before = file.read_bytes()
    mine = replace(config, tls_certificate=str(file))
    prepare_certificate(mine, now=NOW + timedelta(days=9999))
    assert file.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["mine.pem"]
    assert mine.publish_ports.certificate == str(file)


def test_a_file_that_is_not_a_certificate_is_an_error_and_stays(config: Settings, tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match="PEM"):
        prepare_certificate(config, now=NOW)
    assert (tmp_path / "tls.pem").read_text() == "nonsense"


def test_a_directory_that_cannot_be_written_is_an_error(config: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        prepare_certificate(replace(config, data_dir=tmp_path / "missing"), now=NOW)


def test_the_names_include_this_host_and_its_own_addresses() -> None:
    assert {"localhost", "127.0.0.1", "::1"} <= set(own_names())


def test_the_own_certificate_also_encrypts_publishing(config: Settings, tmp_path: Path) -> None:
    assert config.publish_ports.certificate == str(tmp_path / "tls.pem")
    assert not parse_settings({"DATA_DIR": tmp_path}).publish_ports.certificate

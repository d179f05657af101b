import multiprocessing
import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.http.request import split_domain_port, validate_host

from ninjacam.site import environment


def allowed(host: str, **environ: str) -> bool:
    return validate_host(split_domain_port(host)[0], environment.hosts(environ))


def test_the_data_directory_is_private(tmp_path: Path) -> None:
    path = environment.data_dir({"NINJACAM_DATA": str(tmp_path / "a" / "b")})
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_an_unusable_data_directory_is_reported_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImproperlyConfigured, match="NINJACAM_DATA"):
        environment.data_dir({"NINJACAM_DATA": str(tmp_path / "file" / "x")})


def test_the_secret_key_is_created_once_and_is_private(tmp_path: Path) -> None:
    key = environment.secret_key({}, tmp_path)
    assert len(key) >= 50 and environment.secret_key({}, tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret_key").stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret_key"]
    assert environment.secret_key({"NINJACAM_SECRET_KEY": "given"}, tmp_path) == "given"


def test_processes_that_start_together_get_one_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.starmap(environment.secret_key, [({}, tmp_path)] * 16)
    assert len(set(keys)) == 1


def test_a_damaged_key_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_text("short")
    with pytest.raises(ImproperlyConfigured):
        environment.secret_key({}, tmp_path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///x.db", {"NAME": "DATA/x.db"}),
        ("sqlite:////var/x.db", {"NAME": "/var/x.db"}),
        (
            "postgres://u:p%40ss@db:5433/cams?sslmode=require",
            {
                "USER": "u",
                "PASSWORD": "p@ss",
                "HOST": "db",
                "PORT": 5433,
                "NAME": "cams",
                "OPTIONS": {"sslmode": "require"},
            },
        ),
        ("postgresql://u@[::1]/cams", {"HOST": "::1", "PORT": "", "NAME": "cams"}),
    ],
)
def test_database_urls_are_parsed(url: str, expected: dict[str, object], tmp_path: Path) -> None:
    found = environment.database({"DATABASE_URL": url}, tmp_path)
    for name, value in expected.items():
        assert found[name] == (value.replace("DATA", str(tmp_path)) if isinstance(value, str) else value)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@x/y",
        "sqlite://secret",
        "postgres://u:secret@host",
        "secret",
        "postgres://h:secret/x",
    ],
)
def test_other_database_urls_are_rejected_without_repeating_them(url: str, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        environment.database({"DATABASE_URL": url}, tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000",
        "127.0.0.1:8000",
        "192.168.1.7:8000",
        "10.0.0.1",
        "[::1]:8000",
        "[fe80::1]",
        "x.localhost",
    ],
)
def test_addresses_and_own_names_are_allowed_as_hosts(host: str) -> None:
    assert allowed(host)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "1.2.3", "any-ip-address", "", "[::1"]
)
def test_other_host_names_are_rejected(host: str) -> None:
    assert not allowed(host)


def test_the_environment_allows_host_names() -> None:
    assert allowed("cam.example.org", NINJACAM_HOSTS="other, cam.example.org")
    assert allowed("cam.example.org", NINJACAM_ORIGINS="https://cam.example.org:8443")
    assert environment.origins({"NINJACAM_ORIGINS": "https://a.example, https://b.example"}) == [
        "https://a.example", "https://b.example",
    ]  # fmt: skip


def test_retention_accepts_units() -> None:
    given = {"NINJACAM_RETENTION": "bytes=1.5T, bytes_per_camera=50g,days=0.5,free_bytes=1000"}
    assert environment.retention(given) == {
        "bytes": 1_500_000_000_000, "bytes_per_camera": 50_000_000_000, "days": 0.5, "free_bytes": 1000,
    }  # fmt: skip
    assert environment.retention({}) == {}
    for wrong in ("bytes", "bytes=", "bytes=many", "days=1e999G,bytes=1e999", "=G"):
        with pytest.raises(ImproperlyConfigured, match="NINJACAM_RETENTION"):
            environment.retention({"NINJACAM_RETENTION": wrong})


def test_a_log_level_is_read_in_any_case_or_rejected() -> None:
    assert environment.log_level({}) == environment.log_level({"NINJACAM_LOG": " info"}) == "INFO"
    with pytest.raises(ImproperlyConfigured, match="NINJACAM_LOG cannot be 'LOUD'"):
        environment.log_level({"NINJACAM_LOG": "loud"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", environment.MailServer("localhost", 25)),
        (
            "smtp://me%40example.org:p%2Fw@mail.example.org",
            environment.MailServer("mail.example.org", 587, "me@example.org", "p/w", starts_tls=True),
        ),
        ("smtps://mail.example.org", environment.MailServer("mail.example.org", 465, is_tls=True)),
        ("smtp+plain://[::1]:2525/", environment.MailServer("::1", 2525)),
    ],
)
def test_mail_servers_are_parsed(url: str, expected: environment.MailServer) -> None:
    assert environment.mail_server({"NINJACAM_EMAIL": url}) == expected


@pytest.mark.parametrize(
    "url", ["mail:secret@host", "http://u:secret@host", "smtp://u:secret@host:x", "smtp:///"]
)
def test_other_mail_servers_are_rejected_without_repeating_them(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NINJACAM_EMAIL") as found:
        environment.mail_server({"NINJACAM_EMAIL": url})
    assert "secret" not in str(found.value)


def test_the_sender_of_e_mails_is_one_line() -> None:
    assert environment.email_sender({}).startswith("ninjacam@")
    assert environment.email_sender({"NINJACAM_EMAIL_FROM": " a@b.org "}) == "a@b.org"
    with pytest.raises(ImproperlyConfigured):
        environment.email_sender({"NINJACAM_EMAIL_FROM": "a@b.org\nBcc: c@d.org"})

import logging

import pytest
from django.core.exceptions import ValidationError

from ninjacam.core.errors import ConfigError
from ninjacam.credentials import fingerprint, reseal, unseal
from ninjacam.models import Camera
from ninjacam.models.camera import check_onvif_url
from tests.unit.conftest import PASSWORD


def test_credentials_are_encrypted_in_the_database_and_complete_in_the_spec(camera: Camera) -> None:
    row = Camera.objects.filter(pk=camera.pk).values().get()
    assert PASSWORD not in str(row) and "user-of-the-camera" not in str(row)
    source = Camera.objects.get(pk=camera.pk).spec().source
    assert (source.username, source.password) == ("user-of-the-camera", PASSWORD)


def test_user_info_in_the_url_is_encrypted(db: None) -> None:
    camera = Camera(slug="a")
    camera.set_source("rtsp://bob:p%40ss@10.0.0.9:8554/x")
    assert camera.url == "rtsp://10.0.0.9:8554/x"
    assert (camera.source().username, camera.source().password) == ("bob", "p@ss")


def test_secrets_in_the_query_are_masked_and_encrypted(db: None) -> None:
    camera = Camera(slug="a")
    camera.set_source("rtsp://10.0.0.9/live?user=bob&password=hunter2&channel=1")
    assert "hunter2" not in camera.url and "channel=1" in camera.url
    assert camera.source().url == "rtsp://10.0.0.9/live?user=bob&password=hunter2&channel=1"


def test_no_representation_contains_credentials(camera: Camera, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("x").info("%r %s %r %r %r", camera, camera, camera.spec(), camera.source(),
                                    unseal(camera.credentials))  # fmt: skip
    assert PASSWORD not in caplog.text and "user-of-the-camera" not in caplog.text


def test_the_revision_changes_with_the_source_but_not_with_the_name(camera: Camera) -> None:
    before = camera.spec().revision
    camera.name = "Another"
    assert camera.spec().revision == before
    camera.set_source("rtsp://10.0.0.5/stream1", "user-of-the-camera", "another password")
    assert camera.spec().revision != before


def test_the_revision_does_not_reveal_the_password() -> None:
    assert fingerprint("a") == fingerprint("a") != fingerprint("b")
    assert len(fingerprint("a")) == 16


def test_an_older_key_still_decrypts_and_rekey_makes_it_superfluous(camera: Camera, settings: object) -> None:
    old = camera.credentials
    settings.NINJACAM = {"SECRET_KEYS": ["a new key", settings.SECRET_KEY]}  # type: ignore[attr-defined]
    assert unseal(old).password == PASSWORD
    new = reseal(old)
    settings.NINJACAM = {"SECRET_KEYS": ["a new key"]}  # type: ignore[attr-defined]
    assert unseal(new).password == PASSWORD
    with pytest.raises(ConfigError, match="secret key has changed"):
        unseal(old)


@pytest.mark.parametrize("slug", ["", "-a", "A", "a b", "a/b", "ä", "a" * 51, "probe", "a\n"])
def test_slugs_that_are_unsuitable_for_urls_are_rejected(db: None, slug: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Camera(slug=slug, url="rtsp://h/").full_clean()
    assert "slug" in caught.value.message_dict


@pytest.mark.parametrize(
    ("url", "has_login"),
    [
        ("auto", True),
        ("http://192.0.2.1/onvif", True),
        ("axis+http://192.0.2.1:8080/?channel=2", True),
        ("dahua+https://192.0.2.1/", True),
        ("http://192.0.2.2/", False),
        ("axis+http://192.0.2.2/", False),
    ],
)
def test_commands_get_the_login_only_at_the_host_that_it_was_entered_for(url: str, has_login: bool) -> None:
    camera = Camera(slug="door", onvif_url=url)
    camera.set_source("rtsp://192.0.2.1/stream1", "viewer", "geheim")
    camera.full_clean(exclude=["slug"], validate_unique=False)
    device = camera.device(camera.source())
    assert device is not None and (device.username == "viewer") is has_login
    assert device.url == ("onvif://192.0.2.1/" if url == "auto" else url)


def test_commands_of_an_encrypted_camera_are_never_sent_with_its_login_in_clear_text() -> None:
    camera = Camera(slug="door", onvif_url="axis+http://192.0.2.1/")
    camera.set_source("rtsps://192.0.2.1/stream1", "viewer", "geheim")
    device = camera.device(camera.source())
    assert device is not None and not device.username and not device.password


@pytest.mark.parametrize(
    "url",
    [
        "vivotek+http://192.0.2.1/",
        "axis+ftp://192.0.2.1/",
        "axis+http://viewer:geheim@192.0.2.1/",
        "ftp://192.0.2.1/",
        "axis+",
        "192.0.2.1",
    ],
)
def test_addresses_for_commands_that_cannot_work_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        check_onvif_url(url)

from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, override_settings

from ninjacam.actions.publish_keys import create_publish_key, revoke_publish_key
from ninjacam.adapters.wanted import DatabaseWanted
from ninjacam.auth import LocalOperator
from ninjacam.core.errors import InvalidError, LimitError
from ninjacam.models import Camera, PublishKey
from ninjacam.models.publish_key import MAX_KEYS_PER_CAMERA
from ninjacam.queries.publishing import publish_urls
from ninjacam.sources.publish import hash_key

pytestmark = pytest.mark.django_db
OPERATOR = LocalOperator()
OPEN = override_settings(NINJACAM={"RTMP_PORT": 1935, "RTSP_PORT": 8554})


@pytest.fixture
def drone() -> Camera:
    camera = Camera(slug="drone")
    camera.set_source("push:")
    camera.save()
    return camera


def test_only_the_hash_of_a_key_is_stored(drone: Camera) -> None:
    row, key = create_publish_key(OPERATOR, drone, "the drone")
    assert key.startswith(f"np_{row.prefix}_") and row.key_hash == hash_key(key)
    assert not [value for value in PublishKey.objects.values_list().get() if str(value) == key]


def test_the_engine_gets_the_hashes_and_each_change(drone: Camera) -> None:
    with OPEN:
        wanted = DatabaseWanted(Path("nowhere"))
        row, key = create_publish_key(OPERATOR, drone)
        (first,) = wanted.read().cameras
        assert first.source.publish_keys == (hash_key(key),)
        _other, _key = create_publish_key(OPERATOR, drone)
        (second,) = wanted.read().cameras
        revoke_publish_key(OPERATOR, row)
        (third,) = wanted.read().cameras
        assert len({first.revision, second.revision, third.revision}) == 3
        assert wanted.read().cameras == (third,)


def test_a_camera_works_with_closed_ports_because_pages_need_none(drone: Camera) -> None:
    (spec,) = DatabaseWanted(Path("nowhere")).read().cameras
    assert spec.error is None


def test_a_camera_that_is_connected_to_has_no_keys(camera: Camera) -> None:
    with pytest.raises(InvalidError, match="push:"):
        create_publish_key(OPERATOR, camera)


def test_the_number_of_keys_is_limited(drone: Camera) -> None:
    for _ in range(MAX_KEYS_PER_CAMERA):
        create_publish_key(OPERATOR, drone)
    with pytest.raises(LimitError):
        create_publish_key(OPERATOR, drone)


def test_encrypted_urls_come_first(drone: Camera) -> None:
    settings = {"RTMP_PORT": 1935, "RTSP_PORT": 8554, "TLS_CERTIFICATE": "server.pem"}
    with override_settings(NINJACAM=settings):
        urls = publish_urls("np_1_2", "::1")
    assert [url.partition(":")[0] for url in urls] == ["rtmps", "rtsps", "rtmp", "rtsp"]
    assert urls[0] == "rtmps://[::1]:1935/publish/np_1_2"
    assert publish_urls("np_1_2", "host") == []


def test_the_command_warns_if_a_publisher_cannot_encrypt() -> None:
    def warnings(slug: str, **certificate: str) -> str:
        told = StringIO()
        with override_settings(NINJACAM={"RTMP_PORT": 1935, **certificate}):
            call_command("ninjacam_add", slug, "push:", stdout=StringIO(), stderr=told)
        return told.getvalue()

    assert "unencrypted" in warnings("drone")
    assert warnings("roof", TLS_CERTIFICATE="server.pem") == ""


class TestPage:
    @pytest.fixture
    def client(self, admin_user: User) -> Client:
        client = Client()
        client.force_login(admin_user)
        return client

    def test_a_key_is_shown_once_and_revoked(self, client: Client, drone: Camera) -> None:
        with OPEN:
            made = client.post("/cameras/drone/publish-keys/", {"name": "<b>drone</b>"})
        row = drone.publish_keys.get()
        text = made.content.decode()
        assert f"/publish/np_{row.prefix}_" in text and "<b>drone" not in text
        again = client.get("/cameras/drone/publish-keys/").content.decode()
        assert f"np_{row.prefix}_…" in again and "/publish/np_" not in again
        assert client.post("/cameras/drone/publish-keys/", {"revoke": str(row.pk)}).status_code == 302
        assert not drone.publish_keys.exists()

    def test_the_page_of_the_camera_leads_there(self, client: Client, drone: Camera) -> None:
        assert "/cameras/drone/publish-keys/" in client.get("/cameras/drone/").content.decode()

    def test_a_new_camera_leads_there_too(self, client: Client) -> None:
        fields = {"slug": "yard", "url": "push:", "transport": "tcp", "record": "off"}
        answer = client.post("/add-camera/", {**fields, "record_before_s": 5, "record_after_s": 10})
        assert answer.status_code == 302 and answer["Location"].endswith("/cameras/yard/publish-keys/")

    def test_viewers_get_403_and_strangers_404(self, viewer: User, stranger: User, camera: Camera) -> None:
        for user, status in ((viewer, 403), (stranger, 404)):
            client = Client()
            client.force_login(user)
            assert client.get("/cameras/door/publish-keys/").status_code == status
            assert client.get("/api/v1/cameras/door/publish-keys").status_code == status
            assert client.post("/cameras/door/publish-keys/", {"name": "x"}).status_code == status

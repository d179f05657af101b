"""The page that turns a phone into a camera, and the link to it."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam import signing
from ninjacam.core.errors import NotFoundError
from ninjacam.models import Camera, CameraGrant, PublishKey
from ninjacam.queries.publishing import RENEWED_LINK_S, SHOWN_LINK_S, get_linked_key, make_publish_link
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _any_host(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["*"]


@pytest.fixture
def phone() -> Camera:
    camera = Camera(slug="phone", name="Garden phone")
    camera.set_source("push:")
    camera.save()
    return camera


@pytest.fixture
def key(phone: Camera) -> PublishKey:
    return PublishKey.create(phone)[0]


def link_in(page: str) -> str:
    found = re.search(r'id="phone-url" readonly value="([^"]+)"', page)
    assert found, page
    return unescape(found[1])


def test_a_link_opens_the_page_without_a_login_and_contains_no_key(key: PublishKey) -> None:
    link = make_publish_link(key)
    assert key.key_hash not in link
    answer = Client().get(f"/publish/{link}/")
    assert answer.status_code == 200 and "Garden phone" in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert not answer.cookies


@pytest.mark.parametrize("change", ["forged", "revoked", "disabled", "deleted"])
def test_a_link_ends_with_its_key_and_its_camera(key: PublishKey, change: str) -> None:
    link = make_publish_link(key)
    assert get_linked_key(link) == key
    if change == "forged":
        link = link[:-2] + ("AA" if link[-2:] != "AA" else "BB")
    elif change == "revoked":
        key.delete()
    elif change == "disabled":
        Camera.objects.filter(pk=key.camera_id).update(enabled=False)
    else:
        key.camera.delete()
    with pytest.raises(NotFoundError):
        get_linked_key(link)
    answer = Client().get(f"/publish/{link}/")
    assert answer.status_code == 404 and "Garden phone" not in answer.content.decode()


def test_a_link_expires() -> None:
    link = signing.sign_publish_link("ab12", lifetime_s=SHOWN_LINK_S, now_s=1000)
    assert signing.read_publish_link(link, now_s=1000 + SHOWN_LINK_S - 1) == "ab12"
    assert signing.read_publish_link(link, now_s=1000 + SHOWN_LINK_S) is None
    assert RENEWED_LINK_S > SHOWN_LINK_S


@pytest.mark.parametrize("text", ["", "x", "a:b:c", "W10:1xXsjT:aaaa"])
def test_nonsense_is_not_a_link(text: str) -> None:
    assert signing.read_publish_link(text) is None


def test_another_kind_of_link_does_not_publish(key: PublishKey) -> None:
    from django.core import signing as django_signing

    other = django_signing.dumps([key.prefix, 10**11], salt="ninjacam.link/3")
    assert signing.read_publish_link(other) is None


def test_only_users_who_may_configure_the_camera_see_the_code(
    phone: Camera, key: PublishKey, viewer: User, admin_user: User
) -> None:
    CameraGrant.objects.create(camera=phone, user=viewer, role="view")
    seen = signed_in(viewer).get("/cameras/phone/").content.decode()
    assert "phone-url" not in seen and "<svg" not in seen.partition("ninjacam-player")[0]
    page = signed_in(admin_user).get("/cameras/phone/", headers={"Host": "192.168.1.7"}).content.decode()
    link = link_in(page)
    assert link.startswith("http://192.168.1.7/publish/") and 'class="qr"' in page
    assert Client().get(link.removeprefix("http://192.168.1.7")).status_code == 200
    assert "--tls" in page, "a phone needs https"


def test_the_page_explains_that_a_phone_cannot_reach_localhost(key: PublishKey, admin_user: User) -> None:
    client = signed_in(admin_user)
    local = client.get("/cameras/phone/", headers={"Host": "localhost:8000"}).content.decode()
    assert "localhost is the phone itself" in local
    secure = client.get("/cameras/phone/", headers={"Host": "192.168.1.5"}, secure=True).content.decode()
    assert "localhost is the phone itself" not in secure and "--tls" not in secure
    assert link_in(secure).startswith("https://192.168.1.5/")


def test_each_key_has_its_own_link(phone: Camera, key: PublishKey, admin_user: User) -> None:
    second = PublishKey.create(phone, "old phone")[0]
    page = signed_in(admin_user).get(f"/cameras/phone/publish-keys/?phone={second.pk}").content.decode()
    link = link_in(page).rstrip("/").rpartition("/")[2]
    assert get_linked_key(link) == second and "old phone" in page


def test_a_camera_that_waits_for_no_publisher_has_no_code(camera: Camera, admin_user: User) -> None:
    PublishKey.create(camera)
    assert "phone-url" not in signed_in(admin_user).get(f"/cameras/{camera.slug}/").content.decode()

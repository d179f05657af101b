"""The page of a camera's zones without JavaScript. With it: tests/e2e/test_zone_editor.py."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.core.zones import MAX_ZONES
from ninjacam.models import Camera, CameraZone
from ninjacam.web.zone_form import PointsField, ZoneForm
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/cameras/door/zones/"
FORM = {
    "zone": "", "name": "porch", "kind": "zone", "points": "0.1,0.2 0.9,0.2\n 0.5,0.75", "inertia_s": "0.5",
    "loitering_s": "30", "preset": "", "color": "#ff0000",
}  # fmt: skip


@pytest.fixture
def owner(camera: Camera) -> Client:
    return with_role("owner", camera, "configure")


def post(client: Client, **changes: str) -> Any:
    return client.post(PATH, {**FORM, **changes})


def test_zones_are_added_changed_and_removed_by_forms(owner: Client) -> None:
    answer = post(owner)
    assert (answer.status_code, answer["Location"]) == (302, f"{PATH}#zone-porch")
    zone = CameraZone.objects.get()
    assert zone.points == [[0.1, 0.2], [0.9, 0.2], [0.5, 0.75]]
    assert (zone.kind, zone.inertia_s, zone.loitering_s, zone.color) == ("zone", 0.5, 30, "#ff0000")
    page = owner.get(PATH).content.decode()
    assert 'id="zone-porch"' in page and "0.1,0.2 0.9,0.2 0.5,0.75" in page
    assert post(owner, zone="porch", name="gate", kind="line", points="0,0.5 1,0.5").status_code == 302
    zone.refresh_from_db()
    assert (zone.name, zone.kind, zone.points) == ("gate", "line", [[0, 0.5], [1, 0.5]])
    answer = owner.post(PATH, {"zone": "gate", "delete": "1"})
    assert (answer.status_code, answer["Location"]) == (302, PATH)
    assert not CameraZone.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("points", "0.1,0.2 0.9", "separate points by spaces"),
        ("points", "0.1,0.2", "A zone has 3 to 100 points."),
        ("points", "0,0 1,0 nan,1", "fractions of the width and height"),
        ("points", "0,0 1,0 1e308,1", "fractions of the width and height"),
        ("points", "0,0 1,0 9" + "9" * 400 + ",1", "fractions of the width and height"),
        ("points", "1,1 " * 101, "A zone has 3 to 100 points."),
        ("points", "1,1 " * 2000, "at most 4000 characters"),
        ("points", "", "required"),
        ("name", "a <b>", "starting with a letter or digit"),
        ("name", "a\x00", "Null characters are not allowed."),
        ("inertia_s", "nan", "Enter a number."),
        ("inertia_s", "61", "less than or equal to 60"),
        ("loitering_s", "-1", "greater than or equal to 0"),
        ("kind", "polygon", "Select a valid choice."),
        ("color", "red", "as #rrggbb"),
        ("preset", "x" * 65, "at most 64 characters"),
    ],
)
def test_what_cannot_be_used_is_shown_at_its_field(owner: Client, field: str, value: str, told: str) -> None:
    for zone in ("", "porch"):
        answer = post(owner, zone=zone, **{field: value})
        page = answer.content.decode()
        assert answer.status_code == 422 and told in page
        assert value[:20] in page or "&lt;" in page or "\x00" in value, "what was entered can be corrected"
        CameraZone.objects.all().delete()
        assert post(owner).status_code == 302


def test_a_used_name_and_a_full_camera_are_refused_above_the_form(owner: Client, camera: Camera) -> None:
    post(owner)
    answer = post(owner)
    assert answer.status_code == 422 and "already has a zone “porch”" in answer.content.decode()
    CameraZone.objects.bulk_create(
        CameraZone(camera=camera, name=f"z{number}", points=[[0, 0], [1, 0], [1, 1]])
        for number in range(1, MAX_ZONES)
    )
    answer = post(owner, name="other")
    assert answer.status_code == 422 and "at most 32 zones" in answer.content.decode()


def test_only_the_role_configure_sees_the_page(owner: Client, camera: Camera, viewer: User) -> None:
    post(owner)
    assert PATH in owner.get("/cameras/door/").content.decode()
    for client in (signed_in(viewer), with_role("guard", camera, "control")):
        assert client.get(PATH).status_code == post(client, name="b").status_code == 403
        assert PATH not in client.get("/cameras/door/").content.decode()
    assert post(owner, zone="gone").status_code == 404


def test_points_as_text_keep_their_value() -> None:
    field = PointsField()
    points = [[0.12345, 0.00001], [1, 0], [0.5, 0.33333]]
    assert field.clean(field.prepare_value(points)) == points
    assert not field.has_changed(points, " 0.12345,1e-05  1,0\n0.5,0.33333 ")
    assert field.has_changed(points, "0.12345,1e-05 1,0 0.5,0.3")
    assert str(ZoneForm().fields["points"].widget.attrs["rows"]) == "2"

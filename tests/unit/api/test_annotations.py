"""Annotations in the API: permissions and time ranges. The files: tests/unit/recordings."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.api.times import to_text
from ninjacam.conf import get_settings
from ninjacam.core.annotations import encode_annotation_set
from ninjacam.core.packets import Codec
from ninjacam.models import Camera, CameraGrant, Segment
from tests.unit.conftest import signed_in
from tests.unit.recordings.recording_support import WALL_NS, Recorded, encoded

pytestmark = pytest.mark.django_db
S = 10**9


@pytest.fixture
def root(camera: Camera, stranger: User) -> Path:
    """Record 10 s of the camera `door`, which the user `stranger` may replay."""
    root = get_settings().recordings_dir
    recorded = Recorded(root)
    for packet in encoded(Codec.H264, 250):
        recorded.recorder.add(packet)
        seen = [{"type": "text", "points": [[0, 0]], "label": str(packet.sequence)}]
        line = encode_annotation_set("faces", packet.captured_ns, seen)
        recorded.recorder.annotate(packet._replace(codec=Codec.ANNOTATIONS, data=line))
    recorded.close()
    for segment in recorded.segments.values():
        Segment.objects.create(**{k: v for k, v in segment.as_dict().items() if k != "open"})
    CameraGrant.objects.create(user=stranger, camera=camera, role="replay")
    return root


def ask(client: Client, camera: str = "door", from_s: float = 0, to_s: float = 10) -> Any:
    span = {"start": to_text(WALL_NS + int(from_s * S)), "end": to_text(WALL_NS + int(to_s * S))}
    return client.get(f"/api/v1/annotations?{urlencode({'camera': camera, **span})}")


def test_annotations_of_a_span_are_returned_in_order(root: Path, stranger: User) -> None:
    answer = ask(signed_in(stranger), from_s=2, to_s=4)
    assert answer.status_code == 200
    told = json.loads(answer.content)
    assert told["camera"] == "door"
    assert (told["start"], told["end"]) == (to_text(WALL_NS + 2 * S), to_text(WALL_NS + 4 * S))
    assert [int(each["annotations"][0]["label"]) for each in told["frames"]] == list(range(50, 100))
    assert {each["view"] for each in told["frames"]} == {"faces"}


def test_a_span_without_annotations_returns_an_empty_list(root: Path, stranger: User) -> None:
    assert json.loads(ask(signed_in(stranger), from_s=100, to_s=200).content)["frames"] == []


def test_annotations_require_the_role_replay(root: Path, stranger: User, viewer: User, yard: Camera) -> None:
    assert ask(signed_in(viewer)).status_code == 403
    assert ask(signed_in(stranger), "yard").status_code == 404
    assert ask(signed_in(stranger), "none").status_code == 404


def test_annotations_of_a_deleted_camera_require_the_role_for_all_cameras(
    root: Path, admin_user: User, stranger: User
) -> None:
    Camera.objects.get(slug="door").delete()
    assert len(json.loads(ask(signed_in(admin_user)).content)["frames"]) == 250
    assert ask(signed_in(stranger)).status_code == 404


def test_a_response_does_not_claim_to_be_complete_for_annotations_not_written_yet(
    root: Path, stranger: User
) -> None:
    now_s = time.time() - WALL_NS / S
    asked = json.loads(ask(signed_in(stranger), from_s=now_s - 60, to_s=now_s + 60).content)
    late_s = (datetime.now(UTC) - datetime.fromisoformat(asked["end"])).total_seconds()
    assert 5 < late_s < 10
    asked = json.loads(ask(signed_in(stranger), from_s=now_s - 1, to_s=now_s).content)
    assert asked["end"] == asked["start"]


@pytest.mark.parametrize(("from_s", "to_s"), [(5, 5), (5, 4), (0, 3601)])
def test_a_span_that_is_empty_or_too_long_is_rejected(
    root: Path, stranger: User, from_s: float, to_s: float
) -> None:
    answer = ask(signed_in(stranger), from_s=from_s, to_s=to_s)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")

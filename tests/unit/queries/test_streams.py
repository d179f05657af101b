"""The stream that a request of live video or of a thumbnail gets."""

import json
import time
from pathlib import Path

import pytest

from ninjacam.core.errors import UnknownStreamError
from ninjacam.models import Camera, Stream
from ninjacam.queries.streams import get_stream_name

pytestmark = pytest.mark.django_db


@pytest.fixture
def door(camera: Camera, run_dir: Path) -> Camera:
    """A camera whose streams are 1920, 640 and 320 pixels wide."""
    camera.width_px = 1920
    camera.save()
    for name, width_px in (("sub", 640), ("tiny", 320)):
        Stream.objects.create(camera=camera, name=name, url=f"rtsp://10.0.0.5/{name}", width_px=width_px)
    report(run_dir, sub="idle", tiny="idle")
    return camera


def report(run_dir: Path, **states: str) -> None:
    """Write the states of the streams as the engine does."""
    streams = {name: {"state": state, "error": None} for name, state in states.items()}
    cameras = {"door": {"state": "live", "error": None, "streams": streams}}
    (run_dir / "status.json").write_text(json.dumps({"updated_ns": time.time_ns(), "cameras": cameras}))


def test_live_video_gets_the_smallest_stream_that_is_wide_enough(door: Camera) -> None:
    widths = (0, 300, 321, 641)
    assert [get_stream_name(door, width_px=width) for width in widths] == ["main", "tiny", "sub", "main"]


@pytest.mark.parametrize("state", ["reconnecting", "failed"])
def test_a_stream_that_cannot_be_connected_is_skipped(door: Camera, run_dir: Path, state: str) -> None:
    report(run_dir, sub="idle", tiny=state)
    assert get_stream_name(door, width_px=300) == "sub"


def test_a_thumbnail_connects_no_stream(door: Camera, run_dir: Path) -> None:
    assert get_stream_name(door, width_px=300, role="thumbnail") == "main"
    report(run_dir, sub="live", tiny="idle")
    assert get_stream_name(door, width_px=300, role="thumbnail") == "sub"


def test_each_role_has_its_own_override(door: Camera) -> None:
    door.live_stream, door.thumbnail_stream = "sub", "tiny"
    assert [get_stream_name(door, width_px=width) for width in (0, 300, 1920)] == ["sub"] * 3
    assert get_stream_name(door, role="thumbnail") == "tiny"
    assert get_stream_name(door, "main", width_px=300) == "main", "the request itself takes precedence"


def test_an_unknown_stream_is_an_error(door: Camera) -> None:
    with pytest.raises(UnknownStreamError):
        get_stream_name(door, "nope")

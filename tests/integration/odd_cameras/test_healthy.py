"""The control of the odd cameras: without an oddity, each codec arrives complete."""

import pytest

from tests.harness.odd_camera import OddCamera, OddHttpCamera
from tests.integration.odd_cameras.conftest import Watched


@pytest.mark.parametrize(
    "camera",
    [OddCamera("h264"), OddCamera("h265", codec="hevc"), OddCamera("mjpeg", codec="mjpeg"), OddHttpCamera()],
    ids=repr,
)
def test_a_camera_without_peculiarities_arrives_complete(camera: OddCamera, watched: Watched) -> None:
    watched(camera).assert_whole()

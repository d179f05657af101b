import pytest

from ninjacam.core.packets import Codec
from ninjacam.hub.request import StreamRequest
from ninjacam.problems import Problem
from ninjacam.viewers.frame_parameters import FrameParameters


def test_equal_parameters_become_one_shared_request() -> None:
    parameters = FrameParameters.parse({"view": "edges", "width": "700", "quality": "77", "fps": "4.6"})
    assert parameters.stream_request(80) == StreamRequest("", Codec.MJPEG, 800, 80, 5.0)
    assert parameters.view == "edges" and not parameters.is_unchanged


def test_without_parameters_the_request_is_for_the_cameras_own_images() -> None:
    parameters = FrameParameters.parse({"view": "raw", "sig": "x", "_": "1"})
    assert parameters.view == "" and parameters.is_unchanged
    assert parameters.stream_request(70) == StreamRequest("", Codec.MJPEG, 0, 70, 0.0)


@pytest.mark.parametrize(
    "query", [{"width": "1e3"}, {"fps": "inf"}, {"fps": "nan"}, {"quality": "-1"}, {"view": "v" * 101}]
)
def test_a_nonsensical_value_is_rejected_with_the_name_of_the_parameter(query: dict[str, str]) -> None:
    with pytest.raises(Problem) as caught:
        FrameParameters.parse(query)
    assert caught.value.status == 400 and next(iter(query)) in caught.value.detail

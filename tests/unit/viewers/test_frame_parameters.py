import pytest

from ninjacam.core.packets import Codec
from ninjacam.hub.request import StreamRequest
from ninjacam.viewers.frame_parameters import FrameParameters
from ninjacam.problems import Problem


def test_what_people_type_becomes_a_request_that_others_share() -> None:
    parameters = FrameParameters.parse({"view": "edges", "width": "700", "quality": "77", "fps": "4.6"})
    assert parameters.stream_request(80) == StreamRequest("edges", Codec.MJPEG, 800, 80, 5.0)
    assert not parameters.is_plain


def test_nothing_said_is_the_cameras_own_picture() -> None:
    parameters = FrameParameters.parse({"view": "raw", "sig": "x", "_": "1"})
    assert parameters.is_plain
    assert parameters.stream_request(70) == StreamRequest("", Codec.MJPEG, 0, 70, 0.0)


@pytest.mark.parametrize(
    "query", [{"width": "1e3"}, {"fps": "inf"}, {"fps": "nan"}, {"quality": "-1"}, {"view": "v" * 101}]
)
def test_nonsense_is_refused_with_the_parameters_name(query: dict[str, str]) -> None:
    with pytest.raises(Problem) as caught:
        FrameParameters.parse(query)
    assert caught.value.status == 400 and next(iter(query)) in caught.value.detail

import pytest
from django.core.exceptions import ValidationError

from ninjacam.core.streams import MAIN
from ninjacam.models import Camera, Stream
from tests.unit.conftest import PASSWORD


def stream(camera: Camera, url: str, username: str = "", password: str = "", name: str = "sub") -> Stream:
    made = Stream(camera=camera, name=name)
    made.set_source(url, username, password)
    made.save()
    return made


def login(found: Stream) -> tuple[str, str]:
    source = found.source()
    return source.username, source.password


def test_a_stream_at_the_same_address_uses_the_login_of_the_camera(camera: Camera) -> None:
    assert login(stream(camera, "rtsp://10.0.0.5/stream2")) == ("user-of-the-camera", PASSWORD)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.6/stream1",
        "rtsp://10.0.0.5:8554/stream1",
        "http://10.0.0.5/stream1",
        "rtsps://10.0.0.5/stream1",
        "rtsp://10.0.0.5.example/stream1",
    ],
)
def test_the_login_of_the_camera_is_used_for_no_other_address(camera: Camera, url: str) -> None:
    assert login(stream(camera, url)) == ("", "")


def test_the_login_is_not_used_once_the_address_of_the_camera_was_changed_behind_it(camera: Camera) -> None:
    sub = stream(camera, "rtsp://10.0.0.9/stream2")
    Camera.objects.filter(pk=camera.pk).update(url="rtsp://10.0.0.9/stream1")
    assert login(Stream.objects.get(pk=sub.pk)) == ("", "")


def test_a_login_of_its_own_comes_first_and_is_sealed(camera: Camera) -> None:
    sub = stream(camera, "rtsp://10.0.0.5/stream2", "sub-user", "sub-password")
    assert login(Stream.objects.get(pk=sub.pk)) == ("sub-user", "sub-password")
    assert "sub-password" not in str(Stream.objects.filter(pk=sub.pk).values().get())


def test_a_secret_in_the_query_does_not_displace_the_login_of_the_camera(camera: Camera) -> None:
    sub = stream(camera, "rtsp://10.0.0.5/x?token=hunter2")
    assert "hunter2" not in sub.url
    assert sub.source().url == "rtsp://10.0.0.5/x?token=hunter2"
    assert login(sub) == ("user-of-the-camera", PASSWORD)


def test_a_stream_with_an_error_leaves_the_specification_of_the_camera_usable(camera: Camera) -> None:
    sub = stream(camera, "rtsp://10.0.0.6/x", "u", "p")
    Stream.objects.filter(pk=sub.pk).update(url="rtsp://10.0.0.7/x")
    Camera.objects.filter(pk=camera.pk).update(record_stream="sub")
    spec = Camera.objects.get(pk=camera.pk).spec()
    assert spec.error is None and spec.streams[0].error is not None
    assert [facts.name for facts in spec.facts] == [MAIN]
    assert spec.record_stream == MAIN, "recording main is better than recording nothing"


def test_the_stream_to_record_is_in_the_specification(camera: Camera) -> None:
    stream(camera, "rtsp://10.0.0.5/stream2")
    Camera.objects.filter(pk=camera.pk).update(record_stream="sub")
    assert Camera.objects.get(pk=camera.pk).spec().record_stream == "sub"


def test_the_revision_of_a_stream_follows_the_login_it_uses(camera: Camera) -> None:
    stream(camera, "rtsp://10.0.0.5/stream2")
    before = camera.spec().streams[0].revision
    camera.set_source("rtsp://10.0.0.5/stream1", "user-of-the-camera", "changed")
    camera.save()
    assert Camera.objects.get(pk=camera.pk).spec().streams[0].revision != before


def test_a_new_address_forgets_what_was_seen(camera: Camera) -> None:
    camera.codec, camera.width_px = "h264", 1920
    camera.set_source(camera.url, "u", "p")
    assert camera.width_px == 1920
    camera.set_source("rtsp://10.0.0.5/stream9")
    assert (camera.codec, camera.width_px) == ("", 0)


@pytest.mark.parametrize("name", [MAIN, "", "Sub", "a.b", "../x", "x" * 31, "a\n"])
def test_a_name_that_cannot_be_part_of_a_socket_is_refused(camera: Camera, name: str) -> None:
    made = Stream(camera=camera, name=name)
    made.set_source("rtsp://10.0.0.5/x")
    with pytest.raises(ValidationError):
        made.full_clean()

import pytest

from ninjacam.core.errors import ConfigError
from ninjacam.core.redact import redact_url, split_credentials
from ninjacam.sources.urls import parse_url

SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://bob:hunter2@10.0.0.9/x",
        "rtsp://bob:a/hunter2@10.0.0.9/x",
        "rtsp://bob:12?hunter2@10.0.0.9/x",
        "rtsp://bob:12#hunter2@10.0.0.9/x",
        "rtsp://bob:it's'hunter2@10.0.0.9/x",
        "rtsp://10.0.0.9/x?channel=1&password=hunter2",
        "rtsp://10.0.0.9/x?password=it's'hunter2",
        "rtsp://10.0.0.9/x?pass%77ord=hunter2",
        "rtsp://10.0.0.9/x?token[]=hunter2",
        "rtsp://10.0.0.9/x?a=1#password=hunter2",
        "http://10.0.0.9/cgi?usr=bob&pw=hunter2",
        "http://10.0.0.9/cgi?u=bob&p=hunter2",
        "rtsp://10.0.0.9/user=admin_password=hunter2_channel=1_stream=0.sdp?real_stream",
        "rtsp://10.0.0.9/user=admin&password=hunter2&channel=1",
        "srt://10.0.0.9:9000?streamid=read:cam:bob:hunter2",
        "it failed: rtsp://bob:hunter2@10.0.0.9/x (again)",
    ],
)
def test_secrets_are_masked_wherever_cameras_put_them(url: str) -> None:
    assert SECRET not in redact_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://10.0.0.9:8554/Streaming/Channels/101?transportmode=unicast&profile=Profile_1",
        "rtsp://10.0.0.9/cam/realmonitor?channel=1&subtype=0",
        "http://[fd00::1]:8080/video",
        "file:clips/door.mp4",
        "v4l2:///dev/video0?format=mjpeg&size=1280x720&fps=25",
    ],
)
def test_what_is_no_secret_stays_readable(url: str) -> None:
    assert redact_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "file:film.mp4",
        "file:///films/film.mp4",
        "file:///films/a@b.mp4",
        "RTSP://10.0.0.9/x?",
        "rtsp://10.0.0.9/x#",
    ],
)
def test_a_url_without_credentials_is_left_as_it_was_written(url: str) -> None:
    assert split_credentials(url) == (url, "", "")


@pytest.mark.parametrize(
    "password",
    ["pa/ss", "a?b", "a#b", "a[b", "a]b", "a%b", "a@b", "a:b", "1/2", "/", "p@s/s", "[::1]/x", "50%ab"],
)
def test_a_password_may_hold_what_a_url_does_not_allow(password: str) -> None:
    url = f"rtsp://admin:{password}@192.168.1.20:554/stream1"
    assert split_credentials(url) == ("rtsp://192.168.1.20:554/stream1", "admin", password)


@pytest.mark.parametrize(
    ("url", "split"),
    [
        ("rtsp://cam/live@1", ("rtsp://cam/live@1", "", "")),
        ("rtsp://192.168.1.20:554/live@1", ("rtsp://192.168.1.20:554/live@1", "", "")),
        ("rtsp://u:p@192.168.1.20/live@1", ("rtsp://192.168.1.20/live@1", "u", "p")),
        ("rtsp://u:p@cam.lan/live@1", ("rtsp://cam.lan/live@1", "u", "p")),
        ("rtsp://u:p%40%2f@cam/x", ("rtsp://cam/x", "u", "p@/")),
        ("rtsp://u@cam", ("rtsp://cam", "u", "")),
        ("rtsp://u:p@[fd00::1]:554/x", ("rtsp://[fd00::1]:554/x", "u", "p")),
    ],
)
def test_what_is_clear_is_read_as_the_standard_says(url: str, split: tuple[str, str, str]) -> None:
    assert split_credentials(url) == split


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:12/34@cam/x",  # the host admin, port 12
        "rtsp://admin:p@ss/word@cam/x",  # the host ss
        "rtsp://john.doe:12/34@192.168.1.20/x",
        "rtsp://admin:a/b@c/d@e/f",
        "rtsp://admin:x@",
    ],
)
def test_no_part_of_a_password_is_taken_for_a_host(url: str) -> None:
    with pytest.raises(ConfigError, match="separately"):
        split_credentials(url)
    with pytest.raises(ConfigError):
        parse_url(url)

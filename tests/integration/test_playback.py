"""Recordings over HTTP: a real server, real files, and third-party players."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from ninjacam.recordings.segments import SegmentInfo
from ninjacam.testing import stamp
from tests.harness.chrome import CHROMIUM, chromium
from tests.harness.fair_clock import spell
from tests.harness.recordings import (
    FRAME_NS,
    NOON_NS,
    encode_stamped,
    encode_tone,
    read_stamps,
    write_file,
    write_files,
)
from tests.integration.live_harness import RawStream, Server, Site, prepare_site, running_server, wait_until

S_NS = 1_000_000_000
PER_FILE = 6
"""Seconds. Production uses a minute."""
FFMPEG = shutil.which("ffmpeg")


def text_of(wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(wall_ns // S_NS, UTC):%Y-%m-%dT%H:%M:%S}.{wall_ns % S_NS:09d}Z"


def at(seconds: float) -> str:
    return text_of(NOON_NS + round(seconds * S_NS))


def url(kind: str, start_s: float, end_s: float, **more: str) -> str:
    query = {"start": at(start_s), "end": at(end_s), **more}
    return f"/cam/rec/door/{kind}?" + "&".join(f"{name}={quote(value)}" for name, value in query.items())


def add_rows(site: Site, segments: list[SegmentInfo]) -> list[int]:
    code = (
        "import json\nfrom ninjacam.recordings import segments\n"
        f"rows = [segments.SegmentInfo(**each) for each in json.loads({json.dumps([asdict(s) for s in segments])!r})]\n"
        "Segment.objects.put(rows)\n"
        "print(json.dumps([Segment.objects.get(path=each.path).pk for each in rows]))"
    )
    return list(json.loads(site.django(code)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = prepare_site(tmp_path_factory.mktemp("playback"))
    site.django(
        "from django.contrib.auth import get_user_model\n"
        "users = get_user_model().objects\n"
        "door = Camera.objects.get(slug='door')\n"
        "for role in ('replay',):\n"
        "    CameraGrant.objects.create(camera=door, user=users.get(username='viewer'), role=role)\n"
    )
    return site


@pytest.fixture(scope="module")
def numbers(site: Site) -> list[int]:
    """Return ids of the rows: 30 s in files of 6 s, from NOON on."""
    root = site.directory / "recordings"
    made = write_files(root, encode_stamped(750), PER_FILE)
    return add_rows(site, [each.segment for each in made])


@pytest.fixture(scope="module")
def server(site: Site, numbers: list[int]) -> Iterator[Server]:
    with running_server(site, REAUTH_S=1) as server:
        yield server
    assert "Traceback" not in server.output and "without completing" not in server.output


@pytest.fixture
def headers(site: Site) -> dict[str, str]:
    return site.bearer("viewer")


ROUTES = {
    "hls": url("hls.m3u8", 0, 30),
    "clip": url("clip.mp4", 0, 30),
    "at": f"/cam/rec/door/at.jpg?time={at(3)}",
}


# --- permissions ---


@pytest.fixture(scope="module")
def watcher(site: Site) -> dict[str, str]:
    """Return headers of a user who may view but not replay."""
    token = site.django(
        "from django.contrib.auth import get_user_model\n"
        "from ninjacam.models.token import hash_token, new_token\n"
        "user = get_user_model().objects.create_user('watcher')\n"
        "CameraGrant.objects.create(camera=Camera.objects.get(slug='door'), user=user, role='view')\n"
        "prefix, token = new_token()\n"
        "ApiToken.objects.create(user=user, name='t', prefix=prefix, token_hash=hash_token(token), scopes=['*'])\n"
        "print(token, end='')"
    )
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("name", [*ROUTES, "segment"])
def test_each_route_requires_the_role_replay(
    site: Site, server: Server, numbers: list[int], watcher: dict[str, str], name: str
) -> None:
    path = ROUTES.get(name, f"/cam/rec/door/segment/{numbers[0]}.mp4")
    for method in ("GET", "HEAD"):
        assert server.get(path, {}, method).status == 401
        assert server.get(path, site.bearer("stranger"), method).status == 404
        assert server.get(path, watcher, method).status == 403
        assert server.get(path, site.bearer("viewer", "narrow"), method).status == 404
        assert server.get(path, site.bearer("viewer"), method).status == 200
        assert server.get(path, site.cookie("viewer"), method).status == 200
        assert server.get(path.replace("door", "nothing"), site.bearer("viewer"), method).status == 404
    answer = server.get(path, watcher)
    assert (answer.json()["code"], answer.headers["content-type"]) == (
        "forbidden",
        "application/problem+json",
    )
    assert server.get(path, site.bearer("viewer"), "POST").status == 405


def test_replays_are_audited_once_an_hour(
    site: Site, server: Server, numbers: list[int], headers: dict[str, str]
) -> None:
    def on_record(name: str) -> list[tuple[str, str]]:
        lines = [json.loads(line) for line in re.findall(r'^(\{"verb".*\})$', server.output, re.MULTILINE)]
        taken = [line for line in lines if line["verb"].startswith(("recording.", "export."))]
        return [(line["verb"], line["subject"]) for line in taken if line["by"].startswith(name)]

    site.django(
        "from django.contrib.auth import get_user_model\n"
        "user = get_user_model().objects.create_user('reader')\n"
        "for role in ('replay', 'export'):\n"
        "    CameraGrant.objects.create(camera=Camera.objects.get(slug='door'), user=user, role=role)\n"
    )
    made = site.django(
        "from django.contrib.auth import get_user_model\n"
        "from ninjacam.actions.tokens import create_token\n"
        "from ninjacam.auth import LocalOperator\n"
        "user = get_user_model().objects.get(username='reader')\n"
        "print(create_token(LocalOperator(), user, 't', ['*'])[1], end='')"
    )
    reader = {"Authorization": f"Bearer {made}"}
    assert server.get(ROUTES["hls"], reader).status == 200
    assert server.get(ROUTES["clip"], reader, "HEAD").status == 200
    assert not on_record("reader"), "a playlist and HEAD have no pictures"
    for path in (
        ROUTES["clip"],
        ROUTES["at"],
        *(f"/cam/rec/door/segment/{number}.mp4" for number in numbers),
        url("clip.mp4", 0, 6),
    ):
        assert server.get(path, {**reader, "Range": "bytes=0-99"}).status in (200, 206)
    # The range begins at noon, and a clip also reads the video immediately before it.
    assert 1 <= len(on_record("reader")) <= 2 and set(on_record("reader")) == {("recording.replay", "door")}
    for _ in range(3):
        assert server.get(url("clip.mp4", 0, 6, download="1"), reader).status == 200
    assert on_record("reader")[-1] == ("recording.export", "door")
    assert [verb for verb, _ in on_record("reader")].count("recording.export") == 1


def test_downloading_a_clip_requires_the_role_export(
    site: Site, server: Server, headers: dict[str, str]
) -> None:
    path = url("clip.mp4", 0, 6, download="1")
    assert server.get(path, headers).status == 403
    answer = server.get(path, site.bearer("admin"))
    assert answer.status == 200
    assert answer.headers["content-disposition"].startswith('attachment; filename="door-2026-')


def test_a_file_is_reachable_only_through_its_own_camera(
    site: Site, server: Server, numbers: list[int]
) -> None:
    admin = site.bearer("admin")
    assert server.get(f"/cam/rec/door/segment/{numbers[0]}.mp4", admin).status == 200
    assert server.get(f"/cam/rec/yard/segment/{numbers[0]}.mp4", admin).status == 404
    assert server.get("/cam/rec/door/segment/999999.mp4", admin).status == 404


def sign(site: Site, path: str, query: dict[str, str], role: str) -> str:
    return site.django(
        "from ninjacam import auth, signing\n"
        "from django.contrib.auth import get_user_model\n"
        "principal = auth.Principal(get_user_model().objects.get(username='viewer'), 'session')\n"
        "camera = Camera.objects.get(slug='door')\n"
        f"more = dict(path={path!r}, query={query!r}, role={role!r})\n"
        "link = auth.link_for(principal, camera, view='', lifetime_s=60, **more)\n"
        "print(signing.sign(link), end='')"
    )


def test_a_signed_playlist_leads_to_signed_files(site: Site, server: Server) -> None:
    query = {"start": at(0), "end": at(30)}
    signature = sign(site, "/cam/rec/door/hls.m3u8", query, "replay")
    answer = server.get(f"{ROUTES['hls']}&sig={signature}")
    assert answer.status == 200
    uris = {line for line in answer.body.decode().splitlines() if line.startswith("segment/")}
    assert len(uris) == 5 and all("sig=" in uri for uri in uris)
    for uri in uris:
        assert server.get(f"/cam/rec/door/{uri}").status == 200
        assert server.get(f"/cam/rec/door/{uri.partition('?')[0]}").status == 401
        assert server.get(f"/cam/rec/door/{uri.replace('shift=', 'shift=1')}").status == 401
    view_only = sign(site, "/cam/rec/door/hls.m3u8", query, "view")
    assert server.get(f"{ROUTES['hls']}&sig={view_only}").status == 403


def test_recordings_of_a_deleted_camera_require_the_role_for_all_cameras(
    site: Site, server: Server, watcher: dict[str, str]
) -> None:
    site.django(
        "from django.contrib.auth.models import Permission, User\n"
        "all_live = Permission.objects.get(codename='view_camera')\n"
        "User.objects.get(username='watcher').user_permissions.add(all_live)\n"
    )
    made = write_file(site.directory / "recordings", encode_stamped(25), slug="gone")
    add_rows(site, [made.segment])
    path = ROUTES["clip"].replace("door", "gone")
    assert server.get(path, site.bearer("admin")).status == 200
    assert server.get(path, site.bearer("viewer")).status == 404
    assert server.get(path, watcher).status == 404


# --- parameters ---


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("hls.m3u8", "bad_request"),
        (f"hls.m3u8?start={at(0)}&end=yesterday", "bad_request"),
        (f"hls.m3u8?start={at(0)}&end={at(90000)}", "span_too_long"),
        (f"clip.mp4?start={at(0)}", "bad_request"),
        (f"clip.mp4?start={at(0)}&end={at(3601)}", "span_too_long"),
        (f"clip.mp4?start={at(5)}&end={at(5)}", "bad_request"),
        ("at.jpg", "bad_request"),
        (f"at.jpg?time={at(0)}&width=3", "bad_request"),
        ("at.jpg?time=2026-09-21T12:00:00+02:00", "bad_request"),
    ],
)
def test_impossible_requests_get_a_readable_error(
    server: Server, headers: dict[str, str], path: str, code: str
) -> None:
    answer = server.get("/cam/rec/door/" + path, headers)
    assert (answer.status, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    "path",
    [url("hls.m3u8", 100, 200), url("clip.mp4", 100, 200), f"/cam/rec/door/at.jpg?time={at(100)}"],
)
def test_a_span_without_recordings_returns_404(server: Server, headers: dict[str, str], path: str) -> None:
    answer = server.get(path, headers)
    assert (answer.status, answer.json()["code"]) == (404, "no_recording")


def test_a_clip_across_a_change_of_size_reports_where_to_split_it(
    site: Site, server: Server, headers: dict[str, str]
) -> None:
    root = site.directory / "recordings"
    after = [
        packet._replace(captured_ns=packet.captured_ns - 300_123)
        for packet in encode_stamped(50, first=100_050, size=(320, 180))
    ]
    made = [write_file(root, encode_stamped(50, first=100_000)), write_file(root, after)]
    add_rows(site, [each.segment for each in made])
    answer = server.get(url("clip.mp4", 4000, 4004), headers)
    assert (answer.status, answer.json()["code"]) == (409, "format_changes")
    told = f"{at(4001.999699)[:-4]}Z"
    assert told in answer.json()["detail"]
    for start, end in ((at(4000), told), (told, at(4004))):
        assert server.get(f"/cam/rec/door/clip.mp4?start={start}&end={end}", headers).status == 200
    part = server.get(url("clip.mp4", 4000, 4004, partial="1"), headers)
    assert (part.status, part.headers["x-ninjacam-end"][:19]) == (200, at(4002)[:19])
    playlist = server.get(url("hls.m3u8", 4000, 4004), headers).body.decode()
    assert playlist.count("#EXT-X-DISCONTINUITY") == 1


# --- bytes ---


def test_byte_ranges_of_a_file_are_served(
    server: Server, headers: dict[str, str], numbers: list[int], site: Site
) -> None:
    path = f"/cam/rec/door/segment/{numbers[1]}.mp4"
    whole = server.get(path, headers)
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["content-type"] == "video/mp4"
    assert whole.body[4:8] == b"ftyp" and len(whole.body) == int(whole.headers["content-length"])
    some = server.get(path, {**headers, "Range": "bytes=100-299"})
    assert (some.status, some.body) == (206, whole.body[100:300])
    assert some.headers["content-range"] == f"bytes 100-299/{len(whole.body)}"
    tail = server.get(path, {**headers, "Range": "bytes=-7"})
    assert (tail.status, tail.body) == (206, whole.body[-7:])
    beyond = server.get(path, {**headers, "Range": f"bytes={len(whole.body)}-"})
    assert beyond.status == 416 and beyond.headers["content-range"] == f"bytes */{len(whole.body)}"
    etag = whole.headers["etag"]
    head = server.get(path, {**headers, "Range": "bytes=0-9"}, "HEAD")
    assert (head.status, head.body, head.headers["content-length"], head.headers["etag"]) == (
        206,
        b"",
        "10",
        etag,
    )
    assert server.get(path, {**headers, "Range": "bytes=0-9", "If-Range": etag}).status == 206
    assert server.get(path, {**headers, "Range": "bytes=0-9", "If-Range": '"old"'}).status == 200
    assert server.get(path, {**headers, "If-None-Match": etag}).status == 304


def test_any_range_of_a_clip_is_a_part_of_the_whole(server: Server, headers: dict[str, str]) -> None:
    path = url("clip.mp4", 3.5, 20)
    whole = server.get(path, headers)
    size = len(whole.body)
    assert whole.headers["x-ninjacam-start"].startswith(at(3)[:23])
    for first, last in [
        (0, 0),
        (0, 700),
        (900, 1300),
        (5000, 150_000),
        (size - 100_000, size - 1),
        (size // 2, size - 9),
    ]:
        some = server.get(path, {**headers, "Range": f"bytes={first}-{last}"})
        assert (some.status, len(some.body)) == (206, last - first + 1)
        assert some.body == whole.body[first : last + 1]
        assert some.headers["etag"] == whole.headers["etag"]


def test_a_clip_contains_exactly_the_frames_of_its_span(
    server: Server, headers: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(server.get(url("clip.mp4", 4.5, 19.3), headers).body)
    assert read_stamps(path) == list(range(100, 500))


def picture(body: bytes) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    image = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    return image.astype(np.uint8)


@pytest.mark.parametrize("number", [0, 30, 149, 150, 299, 749])
def test_a_still_shows_the_frame_at_its_time(server: Server, headers: dict[str, str], number: int) -> None:
    instant = text_of(NOON_NS + number * FRAME_NS + 1000)
    answer = server.get(f"/cam/rec/door/at.jpg?time={instant}", headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    assert stamp.read(picture(answer.body)) == number
    assert answer.headers["x-ninjacam-timestamp"][:23] == text_of(NOON_NS + number * FRAME_NS)[:23]
    answer = server.get(f"/cam/rec/door/at.jpg?time={instant}&nearest=key", headers)
    assert stamp.read(picture(answer.body)) == number // 25 * 25, "the key frame before it"
    assert server.get(f"/cam/rec/door/at.jpg?time={instant}&nearest=x", headers).status == 400


def test_many_still_requests_of_one_user_do_not_delay_another(
    site: Site, server: Server, headers: dict[str, str]
) -> None:
    site.django(
        "from django.contrib.auth import get_user_model\n"
        "CameraGrant.objects.create(camera=Camera.objects.get(slug='door'), role='replay',"
        " user=get_user_model().objects.get(username='stranger'))"
    )
    answered: list[tuple[str, int]] = []

    def ask(name: str, given: dict[str, str], number: int) -> None:
        path = f"/cam/rec/door/at.jpg?time={text_of(NOON_NS + number * FRAME_NS)}"
        answered.append((name, server.get(path, given).status))

    def flood(number: int) -> None:
        while not any(name == "one" for name, _ in answered):
            ask("many", headers, number)

    with ThreadPoolExecutor(40) as threads:
        for number in range(24, 24 + 30 * 20, 20):
            threads.submit(flood, number)
        wait_until(lambda: ("many", 429) in answered, what="the first is refused")
        threads.submit(ask, "one", site.bearer("stranger"), 100)
    assert ("one", 200) in answered, "the other user has a place of its own in the queue"
    assert ("many", 200) in answered
    site.django("CameraGrant.objects.filter(user__username='stranger').delete()")


def test_a_missing_file_is_a_gap(site: Site, server: Server, headers: dict[str, str]) -> None:
    made = write_files(site.directory / "recordings", encode_stamped(300, first=200_000), 3)
    numbers = add_rows(site, [each.segment for each in made])
    made[1].path.unlink()
    assert server.get(f"/cam/rec/door/segment/{numbers[1]}.mp4", headers).status == 404
    playlist = server.get(url("hls.m3u8", 8000, 8012), headers).body.decode()
    before, after = playlist.split("#EXT-X-DISCONTINUITY\n")
    assert f"segment/{numbers[0]}.mp4" in before and f"segment/{numbers[1]}.mp4" not in playlist
    assert f"segment/{numbers[2]}.mp4" in after and f"segment/{numbers[3]}.mp4" in after
    assert server.get(url("clip.mp4", 8000, 8012), headers).status == 200


def test_a_file_that_is_being_written_is_played_up_to_its_last_complete_fragment(
    site: Site, server: Server, headers: dict[str, str]
) -> None:
    first = (time.time_ns() - NOON_NS) // FRAME_NS - 250
    made = write_file(site.directory / "recordings", encode_stamped(200, first=first))
    with made.path.open("ab") as file:
        file.write(made.path.read_bytes()[900:1500])  # the next one, half written
    running = SegmentInfo(**{**asdict(made.segment), "open": True})
    (number,) = add_rows(site, [running])
    answer = server.get(f"/cam/rec/door/segment/{number}.mp4", headers)
    assert len(answer.body) == made.segment.size_bytes
    playlist = server.get(
        f"/cam/rec/door/hls.m3u8?start={text_of(made.segment.start_ns)}", headers
    ).body.decode()
    assert "ENDLIST" not in playlist and "EVENT" in playlist
    assert playlist.count("#EXTINF") == 3, "8 s: the last 2 s may still grow"
    first_ns, last_ns = made.segment.start_ns, made.segment.end_ns
    for start_ns in (last_ns - 1800 * S_NS, last_ns - 7200 * S_NS):
        query = f"start={text_of(start_ns)}&end={text_of(time.time_ns() - 4 * S_NS)}"
        ended = server.get(f"/cam/rec/door/hls.m3u8?{query}", headers).body.decode()
        lines = ended.splitlines()
        assert lines[-1] == "#EXT-X-ENDLIST" and any(
            line.startswith(f"segment/{number}.mp4") for line in lines
        )
        seconds = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF")]
        assert sum(seconds) == pytest.approx((last_ns - first_ns) / S_NS, abs=0.1)
        ranges = [line.partition(":")[2].split("@") for line in lines if line.startswith("#EXT-X-BYTERANGE")]
        assert max(int(size) + int(offset) for size, offset in ranges) == made.segment.size_bytes


# --- server lifecycle ---


@pytest.mark.parametrize(
    "kind", ["uvicorn", "gunicorn", "gunicorn-uvicorn"]
)  # granian cannot abort responses
def test_a_slow_download_holds_no_thread_or_connection_and_does_not_delay_the_exit(
    site: Site, headers: dict[str, str], kind: str
) -> None:
    made = write_file(site.directory / "recordings", encode_stamped(25, first=300_000))
    with made.path.open("ab") as file:
        file.truncate(64 << 20)
    (number,) = add_rows(site, [made.segment])
    with running_server(site, kind) as server:
        threads = len(server.probe()["threads"])
        streams = [
            RawStream(server.port, f"/cam/rec/door/segment/{number}.mp4", headers, receive_bytes=4096)
            for _ in range(12)
        ]
        for stream in streams:
            assert "200 OK" in stream.head()
        wait_until(lambda: server.probe()["viewers"] == 12)
        state = server.probe()
        assert state["database_connections"] == 0
        assert len(state["threads"]) <= threads + 6, state["threads"]
        streams.pop().socket.close()
        wait_until(lambda: server.probe()["viewers"] == 11)
        assert server.terminate() < 2.0
        for stream in streams:
            with closing(stream.socket), suppress(ConnectionResetError):
                assert len(stream.read_to_end()) < 32 << 20
        assert "Traceback" not in server.output and "without completing" not in server.output


def test_users_who_may_no_longer_replay_are_disconnected(
    site: Site, server: Server, numbers: list[int]
) -> None:
    made = write_file(site.directory / "recordings", encode_stamped(25, first=310_000))
    with made.path.open("ab") as file:
        file.truncate(64 << 20)
    (number,) = add_rows(site, [made.segment])
    grant = "CameraGrant.objects.filter(user__username='viewer', role='replay')"
    path = f"/cam/rec/door/segment/{number}.mp4"
    with RawStream(server.port, path, site.bearer("viewer"), receive_bytes=4096) as stream:
        stream.head()
        wait_until(lambda: server.probe()["viewers"] == 1)
        site.django(f"{grant}.update(role='control')")
        try:
            wait_until(lambda: server.probe()["viewers"] == 0, what="the download is cut")
        finally:
            site.django(
                "CameraGrant.objects.filter(user__username='viewer', role='control').update(role='replay')"
            )


def test_users_who_may_no_longer_export_are_disconnected_although_they_may_replay(
    site: Site, server: Server
) -> None:
    large = [p._replace(data=p.data + b"\x80" * (1 << 20)) for p in encode_stamped(25, first=320_000)]
    add_rows(site, [write_file(site.directory / "recordings", large).segment])
    site.django(
        "from django.contrib.auth import get_user_model\n"
        "viewer = get_user_model().objects.get(username='viewer')\n"
        "CameraGrant.objects.create(camera=Camera.objects.get(slug='door'), user=viewer, role='export')"
    )
    path = url("clip.mp4", 12_800, 12_801, download="1")
    with RawStream(server.port, path, site.bearer("viewer"), receive_bytes=4096) as stream:
        assert "200 OK" in stream.head()
        wait_until(lambda: server.probe()["viewers"] == 1)
        site.django("CameraGrant.objects.filter(user__username='viewer', role='export').delete()")
        wait_until(lambda: server.probe()["viewers"] == 0, what="the download is cut")


def test_users_who_may_no_longer_replay_a_deleted_camera_are_disconnected(site: Site, server: Server) -> None:
    token = site.django(
        "from django.contrib.auth.models import Permission, User\n"
        "from ninjacam.actions.tokens import create_token\n"
        "from ninjacam.auth import LocalOperator\n"
        "guard = User.objects.create_user('guard')\n"
        "guard.user_permissions.add(Permission.objects.get(codename='replay_camera'))\n"
        "print(create_token(LocalOperator(), guard, 't', ['*'])[1], end='')"
    )
    made = write_file(site.directory / "recordings", encode_stamped(25), slug="gone-too")
    with made.path.open("ab") as file:
        file.truncate(64 << 20)
    (number,) = add_rows(site, [made.segment])
    path = f"/cam/rec/gone-too/segment/{number}.mp4"
    with RawStream(server.port, path, {"Authorization": f"Bearer {token}"}, receive_bytes=4096) as stream:
        assert "200 OK" in stream.head()
        wait_until(lambda: server.probe()["viewers"] == 1)
        site.django(
            "from django.contrib.auth.models import User\n"
            "User.objects.filter(username='guard').update(is_active=False)"
        )
        wait_until(lambda: server.probe()["viewers"] == 0, what="the download is cut")


# --- players ---


@pytest.mark.ffmpeg
@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("kind", ["hls.m3u8", "clip.mp4"])
def test_ffmpeg_plays_the_playlist_without_a_warning(
    server: Server, headers: dict[str, str], kind: str
) -> None:
    address = f"http://127.0.0.1:{server.port}{url(kind, 0, 30)}"
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-headers", f"Authorization: {headers['Authorization']}\r\n", "-i", address,
         "-f", "null", "-"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert read_stamps(address, headers=f"Authorization: {headers['Authorization']}\r\n") == list(range(750))


@pytest.mark.ffmpeg
@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
def test_ffmpeg_plays_a_clip_with_sound_without_a_warning(
    site: Site, server: Server, headers: dict[str, str], tmp_path: Path
) -> None:
    packets, tone = encode_stamped(300), encode_tone(12)
    root = site.directory / "recordings"
    made = [
        write_file(root, packets[:150], tone=tone[:300], slug="yard"),
        write_file(root, packets[150:], tone=tone[300:], slug="yard"),
    ]
    add_rows(site, [each.segment for each in made])
    path = tmp_path / "clip.mp4"
    path.write_bytes(server.get(url("clip.mp4", 1, 11).replace("door", "yard"), site.bearer("admin")).body)
    for arguments in (["-f", "null", "-"], ["-c", "copy", str(tmp_path / "copy.mp4")]):
        done = subprocess.run(
            ["ffmpeg", "-v", "warning", "-i", str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
    shown = subprocess.run(
        ["ffprobe", "-v", "warning", "-show_entries", "format=duration:stream=codec_name", "-of", "json", str(path)],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    found = json.loads(shown.stdout)
    assert shown.stderr == "" and [each["codec_name"] for each in found["streams"]] == ["h264", "aac"]
    assert float(found["format"]["duration"]) == pytest.approx(10.0, abs=0.2)


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_chromium_plays_and_seeks_a_clip(site: Site, server: Server) -> None:
    with chromium() as browser, browser.tab() as tab:
        page = f"http://localhost:{server.port}/"
        name, _, value = site.users["viewer"]["cookie"].partition("=")
        tab.set_cookie(name, value, page)
        tab.navigate(page)
        tab.js(
            "window.video = document.createElement('video'); video.muted = true; window.failures = [];"
            "video.onerror = () => failures.push(video.error.message);"
            f"video.src = {url('clip.mp4', 0, 30)!r}; document.body.append(video); video.play(); true"
        )
        tab.until("video.getVideoPlaybackQuality().totalVideoFrames >= 20")
        assert tab.js("Math.round(video.duration)") == 30
        with spell() as passed:
            tab.js(
                "window.sought = 0; video.onseeked = () => (sought = performance.now() - begun);"
                "window.begun = performance.now(); video.currentTime = 25; true"
            )
            tab.until("sought")
        assert tab.js("sought") < 1000 * passed.slowdown
        tab.until("video.currentTime > 25.5")
        assert tab.js("failures") == []


@pytest.fixture(scope="module")
def hls_js(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the source of hls.js, from the package registry."""
    directory = tmp_path_factory.mktemp("npm")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    command = [npm, "install", "--prefix", str(directory), "--no-audit", "--no-fund", "--silent", "hls.js@1"]
    try:
        subprocess.run(command, capture_output=True, timeout=60, check=True, cwd=directory)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("hls.js cannot be fetched here")
    return (directory / "node_modules/hls.js/dist/hls.min.js").read_text()


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_hls_js_plays_across_files_and_gaps_and_seeks(site: Site, server: Server, hls_js: str) -> None:
    root = site.directory / "recordings"
    made = [
        *write_files(root, encode_stamped(150, first=400_000), 3),
        write_file(root, encode_stamped(100, first=401_000)),
        write_file(root, encode_stamped(100, first=401_100, size=(320, 180))),
    ]
    add_rows(site, [each.segment for each in made])
    playlist = url("hls.m3u8", 16_000, 16_100)
    with chromium() as browser, browser.tab() as tab:
        page = f"http://localhost:{server.port}/"
        name, _, value = site.users["viewer"]["cookie"].partition("=")
        tab.set_cookie(name, value, page)
        tab.navigate(page)
        tab.js(f"(0, eval)({json.dumps(hls_js)}); true")
        tab.js(
            "window.failures = []; window.video = document.createElement('video'); video.muted = true;"
            "document.body.append(video); window.hls = new Hls();"
            # If a browser cannot decode at four times the speed on this machine, the playlist is not the cause.
            "hls.on(Hls.Events.ERROR, (_, data) => data.details === 'bufferStalledError' && !data.fatal"
            " || failures.push(`${data.details}: ${data.error}`));"
            f"hls.loadSource({playlist!r}); hls.attachMedia(video); video.playbackRate = 4; video.play();"
            "video.onended = () => (window.ended = true); true"
        )
        tab.until("window.ended", timeout_s=20)
        assert tab.js("failures") == []
        assert tab.js("video.videoWidth") == 320
        assert abs(tab.js("video.duration") - 14) < 0.2
        tab.js("window.ended = false; video.currentTime = 2.5; video.play(); true")
        tab.until("video.videoWidth === 640 && video.currentTime > 3")
        assert tab.js("hls.playingDate.toISOString()").startswith(at(16_003)[:18])
        assert tab.js("failures") == []

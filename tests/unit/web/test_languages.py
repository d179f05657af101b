"""The pages and the API in Korean, and the choice of the language."""

import json
import re
import time
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation

from ninjacam.core.errors import ProtocolError, SourceTimeoutError
from ninjacam.core.ready_made import READY_MADE
from ninjacam.core.texts import origin_of, read_text, sentence
from ninjacam.devices.messages import error_of
from ninjacam.engine.bitrates import BitrateChange
from ninjacam.engine.findings import CHECKS, Figures, FindingKeeper
from ninjacam.languages import language_of, translate, translate_error, translate_item
from ninjacam.models import Camera, CameraZone, PublishKey, ValueSeries
from ninjacam.testing.clock import FakeClock
from tests.unit.conftest import signed_in
from tools.translations import CATALOGUES, PACKAGE, PLACEHOLDER, read_messages

KOREAN = {"Accept-Language": "ko-KR,ko;q=0.9,en;q=0.8"}
HANGUL = re.compile("[\uac00-\ud7a3]")
MIN_CHARS = 13
"""Shorter texts may be parts of names and code."""
PAGES = [
    "/",
    "/account/",
    "/add-camera/",
    "/cameras/door/",
    "/cameras/door/delete/",
    "/cameras/door/edit/",
    "/cameras/door/options/motion/",
    "/cameras/door/values/",
    "/cameras/door/zones/",
    "/cameras/gone/",
    "/cameras/phone/",
    "/cameras/phone/publish-keys/",
    "/discover/",
    "/publish/forged:link/",
    "/replay/?camera=door",
    "/admin/ninjacam/camera/",
    "/admin/ninjacam/camera/add/",
    "/admin/ninjacam/profile/add/",
    "/admin/ninjacam/rule/add/",
    "/admin/ninjacam/webhook/add/",
]
UNREACHABLE = SourceTimeoutError(
    sentence(
        "%(host)s does not answer on port %(port)s: check the address and the network.",
        host="10.0.0.5",
        port=554,
    )
)


def all_findings() -> list[dict[str, Any]]:
    """Return each finding that the engine can report."""
    report: dict[str, Any] = {
        "state": "live", "packet_loss": 0.2, "jitter_s": 0.5, "mean_fps": 5.0, "declared_fps": 25.0,
        "key_interval_s": 12.0, "clock_offset_s": -100_000.0, "codec": "H.264",
    }  # fmt: skip
    scene = {"software_reason": "h264_cuvid", "brightest": 200.0, "detail": 0.1, "still_s": 75.0}
    clock = FakeClock()
    keeper = FindingKeeper(clock=clock)
    cameras = {
        "one": Figures(report, scene, BitrateChange(1, 9)),
        "two": Figures(
            {"state": "live", "clock_offset_s": 200_000.0}, {"brightest": 1.0}, BitrateChange(9, 1)
        ),
    }
    keeper.observe(cameras)
    clock.advance(600)
    found = [each for findings in keeper.observe(cameras).values() for each in findings]
    assert {each["code"] for each in found} == {check.code for check in CHECKS}
    return found


@pytest.fixture
def admin(run_dir: Path, camera: Camera, admin_user: User, monkeypatch: pytest.MonkeyPatch) -> Client:
    """The client of an administrator of cameras that have everything that the pages display."""
    phone = Camera(slug="phone", name="Phone", processors=list(READY_MADE))
    phone.set_source("push:")
    phone.save()
    PublishKey.create(phone)
    camera.onvif_url = "http://10.0.0.5/onvif/device_service"
    camera.save()
    CameraZone.objects.create(camera=camera, name="lawn", points=[[0, 0], [1, 0], [1, 1]])
    ValueSeries.objects.create(camera=camera, processor="motion", name="area")
    option = {"type": "number", "description": "Smallest area that moves, in percent of the image."}
    motion = {
        "name": "motion", "module": "ninjacam.processors.motion", "cameras": ["*"],
        "options": {"type": "object", "properties": {"min_area": option}},
        "description": "Something moves. In zones, if the camera has any; never in masks.",
    }  # fmt: skip
    door = {
        "state": "reconnecting",
        "error": UNREACHABLE.as_dict(),
        "notices": [{"code": "no_media", "message": "The camera is connected, but has sent no video yet."}],
        "findings": all_findings(),
        "talk": {"state": "no", "reason": "The camera takes audio by UDP only, which is not supported."},
    }
    monkeypatch.setattr("ninjacam.queries.status.STALE_AFTER_S", 3600.0)
    status = {"updated_ns": time.time_ns(), "cameras": {"door": door}, "processors": [motion]}
    (run_dir / "status.json").write_text(json.dumps(status))
    return signed_in(admin_user)


def english_texts() -> list[str]:
    """Return the texts of the catalogue, and the parts of those with placeholders."""
    [path] = PACKAGE.glob(CATALOGUES)
    texts = {
        part.strip()
        for message in read_messages(path.read_text("utf-8"))
        for text in (message.text, message.plural)
        for part in PLACEHOLDER.split(text)
    }
    return sorted(text for text in texts if len(text) >= MIN_CHARS and " " in text)


def page_of(client: Client, path: str, **headers: str) -> str:
    return unescape(client.get(path, headers=headers).content.decode())


@pytest.mark.parametrize("path", PAGES)
def test_a_page_in_korean_contains_no_english(admin: Client, path: str) -> None:
    page = page_of(admin, path, **KOREAN)
    assert '<html lang="ko"' in page and HANGUL.search(page)
    page = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), page)
    assert not [text for text in english_texts() if text in page]


def test_the_page_of_a_camera_describes_its_condition_in_korean(admin: Client) -> None:
    page = page_of(admin, "/cameras/door/", **KOREAN)
    assert "10.0.0.5 호스트가 554번 포트에서 응답하지 않습니다." in page
    assert "카메라가 연결되었지만 아직 영상을 보내지 않았습니다." in page
    assert "카메라의 시계가 27시간 47분 느립니다.</strong> 카메라에서 NTP를 켜고" in page
    first = all_findings()[0]
    with translation.override("ko"):
        pill = f'title="{translate_item(first)}">{translate(first["label"])}</span>'
    assert HANGUL.search(pill) and pill in page_of(admin, "/", **KOREAN)


def test_the_login_page_is_in_the_language_of_the_browser(db: None) -> None:
    page = page_of(Client(), "/login/", **KOREAN)
    assert '<html lang="ko"' in page and ">로그인</button>" in page and "사용자 이름" in page
    assert '<html lang="en"' in page_of(Client(), "/login/", **{"Accept-Language": "fr"})
    assert '<html lang="en"' in page_of(Client(), "/login/")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_in_english_contains_no_korean(admin: Client, path: str) -> None:
    page = page_of(admin, path).replace("한국어", "")  # The name of the language, on the account's page.
    assert '<html lang="en' in page and not HANGUL.search(page)


def test_a_user_chooses_the_language(admin: Client) -> None:
    assert '<option value="ko" lang="ko">한국어</option>' in page_of(admin, "/account/")
    answer = admin.post("/language/", {"language": "ko", "next": "/account/"})
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert answer.cookies["ninjacam_language"]["max-age"] > 86_400
    page = page_of(admin, "/account/", **{"Accept-Language": "en"})
    assert '<html lang="ko"' in page and '<option value="ko" lang="ko" selected>' in page
    admin.post("/language/", {"language": "en", "next": "/account/"})
    assert '<html lang="en"' in page_of(admin, "/", **KOREAN)


def test_an_unknown_language_and_a_foreign_address_are_ignored(admin: Client) -> None:
    answer = admin.post("/language/", {"language": "xx", "next": "https://elsewhere.example/"})
    assert "elsewhere" not in answer["Location"] and "ninjacam_language" not in answer.cookies


def test_a_project_with_one_language_offers_no_choice(admin: Client, settings: Any) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    assert 'name="language"' not in page_of(admin, "/account/")
    settings.LANGUAGES = [("en-us", "English"), ("ko", "Korean")]
    assert 'name="language"' in page_of(admin, "/account/")
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "locale" not in name]
    assert 'name="language"' not in page_of(admin, "/account/")


def test_the_api_is_english_unless_the_request_asks_otherwise(admin: Client) -> None:
    assert admin.get("/api/v1/cameras/gone").json()["detail"] == "No camera “gone”."
    answer = admin.get("/api/v1/cameras/gone", headers=KOREAN).json()
    assert (answer["detail"], answer["title"], answer["code"]) == (
        "“gone” 카메라가 없습니다.",
        "Not Found",
        "not_found",
    )
    english, korean = (admin.get("/api/v1/cameras/door", headers=headers).json() for headers in ({}, KOREAN))
    assert english["error"]["message"] == UNREACHABLE.message
    assert korean["error"]["message"] == (
        "10.0.0.5 호스트가 554번 포트에서 응답하지 않습니다. 주소와 네트워크를 확인하세요."
    )
    messages = [each["message"] for each in korean["health"]["findings"]]
    assert "카메라의 시계가 27시간 47분 느립니다." in messages
    assert "카메라의 시계가 2일 빠릅니다." in messages
    assert "The camera's clock is 27 h 47 min behind." in json.dumps(english["health"])
    assert korean["health"]["notices"][0]["message"] == "카메라가 연결되었지만 아직 영상을 보내지 않았습니다."
    assert korean["talk"]["reason"].startswith("카메라가 UDP로만")


def test_errors_of_forms_are_translated(admin: Client) -> None:
    entered = {
        "slug": "new",
        "url": "gopher://192.0.2.1/",
        "record": "schedule",
        "record_schedule": "someday",
    }
    page = unescape(admin.post("/add-camera/", entered, headers=KOREAN).content.decode())
    assert "'gopher' URL은 지원되지 않습니다." in page and "“someday”에 시간이 없습니다." in page


def test_the_player_is_translated(admin: Client) -> None:
    page = admin.get("/", headers=KOREAN).content.decode()
    script = re.search(r'id="ninjacam-strings"[^>]*>(.*?)</script>', page)
    assert script and json.loads(script[1])["connecting"] == "연결 중 …"


# --- texts of the engine and its processes ---


def test_a_text_keeps_its_template_on_its_way_through_processes() -> None:
    sent = json.loads(json.dumps(UNREACHABLE.as_dict()))
    received = error_of(sent)
    assert received.as_dict() == UNREACHABLE.as_dict()
    assert received.message == UNREACHABLE.message == str(UNREACHABLE)
    with translation.override("ko"):
        assert translate_error(received).startswith("10.0.0.5 호스트가")
    with translation.override("en"):
        assert translate_error(received) == UNREACHABLE.message


def test_a_text_within_a_text_is_translated() -> None:
    text = sentence("The camera's clock is %(duration)s ahead.", duration=sentence("%(s)s s", s=45))
    assert text == "The camera's clock is 45 s ahead."
    received = read_text(str(text), json.loads(json.dumps(origin_of(text))))
    with translation.override("ko"):
        assert translate(text) == translate(received) == "카메라의 시계가 45초 빠릅니다."


@pytest.mark.parametrize(
    "item",
    [
        {"template": "%(x)1000000000d", "values": {"x": 1}},
        {"template": "%(x)s s", "values": [1]},
        {"template": 5, "values": {}},
        {"template": "%(s)s s", "values": {"x": 1}},
        {"template": "%(s)s s"},
        {},
    ],
)
def test_a_wrong_origin_is_ignored(item: dict[str, Any]) -> None:
    with translation.override("ko"):
        assert translate_item({"message": "It is so.", **item}) == "It is so."


def test_an_error_without_a_translation_follows_the_sentence_about_its_consequences() -> None:
    with translation.override("ko"):
        assert translate_error(ProtocolError("Odd bytes.")) == (
            "카메라가 읽을 수 없는 데이터를 보냅니다. (Odd bytes.)"
        )


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ([(b"accept-language", b"ko,en;q=0.5")], "ko"),
        ([(b"accept-language", b"fr")], "en"),
        ([(b"accept-language", b"ko"), (b"cookie", b"a=b; ninjacam_language=en")], "en"),
        ([(b"cookie", b"ninjacam_language=../ko")], "en"),
        ([(b"accept-language", b"\xff\xfe"), (b"cookie", b"\xff")], "en"),
        ([], "en"),
    ],
)
def test_a_stream_or_websocket_uses_the_language_of_its_request(
    headers: list[tuple[bytes, bytes]], language: str, settings: Any
) -> None:
    assert language_of(headers) == language
    settings.MIDDLEWARE = []
    assert language_of(headers) == "en"

"""docs/websocket.md, compared with the code that it describes."""

import re
import struct
from pathlib import Path

import pytest

import ninjacam
from ninjacam.core.packets import CameraState
from ninjacam.live import websocket
from ninjacam.live.subscriptions import SubscribeRequest
from ninjacam.outputs.frames import HEADER, VERSION

PAGE = (Path(__file__).parents[3] / "docs/websocket.md").read_text()
SOURCE = Path(ninjacam.__file__).parent / "live"
_FORMATS = {"u8": "B", "u16": "H", "u32": "I", "i64": "q"}


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_each_message_of_a_client_is_documented() -> None:
    handled = set(re.findall(r'op == "(\w+)"', (SOURCE / "websocket.py").read_text()))
    assert handled == set(re.findall(r'^\| `\{"op": "(\w+)"\}`', section("What you send"), re.MULTILINE))


def test_each_message_of_the_server_is_documented() -> None:
    files = ("websocket.py", "subscriptions.py", "encodings.py", "ptz.py")
    sent = {
        name
        for file in files
        for name in re.findall(r'op="(\w+)"|"op":"(\w+)"', (SOURCE / file).read_text())
        for name in name
        if name
    }
    assert sent == set(re.findall(r"^\| `(\w+)` \|", section("What you receive"), re.MULTILINE))


def test_each_field_of_a_subscription_is_documented() -> None:
    (row,) = re.findall(r'^\| `\{"op": "subscribe"\}` \|(.*)$', PAGE, re.MULTILINE)
    source = (SOURCE / "subscriptions.py").read_text()
    read = set(re.findall(r'message\.get\("(\w+)"', source))
    assert read >= {"id", "camera", "view", "format", "codecs", "stream", "width"}
    assert sorted(name for name in read if f"`{name}`" not in row) == []
    message = {"id": 1, "camera": "door", "format": "annexb", "codecs": ["h264", "hevc"]}
    assert SubscribeRequest.parse(message).camera == "door"


def test_each_state_is_documented() -> None:
    (row,) = re.findall(r"^\| `state` \|(.*)$", PAGE, re.MULTILINE)
    assert sorted(state for state in CameraState if f"`{state}`" not in row) == []


def test_the_header_of_a_frame_has_the_documented_layout() -> None:
    rows = re.findall(r"^\| (\d+) \| ([ui]\d+) \| (.*) \|$", section("Frames"), re.MULTILINE)
    layout = "<"
    for offset, kind, _ in rows:
        assert struct.calcsize(layout) == int(offset)
        layout += _FORMATS[kind]
    assert layout == HEADER.format
    assert f"a header of {HEADER.size} bytes" in PAGE
    assert rows[0][2] == f"version, {VERSION}"


def test_limits_are_documented() -> None:
    text = section("What you send")
    for number in (
        websocket.MAX_SUBSCRIPTIONS,
        websocket.MAX_SUBSCRIPTIONS * 4,
        websocket.MESSAGES_PER_S,
        websocket.MESSAGES_BURST,
        websocket.MAX_MESSAGE_CHARS >> 10,
    ):
        assert re.search(rf"\b{number:g}\b", text), number


@pytest.mark.parametrize(
    "name",
    ["GOING_AWAY", "POLICY", "TOO_BIG", "TRY_LATER", "NOT_AUTHENTICATED", "REFUSED", "TOO_SLOW"],
)
def test_each_close_code_is_documented(name: str) -> None:
    assert re.search(rf"^\|.*\b{getattr(websocket, name)}\b.*\|", section("Close codes"), re.MULTILINE)

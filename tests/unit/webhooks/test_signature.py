import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ninjacam.webhooks.signature import sign

SECRET = "whsec_0123456789abcdef"
BODY = b'{"id":"1"}'
NOW_S = 1_800_000_000


def documented() -> Any:
    """`verify_signature` as docs/webhooks.md has it."""
    text = (Path(__file__).parents[3] / "docs/webhooks.md").read_text(encoding="utf-8")
    block = next(
        each for each in re.findall(r"```python\n(.*?)```", text, re.S) if "def verify_signature" in each
    )
    namespace: dict[str, Any] = {}
    exec(compile(textwrap.dedent(block), "webhooks.md", "exec"), namespace)
    return namespace["verify_signature"]


def test_the_documented_receiver_accepts_our_signature() -> None:
    assert documented()(BODY, sign(BODY, SECRET, NOW_S), SECRET, now_s=NOW_S + 60)


@pytest.mark.parametrize(
    ("body", "header", "secret", "now_s"),
    [
        (b'{"id":"2"}', sign(BODY, SECRET, NOW_S), SECRET, NOW_S),
        (BODY, sign(BODY, SECRET, NOW_S), "whsec_another", NOW_S),
        (BODY, sign(BODY, SECRET, NOW_S), SECRET, NOW_S + 301),
        (BODY, sign(BODY, SECRET, NOW_S), SECRET, NOW_S - 301),
        (BODY, sign(BODY, SECRET, NOW_S).replace(str(NOW_S), str(NOW_S + 1)), SECRET, NOW_S),
        (BODY, "", SECRET, NOW_S),
        (BODY, "t=x,v1=", SECRET, NOW_S),
        (BODY, "v1", SECRET, NOW_S),
        (BODY, f"t={NOW_S},v1=ä", SECRET, NOW_S),
    ],
)
def test_the_documented_receiver_rejects_others(body: bytes, header: str, secret: str, now_s: int) -> None:
    assert not documented()(body, header, secret, now_s=now_s)


def test_the_signature_of_a_known_request() -> None:
    assert sign(b"{}", "secret", 1) == (
        "t=1,v1=1122767b193110cfec322b6f199b599edbf608ed087f2d27afb0b97d99523908"
    )

"""Snapshots and rules in the product as users start it: a real camera, recorder and jobs process."""

import email
import email.policy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.mail_server import mail_server
from tests.harness.processes import wait_until
from tests.harness.server import Product

CODE = """
from ninjacam import Box, events, processor

@processor(when="always", fps=1)
def sky(frame):
    if frame.number:
        box = Box(0.3 * frame.width, 0.05 * frame.height, 0.6 * frame.width, 0.09 * frame.height)
        key = f"sky-{frame.camera}"
        events.begin(frame.camera, "sky", key=key, sighting=events.Sighting.of(box, frame))
    return []
"""


def test_an_event_gets_its_snapshot_is_protected_and_sent(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("data")
    data.chmod(0o700)
    (data / "cameras.py").write_text(CODE)
    (data / "cameras.py").chmod(0o600)
    with (
        FakeCamera() as camera,
        mail_server() as mailbox,
        Product(
            data,
            environment={
                "NINJACAM_EMAIL": f"smtp+plain://127.0.0.1:{mailbox.port}",
                "NINJACAM_EMAIL_FROM": "cameras@example.org",
            },
        ) as product,
    ):
        product.add_camera("door", camera.url(), "--record", "events")
        product.cli("createuser", "owner", "--admin", "--generate", "--email", "owner@example.org")

        def call(method: str, path: str, **body: Any) -> Any:
            answer = product.client.request(method, f"/api/v1/{path}", json_body=body or None)
            assert answer.status in (200, 201), answer.text
            return answer.json()

        call("POST", "rules", name="Keep", protect=True, notify=True, kinds=["visit"])
        wait_until(lambda: call("GET", "cameras/door")["state"] == "live", 30, "video", processes=[product])
        event = call("POST", "events", camera="door", kind="visit")["id"]

        def is_complete() -> bool:
            shown = call("GET", f"events/{event}")
            return bool(shown["snapshot_at"] and shown["protected"])

        wait_until(is_complete, 60, "the snapshot and the protection", processes=[product])
        image = product.client.request("GET", f"/api/v1/events/{event}/snapshot.jpg")
        assert image.status == 200 and image.body.startswith(b"\xff\xd8")
        start, end = (f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}" for days in (-1, 1))

        def found(color: str) -> list[str]:
            return [
                each["kind"] for each in call("GET", f"events?start={start}&end={end}&color={color}")["items"]
            ]

        wait_until(lambda: found("blue") == ["sky"], 60, "the color of the sky", processes=[product])
        assert found("red") == []

        wait_until(lambda: mailbox.messages, 60, "the e-mail", processes=[product])
        message = email.message_from_string(mailbox.messages[0], policy=email.policy.default)
        assert (message["From"], message["Subject"]) == ("cameras@example.org", "[door] visit")
        (attached,) = message.iter_attachments()
        assert attached.get_content().startswith(b"\xff\xd8")
        assert "owner@example.org" not in mailbox.messages[0]

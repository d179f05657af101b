"""docs/tutorial.md, followed word by word with another address, port and directory, on a real video of people."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness.http import HttpClient
from tests.harness.mail_server import mail_server
from tests.harness.newcomer import Newcomer
from tests.harness.processes import ROOT, Process, wait_until
from tests.harness.readme import blocks

PAGE = "docs/tutorial.md"
CLIP = ROOT.parent / "shared/media/one-by-one-person-detection.mp4"
WEIGHTS = ROOT.parent / "shared/models/yolox_nano.onnx"


def write_files(section: str, root: Path, newcomer: Newcomer) -> None:
    """Write the files of a section, or append to them where the page says so."""
    text = "".join(block.text for block in blocks(section, page=PAGE) if block.language == "python")
    parts = re.split(r"^# (at the end of )?(\S+\.py)\n", text, flags=re.MULTILINE)[1:]
    assert parts, section
    for append, name, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        file = root / name
        file.write_text((file.read_text() + "\n" if append else "") + newcomer.adapted(text))


def view_of(client: HttpClient) -> dict[str, Any]:
    items = client.get("/cam/api/v1/cameras/door/views").json()["items"]
    return next((view for view in items if view["view"] == "people_counter"), {})


@pytest.mark.skipif(not (CLIP.exists() and WEIGHTS.exists()), reason="../shared has no videos or models.")
def test_the_tutorial_ends_with_counts_and_an_e_mail(tmp_path: Path) -> None:
    newcomer = Newcomer(tmp_path, f"file:{CLIP.name}")
    site = tmp_path / "mysite"
    with mail_server() as mailbox:
        newcomer.replacements |= {
            '"smtp.example.org"': '"127.0.0.1"',
            "EMAIL_PORT = 25": f"EMAIL_PORT = {mailbox.port}",
            "ninjacam_models pull yolox-nano": f"ninjacam_models add {WEIGHTS}",
        }
        for line in blocks("Create a project", page=PAGE)[0].lines:
            newcomer.type(line, site if "startapp" in line else tmp_path)
        write_files("Create a project", site, newcomer)
        with (site / "mysite" / "settings.py").open("a") as settings:
            settings.write(f'NINJACAM = {{"FILES_DIR": "{CLIP.parent}"}}\n')  # The camera is a file here.
        *commands, serve = blocks("Add the camera and a model", page=PAGE)[0].lines
        for line in commands:
            newcomer.type(line, site)
        options = f"--port {newcomer.port} --workers 1"
        with newcomer.start(serve, site, options=options) as server:
            count_people(newcomer, site, server)
        write_files("Send an e-mail", site, newcomer)
        *_, restart = blocks("Send an e-mail", page=PAGE)
        with newcomer.start(restart.lines[0], site, options=options) as server:
            wait_until(lambda: mailbox.messages, 120, "an e-mail", processes=[server])
            assert "Subject: A visitor at door" in mailbox.messages[0]
            stop(server)


def count_people(newcomer: Newcomer, site: Path, server: Process) -> None:
    client = newcomer.login("/cam", server)
    newcomer.require_live(client, "/cam", server)

    write_files("Find people", site, newcomer)
    wait_until(lambda: view_of(client), 30, "the view", processes=[server])

    line = {"name": "door", "kind": "line", "points": [[0.5, 1], [0.5, 0]]}
    answer = client.post(
        "/cam/api/v1/cameras/door/zones", json_body=line, headers={"X-CSRFToken": client.cookie("csrftoken")}
    )
    assert answer.status == 201, answer.text

    write_files("Count", site, newcomer)
    wait_until(lambda: sum(view_of(client).get("values", {}).values()), 120, "a count", processes=[server])
    events = client.get("/cam/api/v1/events?camera=door").json()["items"]
    assert {event["kind"] for event in events} <= {"person_in", "person_out"}
    assert events[0]["data"]["in"] + events[0]["data"]["out"] >= 1
    stop(server)


def stop(server: Process) -> None:
    assert "Traceback" not in server.output, server.output
    server.signal(signal.SIGTERM)
    assert server.wait() == 0, server.tail()

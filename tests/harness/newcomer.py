"""A newcomer who types the commands of the documentation into a terminal."""

import re
import sys
from pathlib import Path

from tests.harness.http import HttpClient, Response
from tests.harness.processes import Process, free_port, wait_until
from tests.harness.terminal import type_command

USER, PASSWORD = "boss", "correct horse battery staple"
ANSWERS = {"(?i)user ?name.*: ?$": USER, "(?i)mail.*: ?$": "", "(?i)(password|again).*: ?$": PASSWORD}
FRESH = "unset DJANGO_SETTINGS_MODULE NINJACAM_SECRET_KEY PYTHONPATH PYTHONWARNINGS"
"""Variables that the tests have set, and a newcomer has not."""
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"


class Newcomer:
    """Runs documented commands in the directory `home`, with other addresses, ports and directories.

    `url`: of the camera.
    """

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.environment = {"PATH": PATH, "HOME": str(home)}
        self.replacements = {
            "rtsp://192.168.1.20/stream1": url,
            "rtsp://192.168.1.21/stream1": url,
            "/srv/cameras": str(home / "cameras"),
            "http://localhost:8000": self.base,
        }

    def adapted(self, line: str) -> str:
        for written, here in self.replacements.items():
            line = line.replace(written, here)
        return line

    def type(self, line: str, cwd: Path | None = None) -> str:
        return type_command(
            f"{FRESH}; {self.adapted(line)}",
            cwd=cwd or self.home,
            environment=self.environment,
            answers=ANSWERS,
        )

    def start(self, line: str, cwd: Path | None = None, *, options: str = "") -> Process:
        command = ["bash", "-c", f"{FRESH}; exec {self.adapted(line)} {options}"]
        return Process(line, command, environment=self.environment, cwd=cwd or self.home)

    def login(self, mount: str, *processes: Process) -> HttpClient:
        """Open the cameras page without a session, and log in on the page that it redirects to."""
        client = HttpClient(self.base)
        wait_until(lambda: self._answers(client, f"{mount}/healthz"), 60, "the server", processes=processes)
        page = client.get(f"{mount}/")
        assert page.status == 200, page.text
        hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert hidden, page.text
        form = {"username": USER, "password": PASSWORD, "csrfmiddlewaretoken": hidden[1]}
        answer = client.post(page.url.removeprefix(self.base), form=form, headers={"Referer": page.url})
        assert answer.status == 200, answer.text
        assert answer.url == f"{self.base}{mount}/"
        return client

    @staticmethod
    def _answers(client: HttpClient, path: str) -> bool:
        try:
            return client.get(path).status in (200, 503)
        except OSError:
            return False

    def require_live(self, client: HttpClient, mount: str, *processes: Process) -> None:
        """Require that the wall loads its styles and scripts, and that the camera shows video."""
        wall = client.get(f"{mount}/").text
        for found in re.findall(r'(?:href|src)="([^"]+\.(?:css|js|svg))"', wall):
            assert client.get(found).status == 200, found

        def picture() -> Response | None:
            answer = client.get(f"{mount}/live/door/snapshot.jpg")
            return answer if answer.status == 200 else None

        taken = wait_until(picture, 30, "a picture", processes=processes)
        assert taken.body[:2] == b"\xff\xd8"

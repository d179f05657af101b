"""The whole product: `ninjacam serve` on a data directory, as real processes."""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

from benchmarks.proc import descendants
from tests.harness.chrome import Tab
from tests.harness.http import HttpClient
from tests.harness.processes import Process, free_port, python, wait_until
from tests.harness.warm_cli import run_command

ADMIN, PASSWORD = "boss", "correct horse battery staple"
_READY_TIMEOUT_S = 60.0


class Product(Process):
    """Creates an administrator (`ADMIN`, `PASSWORD`) and a token with all scopes before the start.

    `tls`: serve https with a self-signed certificate. `environment`: added to the parent's environment. `data`: an
    empty directory, or one from an earlier run.
    """

    def __init__(
        self,
        data: Path,
        *,
        workers: int = 2,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        self.data = data
        self.port = port or free_port()
        self.base = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.token = ""
        self._administrator: HttpClient | None = None
        command = ["-m", "ninjacam", "serve", "--data", str(data), "--port", str(self.port)]
        super().__init__(
            "ninjacam serve",
            python(*command, "--workers", str(workers), *(["--tls"] if tls else [])),
            environment=environment,
        )

    def start(self) -> Self:
        """Create the accounts, start, and wait until /healthz answers."""
        if not self.token:
            self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._is_new():
                prepared, self.token = _prepare()
                shutil.copytree(prepared.name, self.data, dirs_exist_ok=True)
            else:
                self.token = self._make_accounts()
        super().start()
        wait_until(self.is_healthy, _READY_TIMEOUT_S, "/healthz of ninjacam serve", processes=[self])
        return self

    def _is_new(self) -> bool:
        configured = {"DATABASE_URL", "NINJACAM_SECRET_KEY"} & self.environment.keys()
        return not configured and not (self.data / "ninjacam.sqlite3").exists()

    def _make_accounts(self) -> str:
        self.cli("createuser", ADMIN, "--admin", "--password-stdin", stdin=PASSWORD + "\n")
        return self.make_token("tests", "*")

    def cli(self, *arguments: str, stdin: str = "", check: bool = True) -> str:
        """Return the output of `ninjacam ARGUMENTS --data ...`.

        Raises: AssertionError: the command failed (with `check`).
        """
        done = run_command([*arguments, "--data", str(self.data)], self.environment, stdin=stdin)
        printed = done.stdout + done.stderr
        assert done.returncode == 0 or not check, (
            f"ninjacam {arguments} ended with {done.returncode}\n{printed}"
        )
        return printed if not check else done.stdout

    def make_token(self, name: str, *scopes: str, user: str = ADMIN) -> str:
        wanted = [word for scope in scopes for word in ("--scope", scope)]
        return self.cli("token", "create", name, "--user", user, *wanted).split()[-1]

    def add_camera(self, slug: str, url: str, *options: str, username: str = "", password: str = "") -> None:
        """Add a camera with the command line, without probing it."""
        login = ["--username", username, "--password-stdin"] if username else []
        self.cli("add", slug, url, "--no-check", *login, *options, stdin=password + "\n")

    # Requests

    @property
    def client(self) -> HttpClient:
        """Return a client that sends the token."""
        return HttpClient(self.base, token=self.token)

    def is_healthy(self) -> bool:
        try:
            return HttpClient(self.base).get("/healthz", timeout_s=2).status == 200
        except OSError:
            return False

    def camera(self, slug: str) -> dict[str, Any]:
        """Return the camera as the API returns it."""
        answer = self.client.get(f"/api/v1/cameras/{slug}")
        assert answer.status == 200, f"camera {slug}: {answer.status} {answer.text}\n{self.tail()}"
        told: dict[str, Any] = answer.json()
        return told

    def wait_for_state(self, slug: str, state: str = "live", timeout_s: float = 20.0) -> dict[str, Any]:
        """Return the camera from the API once it is in that state."""

        def in_state() -> dict[str, Any] | None:
            told = self.camera(slug)
            return told if told["state"] == state else None

        return wait_until(in_state, timeout_s, f"camera {slug} {state}", processes=[self])

    def login(self, username: str = ADMIN, password: str = PASSWORD) -> HttpClient:
        """Return a client with the session cookie from the login page."""
        client = HttpClient(self.base)
        page = client.get("/login/")
        hidden = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert hidden, f"no form on the login page: {page.status} {page.text}"
        form = {"username": username, "password": password, "csrfmiddlewaretoken": hidden[1]}
        answer = client.post("/login/", form=form, headers={"Referer": self.base + "/login/"})
        assert answer.status == 200, answer.text
        assert not answer.url.rstrip("/").endswith("/login"), f"refused: {answer.text}"
        return client

    def sign_in(self, tab: Tab, client: HttpClient | None = None) -> None:
        """Give the browser's tab the cookies of `client` (None: of the administrator, who logs in only once)."""
        if client is None:
            client = self._administrator = self._administrator or self.login()
        for name, value in client.cookie_pairs():
            tab.set_cookie(name, value, self.base)

    def url(self, path: str) -> str:
        return self.base + path

    @property
    def websocket_url(self) -> str:
        return f"ws{self.base.removeprefix('http')}/live/ws"

    # Processes

    def status(self) -> dict[str, Any]:
        """Return the engine's status.json, which a new engine writes after the server has answered."""
        file = self.data / "run/status.json"
        wait_until(file.exists, 60, "the engine reports its status", processes=[self])
        status: dict[str, Any] = json.loads(file.read_text())
        return status

    def engine_pid(self) -> int:
        return int(self.status()["engine_pid"])

    def pids(self, kind: str) -> list[int]:
        """Return the pids of the engine's children of that kind: "capture", "vision"."""
        return [
            int(child["pid"])
            for child in self.status()["processes"]
            if child["kind"] == kind and child["pid"]
        ]

    def pids_titled(self, title: str) -> list[int]:
        """Return the pids of the product's processes that `ps` shows with that title."""
        return [pid for pid in descendants(self.pid) if _command_line(pid).rstrip("\0") == title]

    def web_pids(self) -> list[int]:
        """Return the pids of the ASGI workers."""
        record = json.loads((self.data / "run/serve.json").read_text())
        return [
            int(each["pid"])
            for each in record["processes"]
            if each["name"].startswith("web-") and each["pid"]
        ]


@cache
def _prepare() -> "tuple[tempfile.TemporaryDirectory[str], str]":
    """Prepare a data directory with accounts and token. The database is migrated once for all products."""
    directory = tempfile.TemporaryDirectory(prefix="ninjacam-prepared-")
    return directory, Product(Path(directory.name))._make_accounts()


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""

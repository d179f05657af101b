"""Runs the code blocks of README.md with only addresses, ports and directories replaced."""

import json
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser
from tests.harness.newcomer import Newcomer
from tests.harness.processes import ROOT, is_alive, wait_until
from tests.harness.readme import blocks


@pytest.fixture(scope="module")
def camera() -> Iterator[FakeCamera]:
    with FakeCamera("--gop-at-once") as camera:
        yield camera


@pytest.fixture
def newcomer(tmp_path: Path, camera: FakeCamera) -> Newcomer:
    return Newcomer(tmp_path, camera.url())


def make_project(newcomer: Newcomer) -> Path:
    """Create a project with the three lines of README.md, its database, an administrator and the camera."""
    newcomer.type("django-admin startproject mysite")
    site = newcomer.home / "mysite"
    lines, commands = blocks("In your project: three lines")[:2]
    parts = re.split(r"^# at the end of (\S+)\n", lines.text, flags=re.MULTILINE)[1:]
    assert set(parts[::2]) == {"settings.py", "urls.py", "asgi.py"}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        file = site / "mysite" / name
        file.write_text(f"{file.read_text()}\n{text}")
    for line in commands.lines[:-1]:
        newcomer.type(line, site)
    return site


def test_three_lines_are_enough_in_a_new_project(newcomer: Newcomer) -> None:
    site = make_project(newcomer)
    _, commands, own_server = blocks("In your project: three lines")[:3]
    with newcomer.start(commands.lines[-1], site, options=f"127.0.0.1:{newcomer.port}") as runserver:
        client = newcomer.login("/cam", runserver)
        newcomer.require_live(client, "/cam", runserver)
        engine = read_pid(site)
        (site / "mysite" / "urls.py").touch()
        reloaded = wait_until(lambda: runserver.output.count("Quit the server") == 2, 30, "the reload")
        assert reloaded and read_pid(site) == engine, "the engine continues"
        newcomer.require_live(client, "/cam", runserver)
        runserver.signal(signal.SIGTERM)
        assert runserver.wait() == 0, runserver.tail()
        assert "Traceback" not in runserver.output, runserver.output
        assert not is_alive(engine)
    with newcomer.start(
        "python manage.py ninjacam_serve", site, options=f"--port {newcomer.port} --workers 1"
    ) as serve:
        newcomer.require_live(newcomer.login("/cam", serve), "/cam", serve)
        serve.signal(signal.SIGTERM)
        assert serve.wait() == 0, serve.tail()
    engine_line, server = own_server.lines
    with (
        newcomer.start(engine_line, site) as running,
        newcomer.start(server, site, options=f"--bind 127.0.0.1:{newcomer.port}") as gunicorn,
    ):
        newcomer.require_live(newcomer.login("/cam", running, gunicorn), "/cam", running, gunicorn)
        assert "Traceback" not in running.output + gunicorn.output, running.output + gunicorn.output


def read_pid(site: Path) -> int:
    """Return the process of the engine."""
    return int(json.loads((site / "ninjacam_data" / "run" / "status.json").read_text())["engine_pid"])


def test_runserver_and_its_engine_end_with_a_killed_parent(newcomer: Newcomer) -> None:
    site = make_project(newcomer)
    with newcomer.start(f"python manage.py runserver 127.0.0.1:{newcomer.port}", site) as runserver:
        newcomer.login("/cam", runserver)
        engine = wait_until(
            lambda: (site / "ninjacam_data/run/status.json").exists() and read_pid(site), 30, "it"
        )
        runserver.signal(signal.SIGKILL)
        wait_until(lambda: not is_alive(engine), 20, "the end of the engine")
        wait_until(lambda: is_free(newcomer.port), 20, "the end of the server")


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_under_djangos_runserver_the_page_names_the_missing_step(
    newcomer: Newcomer, chromium: Browser
) -> None:
    site = make_project(newcomer)
    settings = site / "mysite" / "settings.py"
    settings.write_text(settings.read_text() + "\nINSTALLED_APPS = [*INSTALLED_APPS[1:], 'ninjacam']\n")
    line = f"python manage.py runserver --noreload 127.0.0.1:{newcomer.port}"
    with newcomer.start(line, site) as server, chromium.tab() as tab:
        client = newcomer.login("/cam", server)
        assert "ninjacam.W009" in server.output, server.output
        for name, value in client.cookie_pairs():
            tab.set_cookie(name, value, newcomer.base)
        tab.navigate(f"{newcomer.base}/cam/")
        overlay = "document.querySelector('ninjacam-player')?.shadowRoot?.querySelector('.overlay')"
        tab.until(f"Boolean({overlay}?.textContent.includes('ninjacam_serve'))", 30)


def test_the_quick_start_works_with_ten_lines_of_opencv(newcomer: Newcomer) -> None:
    commands = next(block for block in blocks("Out of the box") if "createuser" in block.text).lines
    for line in commands[:-1]:
        newcomer.type(line)
    code = "\n\n".join(block.text for block in blocks("Ten lines of OpenCV") if block.language == "python")
    (newcomer.home / "cameras" / "cameras.py").write_text(code)
    with newcomer.start(commands[-1], options=f"--port {newcomer.port} --workers 1") as serve:
        client = newcomer.login("", serve)
        newcomer.require_live(client, "", serve)

        def views() -> set[str]:
            return {view["view"] for view in client.get("/api/v1/cameras/door/views").json()["items"]}

        wait_until(lambda: "edges" in views(), 30, "the view", processes=[serve])
        assert client.get("/live/door/snapshot.jpg?view=edges").status == 200
        known = client.get("/api/v1/processors").json()["items"]
        assert len(known) == len(re.findall(r"^@processor", code, re.MULTILINE))
        assert not [item for item in known if item.get("error")], known

        token = newcomer.type("ninjacam token create example --scope view --data /srv/cameras").split()[-1]
        (example,) = blocks("", page="docs/websocket.md")
        constants = f"URL, TOKEN = 'ws://127.0.0.1:{newcomer.port}/live/ws', {token!r}\n"
        script = newcomer.home / "watch.py"
        script.write_text(f"{constants}{example.text}print(len(header), data[:4])\n")
        assert "36 b'\\x00\\x00\\x00\\x01'" in newcomer.type(f"python {script}")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed.")
def test_the_commands_about_recordings_work_as_documented(newcomer: Newcomer) -> None:
    newcomer.environment["NINJACAM_DATA"] = str(newcomer.home / "cameras")
    newcomer.type("ninjacam createuser boss")
    commands = next(block for block in blocks("Recordings") if block.language == "sh").lines
    *before, curl = commands
    for line in (line for line in before if not line.startswith("export")):
        newcomer.type(line)
    with newcomer.start("ninjacam serve", options=f"--port {newcomer.port} --workers 1") as serve:
        client = newcomer.login("", serve)
        with_token = "; ".join([*(line for line in before if line.startswith("export")), curl])
        assert '"kind"' in newcomer.type(with_token)
        assert [event["kind"] for event in client.get("/api/v1/events?camera=door").json()["items"]]


def test_the_test_kit_works_as_documented(newcomer: Newcomer) -> None:
    for number, block in enumerate(blocks("Test your own code")):
        if block.language == "python":
            script = newcomer.home / f"block{number}.py"
            script.write_text(block.text)
            newcomer.type(f"python {script}")


def test_every_file_that_the_readme_links_to_exists() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []

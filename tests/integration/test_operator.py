"""Security guarantees for operators: private files, no imports from the current directory, no leaked secrets.

One product, started carelessly: umask 022, a data directory of mode 755, and a current directory full of modules that
leave a trace when they are imported.
"""

import contextlib
import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from benchmarks.proc import descendants
from tests.harness.cameras import FakeCamera
from tests.harness.processes import ROOT, kill, python, run, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer

SMALL = ("--size", "320x240", "--bitrate", "300000", "--gop", "25", "--gop-at-once")
USER, PASSWORD = "viewer", "camera-pass-5309"
SECRET = "operator-secret-key-that-nobody-else-may-see-8642"
DATABASE_SECRET = "database-detail-7391"
CODE = """
    from ninjacam import processor

    @processor
    def white(frame):
        frame.image[100:200] = 255
"""
THIRD_PARTY = {
    "asgiref", "av", "cryptography", "cv2", "django", "httptools", "ninja", "numpy", "pydantic", "simplejpeg",
    "sitecustomize", "sqlparse", "usercustomize", "uvicorn", "uvloop", "websockets", "yaml",
}  # fmt: skip
POISON = """
    import posix

    posix.close(posix.open({trace!r}, posix.O_CREAT | posix.O_WRONLY, 0o644))
    raise SystemExit("imported from the current directory")
"""


def poison(directory: Path, traces: Path, names: set[str]) -> None:
    traces.mkdir(exist_ok=True)
    directory.mkdir(exist_ok=True)
    for name in names:
        text = textwrap.dedent(POISON.format(trace=str(traces / name)))
        (directory / f"{name}.py").write_text(text)


def imported_by_python_before_us() -> set[str]:
    """The modules that `python -m` imports to find a module. It always has the current directory on its path."""
    names = run(python("-I", "-c", "import runpy, pkgutil, sys; print(*sys.modules)")).split()
    return {name.partition(".")[0] for name in names}


class Scene:
    def __init__(self, product: Product, camera: FakeCamera, here: Path, traces: Path) -> None:
        self.product = product
        self.camera = camera
        self.here = here
        self.traces = traces

    def found_traces(self) -> list[str]:
        return sorted(os.listdir(self.traces))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data, here, traces = (tmp_path_factory.mktemp(name) for name in ("data", "here", "traces"))
    poison(here, traces, {*sys.stdlib_module_names, *THIRD_PARTY} - imported_by_python_before_us())
    before = os.umask(0o022)
    data.chmod(0o755)
    (data / "cameras.py").write_text(textwrap.dedent(CODE))
    product = Product(
        data,
        environment={
            "NINJACAM_SECRET_KEY": SECRET,
            "DATABASE_URL": f"sqlite:///{data}/{DATABASE_SECRET}.sqlite3",
            "PYTHONPATH": "",
        },
    )
    product.cwd = here
    try:
        with FakeCamera(*SMALL, "--auth", "basic", "--user", USER, "--password", PASSWORD) as camera:
            product.cli("createuser", "first", "--generate")
            product.add_camera("door", camera.url(), "--record", "always", username=USER, password=PASSWORD)
            with product:
                product.wait_for_state("door")
                yield Scene(product, camera, here, traces)
    finally:
        os.umask(before)


def use_everything(scene: Scene) -> None:
    """Start each kind of process of the product."""
    product, client = scene.product, scene.product.client
    assert client.get("/live/door/snapshot.jpg?view=white", timeout_s=30).status == 200
    start = datetime.now(UTC)

    def recorded() -> bool:
        return bool(client.get("/api/v1/recordings?camera=door").json()["items"])

    wait_until(recorded, 30, "a recording", processes=[product])
    at = (start - timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    assert client.get(f"/rec/door/at.jpg?time={at}", timeout_s=30).status in (200, 404)
    probed = client.post("/api/v1/cameras/door/probe", json_body={}, timeout_s=30)
    assert probed.json()["ok"] is True, probed.text
    asked = {"camera": "door", "start": at, "end": datetime.now(UTC).isoformat()}
    for body in (asked, {**asked, "kind": "view", "view": "white"}):
        answer = client.post("/api/v1/exports", json_body=body)
        if answer.status == 201:
            wait_until(partial(is_made, product, answer.json()["id"]), 60, "an export", processes=[product])


def is_made(product: Product, number: str) -> bool:
    return product.client.get(f"/api/v1/exports/{number}").json()["state"] in ("done", "failed")


def test_nothing_is_imported_from_the_current_directory(scene: Scene) -> None:
    use_everything(scene)
    assert scene.found_traces() == []


@pytest.mark.parametrize("path", ["", ":/nowhere"])
def test_the_console_script_imports_nothing_from_the_current_directory(
    scene: Scene, tmp_path: Path, path: str
) -> None:
    names = {*sys.stdlib_module_names, *THIRD_PARTY}
    if path:  # an empty item is the current directory, also at Python's own start
        names -= imported_by_python_before_us() | {"sitecustomize", "usercustomize"}
    traces = tmp_path / "traces"
    poison(tmp_path / "here", traces, names)
    script = Path(sys.executable).with_name("ninjacam")
    done = subprocess.run(
        [script, "add", f"other{len(path)}", scene.camera.url(), "--data", scene.product.data],
        cwd=tmp_path / "here", env={**scene.product.environment, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert os.listdir(traces) == [] and done.stdout.startswith("Added other"), done.stderr


def test_files_are_readable_for_their_owner_only(scene: Scene) -> None:
    use_everything(scene)
    loose = {
        str(path.relative_to(scene.product.data)): stat.filemode(path.lstat().st_mode)
        for path in [scene.product.data, *scene.product.data.rglob("*")]
        if path.lstat().st_mode & 0o077 and path.name != "cameras.py"
    }
    assert loose == {}
    assert scene.product.cli("doctor", check=False).count("FIX") == 0


def test_secrets_are_passed_only_to_processes_that_need_them(scene: Scene) -> None:
    product = scene.product
    pids = descendants(product.pid)
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    environments = {pid: Path(f"/proc/{pid}/environ").read_bytes() for pid in pids}
    for secret in (PASSWORD, SECRET, DATABASE_SECRET):
        assert not [line for line in lines.values() if secret.encode() in line]
    assert not [pid for pid, text in environments.items() if PASSWORD.encode() in text]
    (capture,) = product.pids("capture")
    names = {item.partition(b"=")[0].decode() for item in environments[capture].split(b"\0") if item}
    assert (
        SECRET.encode() not in environments[capture] and DATABASE_SECRET.encode() not in environments[capture]
    )
    assert not {name for name in names if name.startswith(("NINJACAM", "DJANGO", "DATABASE"))}


def test_a_password_for_tls_is_never_sent_in_clear_text(scene: Scene) -> None:
    product = scene.product
    options = ("--auth", "basic", "--user", USER, "--password", PASSWORD)
    with FakeCamera(*SMALL, "--tls", *options) as tls, socket.create_server(("127.0.0.1", 0)) as thief:
        url = tls.url().replace("rtsp:", "rtsps:")
        product.add_camera("safe", url, "--no-verify-tls", username=USER, password=PASSWORD)
        product.wait_for_state("safe")
        for change in ({"url": url.replace("rtsps:", "rtsp:")}, {"verify_tls": True}):
            answer = product.client.request("PATCH", "/api/v1/cameras/safe", json_body=change)
            assert answer.status == 422 and "password again" in answer.json()["detail"], answer.text
        # Even a value written directly into the database is not sent.
        in_clear = f"rtsp://127.0.0.1:{thief.getsockname()[1]}/cam0"
        with sqlite3.connect(product.data / f"{DATABASE_SECRET}.sqlite3") as database:
            database.execute("UPDATE ninjacam_camera SET url = ? WHERE slug = 'safe'", [in_clear])
        database.close()
        told = product.wait_for_state("safe", "failed")
        assert "Enter the user and password again" in told["error"]["message"]
        thief.setblocking(False)
        with pytest.raises(BlockingIOError):
            thief.accept()


def test_code_that_others_can_write_is_rejected_and_the_error_names_the_file(scene: Scene) -> None:
    product, code = scene.product, scene.product.data / "cameras.py"
    code.chmod(0o666)

    def module_error() -> str:
        errors = product.client.get("/api/v1/processors").json()["errors"]
        return str(errors[0]["traceback"]) if errors else ""

    try:
        said = wait_until(module_error, 20, "the refusal", processes=[product])
        assert f"chmod go-w {code}" in said
        assert f"chmod go-w {code}" in product.cli("doctor", check=False)
        view = product.client.get("/api/v1/views?camera=door").json()
        assert "Other users can modify" in str(view)
    finally:
        code.chmod(0o644)
    wait_until(lambda: not module_error(), 20, "the code again", processes=[product])


def metric(product: Product, name: str) -> int:
    (value,) = re.findall(rf"^ninjacam_{name} (\d+)$", product.client.get("/metrics").text, re.M)
    return int(value)


def test_metrics_cover_all_workers_and_survive_the_death_of_one(scene: Scene) -> None:
    product = scene.product
    served = metric(product, "viewers_served_total")
    with contextlib.ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(MjpegViewer(product.url("/live/door/mjpeg"), product.token)).wait_live()
        wait_until(lambda: metric(product, "viewers") == 6, 20, "six viewers", processes=[product])
        for _ in range(8):  # a new connection each time, which any worker may accept
            assert metric(product, "viewers") == 6
        assert metric(product, "viewers_served_total") == served + 6
        victim = product.web_pids()[0]
        kill(victim)
        wait_until(
            lambda: victim not in product.web_pids() and len(product.web_pids()) == 2, 20, "a new worker"
        )
        assert metric(product, "viewers_served_total") >= served + 6
    wait_until(lambda: metric(product, "viewers") == 0, 20, "no viewer", processes=[product])
    assert metric(product, "viewers_served_total") >= served + 6


def test_a_directory_with_loose_permissions_is_made_private_and_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = subprocess.run(
        python("-m", "ninjacam", "createuser", "ada", "--generate", "--data", str(tmp_path)),
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert f"Changed the mode of the data directory {tmp_path} from 755 to 700." in done.stderr

"""The API against its own OpenAPI document, by schemathesis, on a real server."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.fair_clock import fair_s
from tests.harness.http import HttpClient
from tests.harness.warm_cli import run_command

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "missing_required_header", "unsupported_method",
    "ignored_auth", "use_after_free", "ensure_resource_availability",
)  # fmt: skip
"""Not positive_data_acceptance: whether a user, group, scope or URL scheme exists is in no schema."""


def run(*arguments: str, data: Path, stdin: str = "") -> str:
    done = run_command([*arguments, "--data", str(data)], os.environ, stdin=stdin)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    run("createuser", "ada", "--password-stdin", data=path, stdin="a long passphrase\n")
    run("add", "door", "rtsp://127.0.0.1:9/x", "--no-check", data=path)
    return path


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[str]:
    """The URL of the product's web part, without an engine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        environment = {
            **os.environ,
            "NINJACAM_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings",
        }
        with subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "ninjacam.site.asgi:application", "--fd", str(listener.fileno()),
             "--log-level", "warning"],
            pass_fds=[listener.fileno()], env=environment,
        ) as process:  # fmt: skip
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            _wait_for(f"{url}/login/")
            yield url
            process.terminate()


def _wait_for(url: str) -> None:
    deadline_s = fair_s() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if fair_s() > deadline_s:
                raise
            time.sleep(0.1)


REFUSALS = (400, 401, 403, 404, 405, 406, 409, 414, 415, 422, 428, 429)
"""Statuses of requests that contradict the document. Schemathesis does not count 414 among them by itself."""


def check_conformance(server: str, data: Path, tmp_path: Path, *, examples: int) -> None:
    """Send requests to each operation: all limits of its parameters, and `examples` random ones."""
    configuration = f"[checks]\nnegative_data_rejection.expected-statuses = {list(REFUSALS)}\n"
    (tmp_path / "schemathesis.toml").write_text(configuration)
    token = run("token", "create", "contract", "--scope", "*", data=data).split()[-1]
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            str(program), "run", f"{server}/api/v1/openapi.json", "--header", f"Authorization: Bearer {token}",
            "--checks", ",".join(CHECKS), "--max-examples", str(examples), "--seed", "1", "--no-color",
            # A test of a camera waits for the network; these are tested by hand.
            "--exclude-operation-id", "probe_new_camera", "--exclude-operation-id", "probe_camera",
            # Streams and files, which tests of their own read.
            "--exclude-tag", "media",
            # 503, because no engine runs here: tests/e2e/test_ptz.py moves a camera.
            "--exclude-tag", "control", "--exclude-tag", "device",
            # It sends to all networks of this host.
            "--exclude-operation-id", "discover_cameras",
            # These would end the token that the test runs with.
            "--exclude-operation-id", "revoke_token", "--exclude-operation-id", "revoke_tokens",
        ],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        timeout=1200,  # against a hang: it makes thousands of requests, which take minutes on a busy machine
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert HttpClient(server, token=token).get("/api/v1/me").status == 200, (
        "the token was valid until the end"
    )


def test_every_response_conforms_to_the_openapi_document(server: str, data: Path, tmp_path: Path) -> None:
    """More examples: tests/trials/test_api_contract.py."""
    check_conformance(server, data, tmp_path, examples=2)

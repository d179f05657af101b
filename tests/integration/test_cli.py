"""The command `ninjacam` as a process, with its own data directory."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest


class Ninjacam:
    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {
            name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")
        }
        return subprocess.run(
            [sys.executable, "-m", "ninjacam", *arguments, "--data", str(self.data)],
            input=stdin, capture_output=True, text=True, env=environment, timeout=60, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def ninjacam(tmp_path_factory: pytest.TempPathFactory) -> Ninjacam:
    """A data directory with an administrator and the camera "door"."""
    made = Ninjacam(tmp_path_factory.mktemp("data"))
    done = made("createuser", "ada", "--password-stdin", stdin="a long passphrase\n")
    assert (done.returncode, done.stderr) == (0, "")
    done = made(
        "add",
        "door",
        "rtsp://127.0.0.1:9/x",
        "--username",
        "u",
        "--password-stdin",
        "--no-check",
        stdin="pw\n",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "Added door.\n", "")
    return made


def one_sentence(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    return done.stderr


def test_the_token_is_the_last_word_of_the_output(ninjacam: Ninjacam) -> None:
    done = ninjacam("token", "create", "wall display", "--scope", "*")
    assert done.returncode == 0
    token = done.stdout.split()[-1]
    assert token.startswith("nc_")
    assert token.split("_")[1] in ninjacam("token", "list").stdout
    assert ninjacam("token", "revoke", token).returncode == 0
    assert "revoked" in ninjacam("token", "list").stdout


def test_adding_a_camera_that_does_not_answer_reports_it(ninjacam: Ninjacam) -> None:
    done = ninjacam("add", "dead", "rtsp://127.0.0.1:9/x")
    assert done.returncode == 0 and "does not work yet" in done.stdout and "port 9" in done.stderr


def test_with_check_a_camera_that_does_not_answer_is_not_added(ninjacam: Ninjacam) -> None:
    assert "port 9" in one_sentence(ninjacam("add", "strict", "rtsp://127.0.0.1:9/x", "--check"))
    assert "door" in one_sentence(ninjacam("add", "door", "rtsp://127.0.0.1:9/x", "--no-check"))
    assert ninjacam("add", "strict", "rtsp://127.0.0.1:9/x", "--no-check").returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "x", "gopher://h/", "--no-check"),
        ("add", "Bad Slug", "rtsp://h/", "--no-check"),
        ("add", "x", "rtsp://user:hidden-word@[bad/", "--no-check"),
        ("token", "create", "x", "--user", "nobody"),
        ("token", "create", "x", "--scope", "fly"),
        ("token", "revoke", "nothing"),
        ("token", "create", "x", "--expires-days", "99999999999"),
        ("createuser", "ada", "--generate"),
        ("createuser", os.fsdecode(b"\xff"), "--generate"),
        ("createuser", "new", "--password-stdin"),
        ("discover", "--network", "8.8.8.0/24"),
        ("discover", "--network", "10.0.0.0/16"),
    ],
)
def test_errors_are_single_sentences(ninjacam: Ninjacam, arguments: tuple[str, ...]) -> None:
    assert "hidden-word" not in one_sentence(ninjacam(*arguments)).replace("warn", "")


def test_a_generated_password_is_printed(ninjacam: Ninjacam) -> None:
    done = ninjacam("createuser", "bob", "--generate")
    assert done.returncode == 0 and done.stdout.startswith("User bob") and "Password: " in done.stdout


def test_doctor_names_the_steps_to_fix_a_problem(ninjacam: Ninjacam, tmp_path: Path) -> None:
    done = ninjacam("doctor")
    assert done.returncode == 0 and "FIX" not in done.stdout and "engine is not running" in done.stdout
    fresh = Ninjacam(tmp_path)("doctor")
    assert fresh.returncode == 1 and "migrations behind" in fresh.stdout


def test_doctor_detects_a_lost_key(ninjacam: Ninjacam, tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(ninjacam.data / "ninjacam.sqlite3")) as database,
        closing(sqlite3.connect(tmp_path / "ninjacam.sqlite3")) as copy,
    ):
        database.backup(copy)  # A copy of the file would lack what is still in the write-ahead log.
    done = Ninjacam(tmp_path)("doctor")
    assert done.returncode == 1 and "door: The stored password" in done.stdout


def test_rekey_encrypts_credentials_with_the_new_key(ninjacam: Ninjacam) -> None:
    assert ninjacam("rekey").stdout == "Encrypted the credentials of 1 cameras.\n"


def test_an_unknown_verb_is_an_error(ninjacam: Ninjacam) -> None:
    done = ninjacam("fly")
    assert done.returncode == 2 and "Traceback" not in done.stderr

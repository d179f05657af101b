"""`ninjacam add | list | show | set | remove`."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.processes import python, wait_until
from tests.harness.recordings import encode_stamped, write_files
from tests.harness.warm_cli import run_command

SECRET = "hidden-word-4711"


class Ninjacam:
    def __init__(self, data: Path) -> None:
        self.data = data

    def command(self, *arguments: str) -> list[str]:
        return python("-m", "ninjacam", *arguments, "--data", str(self.data))

    def __call__(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return run_command([*arguments, "--data", str(self.data)], os.environ, stdin=stdin)

    def at_terminal(self, *arguments: str, answers: dict[str, str]) -> str:
        """Return the output of a terminal on which each prompt is answered."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(sys.executable, self.command(*arguments))
        shown = ""
        try:
            for prompt, answer in answers.items():
                while prompt not in shown:
                    shown += os.read(terminal, 4096).decode()
                os.write(terminal, f"{answer}\n".encode())
            while data := os.read(terminal, 4096):
                shown += data.decode()
        except OSError:
            pass  # the process has ended
        os.waitpid(pid, 0)
        os.close(terminal)
        return shown

    def show(self, slug: str) -> dict[str, object]:
        shown: dict[str, object] = json.loads(self("show", slug, "--json").stdout)
        return shown


@pytest.fixture(scope="module")
def ninjacam(tmp_path_factory: pytest.TempPathFactory) -> Ninjacam:
    made = Ninjacam(tmp_path_factory.mktemp("data"))
    login = ("--username", "viewer", "--password-stdin")
    done = made("add", "door", "rtsps://127.0.0.1:9/x", *login, "--no-check", stdin=f"{SECRET}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Added door.\n", "")
    return made


def test_cameras_are_listed_and_shown_without_credentials(ninjacam: Ninjacam) -> None:
    lines = ninjacam("list").stdout.splitlines()
    assert lines[0].split() == ["slug", "state", "health", "record", "url", "name"]
    assert lines[1].split() == ["door", "unknown", "-", "off", "rtsps://127.0.0.1:9/x"]
    (listed,) = json.loads(ninjacam("list", "--json").stdout)
    assert listed == ninjacam.show("door") and listed["has_credentials"] is True
    text = ninjacam("show", "door")
    assert "verify_tls       yes" in text.stdout and SECRET not in text.stdout + str(listed)
    missing = ninjacam("show", "gate")
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1


def test_only_the_named_fields_of_a_camera_are_changed_and_it_can_be_removed(ninjacam: Ninjacam) -> None:
    assert ninjacam("add", "yard", "rtsp://127.0.0.1:9/x", "--no-check").returncode == 0
    changes = ("--name", "Yard", "--record", "events", "--before", "7", "--no-audio", "--no-enabled")
    assert ninjacam("set", "yard", *changes).stdout == "Changed yard.\n"
    shown = ninjacam.show("yard")
    expected = {"name": "Yard", "record": "events", "record_before_s": 7, "audio": False, "enabled": False}
    assert {name: shown[name] for name in expected} == expected and shown["url"] == "rtsp://127.0.0.1:9/x"
    assert "Nothing to change" in ninjacam("set", "yard").stderr
    assert "use --yes" in ninjacam("remove", "yard").stderr
    assert ninjacam.at_terminal("remove", "yard", answers={"[y/N]": "n"}).strip().endswith("Not removed.")
    assert ninjacam("remove", "yard", "--yes").stdout.startswith("Removed yard.")
    assert ninjacam("show", "yard").returncode == 1


def test_ready_made_processors_are_chosen_and_shown(ninjacam: Ninjacam) -> None:
    assert ninjacam("set", "door", "--processors", "motion, clock").stdout == "Changed door.\n"
    assert "processors       motion, clock\n" in ninjacam("show", "door").stdout
    assert ninjacam.show("door")["processors"] == ["motion", "clock"]
    assert "Unknown processor “edges”. Use: motion" in ninjacam("set", "door", "--processors", "edges").stderr
    assert ninjacam("set", "door", "--processors", "").returncode == 0
    assert ninjacam.show("door")["processors"] == []
    unreachable = ("add", "porch", "rtsp://127.0.0.1:9/x")
    refused = ninjacam(*unreachable, "--processors", "motion,edges")
    assert "Unknown processor “edges”. Use: motion" in refused.stderr and refused.returncode == 1
    assert ninjacam(*unreachable, "--no-check", "--processors", "motion, clock").returncode == 0
    assert ninjacam.show("porch")["processors"] == ["motion", "clock"]
    assert ninjacam("remove", "porch", "--yes").returncode == 0


def test_a_camera_can_be_renamed(ninjacam: Ninjacam) -> None:
    assert ninjacam("add", "before", "rtsp://127.0.0.1:9/x", "--no-check").returncode == 0
    assert ninjacam("set", "before", "--slug", "after", "--name", "A").stdout == "Changed after.\n"
    assert ninjacam("show", "before").returncode == 1 and ninjacam.show("after")["name"] == "A"
    assert "door" in ninjacam("set", "after", "--slug", "door").stderr


@pytest.mark.parametrize("choice", ["keep", "delete"])
def test_removing_asks_what_to_do_with_recordings(ninjacam: Ninjacam, choice: str) -> None:
    slug = f"recorded-{choice}"
    write_files(ninjacam.data / "recordings", encode_stamped(50), 2, slug=slug)
    assert ninjacam("index", "--rebuild").returncode == 0
    assert ninjacam("add", slug, "rtsp://127.0.0.1:9/x", "--no-check").returncode == 0
    # A new camera does not inherit recordings: the former directory is renamed. The new camera's recordings:
    write_files(ninjacam.data / "recordings", encode_stamped(50), 2, slug=slug)
    assert ninjacam("index", "--rebuild").returncode == 0
    files = ninjacam.data / "recordings" / slug
    assert list(files.rglob("*.mp4"))
    assert "--keep-recordings or --delete-recordings" in ninjacam("remove", slug, "--yes").stderr
    assert ninjacam("show", slug).returncode == 0
    shown = ninjacam.at_terminal("remove", slug, answers={"[keep/delete]": choice, "[y/N]": "y"})
    assert f"Removed {slug}" in shown, shown
    assert bool(list(files.rglob("*.mp4"))) is (choice == "keep")


def test_a_stored_password_must_be_entered_again_for_a_different_protection(ninjacam: Ninjacam) -> None:
    for change in (("--url", "rtsp://127.0.0.1:9/x"), ("--no-verify-tls",)):
        done = ninjacam("set", "door", *change, "--no-check")
        assert done.returncode == 1 and "Enter the user and password again" in done.stderr
    login = ("--username", "viewer", "--password-stdin")
    done = ninjacam("set", "door", "--no-verify-tls", *login, "--no-check", stdin="new\n")
    assert done.returncode == 0 and ninjacam.show("door")["verify_tls"] is False


def test_a_password_is_prompted_for_and_never_shown(ninjacam: Ninjacam) -> None:
    arguments = ("add", "asked", "rtsp://127.0.0.1:9/x", "--username", "viewer", "--no-check")
    shown = ninjacam.at_terminal(*arguments, answers={"Password: ": SECRET})
    assert "Added asked." in shown and SECRET not in shown
    assert ninjacam.show("asked")["has_credentials"] is True
    assert "--password-stdin" in ninjacam("add", "other", *arguments[2:]).stderr


@pytest.mark.parametrize("option", [("--password", SECRET), (f"--password={SECRET}",)])
def test_a_password_on_the_command_line_is_rejected(ninjacam: Ninjacam, option: tuple[str, ...]) -> None:
    done = ninjacam("add", "refused", "rtsp://127.0.0.1:9/x", "--username", "u", *option)
    assert done.returncode != 0 and SECRET not in done.stderr
    assert "all users of this host can read arguments" in " ".join(done.stderr.split())


def test_a_login_in_the_url_disappears_from_the_process_list(ninjacam: Ninjacam) -> None:
    with subprocess.Popen(
        ninjacam.command("add", "seen", f"rtsp://u:{SECRET}@10.255.255.1/x"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        line = Path(f"/proc/{process.pid}/cmdline")
        wait_until(
            lambda: b"rtsp://***" in line.read_bytes() or process.poll() is not None, 20, "the login hidden"
        )
        assert process.poll() is None and SECRET.encode() not in line.read_bytes()
        _, said = process.communicate(timeout=60)
        assert b"The login in this URL was visible" in said and SECRET.encode() not in said


def test_a_password_in_a_url_may_contain_unescaped_characters(ninjacam: Ninjacam) -> None:
    done = ninjacam("add", "escapes", f"rtsp://u:/#?[%{SECRET}@192.0.2.7/1", "--no-check")
    assert done.returncode == 0 and SECRET not in done.stdout + done.stderr
    shown = ninjacam.show("escapes")
    assert shown["has_credentials"] is True and shown["url"] == "rtsp://192.0.2.7/1"
    refused = ninjacam("add", "ambiguous", f"rtsp://u:12/{SECRET}@cam/1", "--no-check")
    assert refused.returncode == 1 and SECRET not in refused.stderr
    assert "If the password contains one of / ? # [ @ :" in refused.stderr
    assert ninjacam("show", "ambiguous").returncode == 1


@pytest.mark.parametrize(
    "url", ["gopher://h/", "rtsp:///x", "rtsp://h:80000/x", "rtsp://h:0/x", "rtsp://169.254.169.254/x", "x"]
)
def test_an_address_that_can_never_work_is_not_saved(ninjacam: Ninjacam, url: str) -> None:
    for options in ((), ("--no-check",)):
        done = ninjacam("add", "never", url, *options)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert (
        ninjacam("set", "door", "--url", url, "--username", "u", "--password-stdin", stdin="x").returncode
        == 1
    )
    assert ninjacam("show", "never").returncode == 1


def test_a_forbidden_address_can_be_saved_with_force(ninjacam: Ninjacam) -> None:
    done = ninjacam("add", "forced", "rtsp://169.254.1.1/x", "--force", "--no-check")
    assert done.returncode == 0 and ninjacam.show("forced")["url"] == "rtsp://169.254.1.1/x"


@pytest.mark.parametrize("verb", ["add", "list", "show", "set", "remove", "serve", "doctor", "token"])
def test_help_shows_our_options_and_hides_those_of_django(ninjacam: Ninjacam, verb: str) -> None:
    text = ninjacam(verb, "--help").stdout
    assert text.startswith(f"usage: ninjacam {verb}") and "--data" in text
    for option in ("--settings", "--pythonpath", "--traceback", "--verbosity", "--no-color", "--skip-checks"):
        assert option not in text


def test_streams_are_added_shown_and_removed(ninjacam: Ninjacam) -> None:
    urls = ("--sub", "rtsp://192.0.2.7/2", "--stream", f"tiny=rtsp://bob:{SECRET}@192.0.2.8/3")
    added = ninjacam("add", "gate", "rtsp://192.0.2.7/1", "--no-check", *urls)
    assert added.returncode == 0 and "visible in the process list" in added.stderr
    assert ninjacam("set", "gate", "--detect-stream", "sub", "--remove-stream", "tiny").returncode == 0
    refused = ninjacam("set", "gate", "--record-stream", "tiny")
    assert refused.returncode == 1 and "no stream" in refused.stderr
    shown = ninjacam("show", "gate")
    assert "rtsp://192.0.2.7/2" in shown.stdout and "192.0.2.8" not in shown.stdout
    assert "detect_stream" in shown.stdout and SECRET not in added.stdout + added.stderr + shown.stdout


def test_each_stream_is_tested_before_it_is_saved(ninjacam: Ninjacam) -> None:
    clip = make_clip(SceneOptions(width=320, height=240, seconds=1, codec="mjpeg"))
    closed = "http://127.0.0.1:1/sub"
    with FakeHttpCamera(clip) as camera:
        refused = ninjacam("add", "shed", camera.url(), "--sub", closed, "--check")
        assert refused.returncode == 1 and refused.stderr.startswith(
            "ninjacam: Stream sub: 127.0.0.1 answers, but nothing"
        )
        assert ninjacam("show", "shed").returncode == 1
        added = ninjacam(
            "add", "shed", camera.url(), "--sub", camera.url("/shot.jpg"), "--stream", f"tiny={closed}"
        )
    assert {"Added shed: mjpeg, 320 x 240.", "Stream sub: mjpeg, 320 x 240."} <= {*added.stdout.splitlines()}
    assert "Stream tiny: 127.0.0.1 answers, but nothing listens on port 1" in added.stderr
    changed = ninjacam("set", "shed", "--sub", closed)
    assert changed.returncode == 0 and "Stream sub: 127.0.0.1 answers, but nothing" in changed.stderr

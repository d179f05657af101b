"""The template: its forks, their end, and the remaining processes after the template or the engine dies."""

import os
import signal
import textwrap
from pathlib import Path

import pytest

from tests.harness.processes import is_alive, wait_until
from tests.unit.supervision.scripts import run_script

PROGRAM = """
import json, os, signal, sys, time

def main(arguments):
    # At once: an unbuffered `print` writes the end of the line by itself, and programs that run together mix them.
    os.write(1, json.dumps([arguments, os.environ.get("MARK")]).encode() + b"\\n")
    if arguments[0] == "sleep":
        time.sleep(60)
    if arguments[0] == "kill":
        os.kill(os.getpid(), signal.SIGSEGV)
    sys.exit(int(arguments[1]))

if __name__ == "__main__":
    main(sys.argv[1:])
"""
ENGINE = """
import asyncio, os, signal, time
from pathlib import Path
from ninjacam.supervision.launcher import EntryPoint, Launcher
from ninjacam.supervision.started import CommandProcess, PidfdProcess
from ninjacam.supervision.template import Template, TemplateGoneError

template = Template.start()
ENTRY = EntryPoint("program")
template_pid = int(Path(f"/proc/self/task/{os.getpid()}/children").read_text())

async def ended(pid):
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        await asyncio.sleep(0.01)

"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def run_engine(script: str, program: Path) -> tuple[list[str], str]:
    """Return the lines of standard output, and standard error. The script defines a coroutine `go`."""
    done = run_script(ENGINE + textwrap.dedent(script) + "\nasyncio.run(go())\n", path=program)
    return done.stdout.splitlines(), done.stderr


def test_each_fork_gets_its_arguments_and_environment_and_reports_its_status(program: Path) -> None:
    lines, errors = run_engine(
        """
        async def go():
            first = await template.fork("program", ["exit", "3"], {"MARK": "1"}, "ninjacam x")
            print(await first.wait(), first.has_ended())
            second = await template.fork("program", ["kill"], {}, "ninjacam y")
            print(await second.wait())
        """,
        program,
    )
    assert lines == ['[["exit", "3"], "1"]', "3 True", '[["kill"], null]', "-11"], errors


def test_a_fork_can_be_killed(program: Path) -> None:
    lines, errors = run_engine(
        """
        async def go():
            child = await template.fork("program", ["sleep"], {}, "ninjacam x")
            print(child.has_ended())
            child.kill()
            print(await child.wait())
            child.kill()
        """,
        program,
    )
    assert [line for line in lines if "[" not in line] == ["False", "-9"], errors


def test_forks_survive_the_template_and_later_processes_start_as_commands(program: Path) -> None:
    lines, errors = run_engine(
        """
        async def go():
            launcher = Launcher(template)
            child = await launcher.start(ENTRY, "x-1", ["sleep"], {})
            os.kill(template_pid, signal.SIGKILL)
            await ended(template_pid)
            print(type(child).__name__, child.has_ended())
            other = await launcher.start(ENTRY, "x-2", ["exit", "4"], {"MARK": "2"})
            print(type(other).__name__, await other.wait())
            child.kill()
            print(await child.wait())
        """,
        program,
    )
    assert sorted(lines) == sorted(
        ['[["sleep"], null]', "PidfdProcess False", '[["exit", "4"], "2"]', "CommandProcess 4", "None"]
    ), errors
    assert "start as commands" in errors


def test_a_template_that_does_not_answer_is_killed_and_replaced_by_commands(program: Path) -> None:
    lines, errors = run_engine(
        """
        from ninjacam.supervision import template as template_module

        async def go():
            template_module.ANSWER_S = 0.2
            os.kill(template_pid, signal.SIGSTOP)
            launcher = Launcher(template)
            children = await asyncio.gather(*(launcher.start(ENTRY, "x", ["exit", "4"], {}) for _ in range(2)))
            print([(type(child).__name__, await child.wait()) for child in children])
            print(Path(f"/proc/{template_pid}").exists())
        """,
        program,
    )
    assert sorted(lines)[0] == "False", errors
    assert "[('CommandProcess', 4), ('CommandProcess', 4)]" in lines, errors


def test_a_failed_fork_is_an_error_and_the_template_remains(program: Path) -> None:
    lines, errors = run_engine(
        """
        import errno

        def fail(pid):
            raise OSError(errno.EMFILE, "Too many open files")

        real, os.pidfd_open = os.pidfd_open, fail
        full = Template.start()
        os.pidfd_open = real

        async def go():
            launcher = Launcher(full)
            for _ in range(2):
                try:
                    await launcher.start(ENTRY, "x-1", ["sleep"], {})
                except OSError as exc:
                    print(errno.errorcode[exc.errno])
        """,
        program,
    )
    assert [line for line in lines if "[" not in line] == ["EMFILE", "EMFILE"], errors
    assert "start as commands" not in errors


def test_a_fork_whose_descriptor_cannot_be_received_is_killed(program: Path) -> None:
    lines, errors = run_engine(
        """
        import errno, socket

        real = socket.recv_fds

        def receive(*arguments):
            data, descriptors, flags, address = real(*arguments)
            for each in descriptors:
                os.close(each)
            return data, [], flags, address

        async def go():
            socket.recv_fds = receive
            try:
                await Launcher(template).start(ENTRY, "x-1", ["sleep"], {})
            except OSError as exc:
                print(errno.errorcode[exc.errno])
            children = Path(f"/proc/{template_pid}/task/{template_pid}/children")
            while children.read_text():
                await asyncio.sleep(0.01)
            socket.recv_fds = real
            print(await (await Launcher(template).start(ENTRY, "x-1", ["exit", "6"], {})).wait())
        """,
        program,
    )
    assert [line for line in lines if "[" not in line] == ["EMFILE", "6"], errors


def test_the_template_ends_with_the_engine_and_its_forks_continue(program: Path) -> None:
    lines, errors = run_engine(
        """
        async def go():
            child = await template.fork("program", ["sleep"], {}, "ninjacam x")
            print("pids", template_pid, child.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        program,
    )
    pids = [line for line in lines if line.startswith("pids")]
    assert pids, errors
    template, child = map(int, pids[0].split()[1:])
    try:
        wait_until(lambda: not is_alive(template), 10, "end of the template")
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_without_access_to_secrets_is_never_a_fork(program: Path) -> None:
    lines, errors = run_engine(
        """
        async def go():
            os.environ["MARK"] = "secret"
            bare = EntryPoint("program", ("exit",), bare=True)
            child = await Launcher(template).start(bare, "x-1", ["0"], {})
            print(type(child).__name__, await child.wait())
        """,
        program,
    )
    assert sorted(lines) == ["CommandProcess 0", '[["exit", "0"], null]'], errors


def test_an_engine_with_threads_has_no_template() -> None:
    done = run_script(
        """
        import threading
        from ninjacam.supervision.template import Template

        end = threading.Event()
        threading.Thread(target=end.wait).start()
        print(Template.start())
        end.set()
        """
    )
    assert done.stdout == "None\n", done.stderr

"""Forks: how they end, and actions that they must not take on behalf of their parent."""

import pytest

from tests.unit.supervision.scripts import run_script


@pytest.mark.parametrize(
    ("body", "status", "printed"),
    [
        ("pass", 0, ""),
        ("raise SystemExit(3)", 3, ""),
        ("sys.exit('the message')", 1, "the message\n"),
        ("raise ValueError('a bug')", 1, "ValueError: a bug\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
    ],
)
def test_a_fork_exits_with_the_status_of_its_function(body: str, status: int, printed: str) -> None:
    done = run_script(
        f"""
        import os, signal, sys
        from ninjacam.supervision.forking import fork

        def main():
            {body}

        print(fork(main, title="x").wait(10))
        """
    )
    assert done.stdout == f"{status}\n"
    assert done.stderr.endswith(printed) and bool(done.stderr) is bool(printed)


def test_a_fork_runs_only_its_own_exit_handlers() -> None:
    done = run_script(
        """
        import atexit, threading, time
        from ninjacam.supervision.forking import fork

        def main():
            def finish():
                time.sleep(0.1)
                print("the thread has finished", flush=True)
            threading.Thread(target=finish).start()
            atexit.register(print, "the fork's own", flush=True)

        atexit.register(print, "the parent's own")
        try:
            print("once")
            child = fork(main, title="x")
        finally:
            child.wait(10)
            print("finally")
        """
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "once", "the thread has finished", "the fork's own", "finally", "the parent's own",
    ]  # fmt: skip


def test_a_fork_has_default_signals_and_its_own_session_and_title() -> None:
    done = run_script(
        """
        import os, signal, sys
        from pathlib import Path
        from ninjacam.supervision.forking import fork

        def main():
            assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert os.getsid(0) == os.getpid()
            assert os.read(0, 1) == b""
            print(Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode())
            print(Path("/proc/self/comm").read_text().strip())

        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD))
        signal.signal(signal.SIGTERM, lambda *_: None)
        print(fork(main, title="ninjacam web-1").wait(10))
        """
    )
    assert done.stdout.splitlines() == ["ninjacam web-1", "ninjacam web-1", "0"], done.stderr


def test_a_process_with_threads_refuses_to_fork() -> None:
    done = run_script(
        """
        import threading
        from ninjacam.supervision.forking import can_fork

        print(can_fork())
        end = threading.Event()
        thread = threading.Thread(target=end.wait)
        thread.start()
        print(can_fork())
        end.set()
        """
    )
    assert done.stdout.split() == ["True", "False"]


def test_waiting_for_a_fork_has_a_timeout() -> None:
    done = run_script(
        """
        import subprocess, time
        from ninjacam.supervision.forking import fork

        child = fork(lambda: time.sleep(60), title="x")
        try:
            child.wait(0.05)
        except subprocess.TimeoutExpired:
            print(child.poll())
        child.kill()
        print(child.wait(10))
        child.terminate()
        """
    )
    assert (done.stdout.split(), done.stderr) == (["None", "-9"], "")

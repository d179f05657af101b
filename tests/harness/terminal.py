"""Runs a command line in a pseudo-terminal and answers its prompts."""

import os
import pty
import re
import select
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.harness.fair_clock import fair_s


def type_command(
    line: str,
    *,
    cwd: Path,
    environment: Mapping[str, str],
    answers: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> str:
    """Run `line` in a shell on a terminal and return all output.

    `answers`: the input for each regular expression that matches the last output line, every time it matches. Raises:
    AssertionError: the command fails, shows a prompt without an answer, or exceeds `timeout_s`.
    """
    master, slave = pty.openpty()
    child = subprocess.Popen(
        ["bash", "-c", line],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=cwd,
        env={**os.environ, **environment},
        start_new_session=True,
    )
    os.close(slave)
    shown, answered = "", 0
    deadline_s = fair_s() + timeout_s
    try:
        while fair_s() < deadline_s:
            if not select.select([master], [], [], 0.2)[0]:
                if child.poll() is not None:
                    break
                continue
            try:
                data = os.read(master, 65_536)
            except OSError:  # the other side has closed the terminal
                break
            if not data:
                break
            shown += data.decode("utf-8", "replace")
            prompt = shown[answered:].splitlines()[-1] if shown[answered:] else ""
            for pattern, answer in (answers or {}).items():
                if re.search(pattern, prompt):
                    os.write(master, answer.encode() + b"\n")
                    answered = len(shown)
                    break
        status = child.wait(max(0.1, deadline_s - fair_s()))
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{line!r} did not end within {timeout_s} s. It showed:\n{shown}") from None
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)
        os.close(master)
    assert status == 0, f"{line!r} ended with {status}. It showed:\n{shown}"
    return shown

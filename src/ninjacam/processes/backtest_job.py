"""`python -m ninjacam.processes.backtest_job`: runs a processor over video. `ninjacam backtest` starts it.

User code runs here instead of in the command: if it crashes or never returns, only this process ends. Reads lines of
JSON from standard input: `backtest.job.Question`, and then the `Task` objects one by one. Prints {"ready": …}, and
for each task the lines of `backtest.job`.
"""

import argparse
import json
import logging
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ninjacam.core.errors import NinjacamError
from ninjacam.core.limits import confine, die_with_parent, keep_files_private, leave

NICE = 10


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True, help="process that this one ends with")
    keep_files_private()
    die_with_parent(parser.parse_args().parent)
    os.nice(NICE)
    output = os.dup(1)
    os.dup2(2, 1)  # Output of user code must not mix with the job's messages.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    question = json.loads(sys.stdin.readline())
    confine(memory_bytes=resource.RLIM_INFINITY)  # Models map more address space than they use.

    def report(line: dict[str, Any]) -> None:
        data = memoryview(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        while data:
            data = data[os.write(output, data) :]

    try:
        _run(question, report)
    except NinjacamError as exc:
        report({"error": exc.as_dict()})
        leave(1)
    leave()  # Threads of user code may never end.


def _run(question: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> None:
    """Raises: NinjacamError."""
    import cv2
    import django

    django.setup()
    from ninjacam import events
    from ninjacam.backtest.chain import choose_camera, find_chain, warm_up_s
    from ninjacam.backtest.events import EventCollector
    from ninjacam.backtest.job import PartRun, Question, Task
    from ninjacam.backtest.loading import load_processors
    from ninjacam.conf import get_settings
    from ninjacam.core.memory import keep_freed_frames
    from ninjacam.processes.processor_modules import processor_modules

    cv2.setNumThreads(1)
    keep_freed_frames()
    asked = Question.from_dict(question)
    events.send_to(events.discard)  # Importing a module creates no events.
    current = load_processors(processor_modules(get_settings()), asked.processor, asked.camera)
    asked = replace(asked, camera=asked.camera or choose_camera(current, asked.processor))
    chain = find_chain(current, asked.processor, asked.camera)
    names = [each.name for each in chain]
    report({"ready": {"camera": asked.camera, "warm_up_s": warm_up_s(chain), "chain": names}})
    for line in sys.stdin:
        collector = EventCollector()
        events.send_to(collector.put)
        PartRun(asked, chain, collector, report).run(Task.from_dict(json.loads(line)))


if __name__ == "__main__":
    main()

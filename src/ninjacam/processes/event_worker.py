"""`python -m ninjacam.processes.event_worker`: calls processors with `when="events"`. Started by the jobs process.

User code runs here for seconds, holds the interpreter lock, or crashes, and no frame waits for it. Reads one question
per line from standard input (`ninjacam.vision.event_calls`); prints {"phase"} before user code runs, and the answer.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ninjacam.core.limits import confine, die_with_named_parent, keep_files_private, leave

if TYPE_CHECKING:
    from ninjacam.vision.event_calls import Json

NICENESS = 10
"""Decoders and processors of frames get the processor first."""
EVENTS_S = 0.5


def main() -> None:
    die_with_named_parent()
    keep_files_private()
    os.nice(NICENESS)
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Output of user code must not mix with answers.
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")

    import django

    django.setup()

    from django.db import close_old_connections

    from ninjacam import events
    from ninjacam.conf import get_settings
    from ninjacam.core.processor_states import keep_states_in
    from ninjacam.processes.processor_modules import processor_modules
    from ninjacam.processor_writer import ProcessorWriter
    from ninjacam.supervision.crash_record import RunningFile
    from ninjacam.vision.code import ProcessorCode
    from ninjacam.vision.event_calls import EventCalls

    confine(memory_bytes=resource.RLIM_INFINITY)  # Models map more address space than they use.
    running = RunningFile(Path(sys.argv[3]))
    running.watch_ends()
    writer = ProcessorWriter()
    events.send_to(writer.put)
    keep_states_in(writer)

    def send(message: "Json") -> None:
        output.write(json.dumps(message) + "\n")
        output.flush()

    code = ProcessorCode(processor_modules(get_settings()), running=running)
    calls = EventCalls(code, running, lambda phase: send({"phase": phase}))
    for line in sys.stdin:
        close_old_connections()
        send(calls.answer(json.loads(line)))
        close_old_connections()
    running.end_in_order()
    calls.close()
    writer.close(EVENTS_S)
    leave()  # Threads of user code may never end.


if __name__ == "__main__":
    main()

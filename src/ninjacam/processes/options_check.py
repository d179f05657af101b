"""`python -m ninjacam.processes.options_check`: checks values of a processor's options. Started by web workers.

The user's model and its validators run here instead of in a web worker or vision worker: if they crash or never
return, only this process ends. Reads {"module", "processor", "values"} from standard input; prints {"values",
"problems"} or {"error": a sentence}.
"""

import json
import os
import resource
import sys
from typing import Any

from ninjacam.core.errors import ConfigError, ProcessorError
from ninjacam.core.limits import confine, die_with_named_parent, keep_files_private


def main() -> None:
    die_with_named_parent()
    keep_files_private()
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Output of user code must not mix with the answer.
    question = json.load(sys.stdin)
    confine(memory_bytes=resource.RLIM_INFINITY)  # Models map more address space than they use.
    try:
        answer = _check(question)
    except (ConfigError, ProcessorError) as error:
        answer = {"error": error.message}
    except BaseException as exc:  # The boundary to user code.
        from ninjacam.vision.code import one_line

        answer = {"error": f"{question['processor']}: {one_line(exc)}"}
    output.write(json.dumps(answer))
    output.flush()
    os._exit(0)  # Threads of user code may never end.


def _check(question: dict[str, Any]) -> dict[str, Any]:
    """Return the response. Raises: ConfigError, ProcessorError; any exception of user code."""
    import django

    django.setup()
    from ninjacam import events
    from ninjacam.conf import get_settings
    from ninjacam.core.options import fit_options
    from ninjacam.core.ready_made import is_ready_made
    from ninjacam.processes.processor_modules import processor_modules
    from ninjacam.vision.code import ProcessorCode

    events.send_to(events.discard)
    code = ProcessorCode(
        [file for file in processor_modules(get_settings()) if file.name == question["module"]]
    )
    if is_ready_made(question["module"]):
        code.set_ready_made({question["processor"]: ["*"]})
    code.refresh()
    entry = code.current.get(question["processor"])
    if isinstance(entry, ProcessorError):
        raise entry
    if entry is None or entry.options is None:
        raise ProcessorError(code.errors.get(question["module"]) or "The processor has no options any more.")
    fitted = fit_options(entry.options, question["values"])
    return {"values": fitted.values, "problems": fitted.problems}


if __name__ == "__main__":
    main()

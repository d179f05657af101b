"""Loads the processors of a project, and ready-made ones that are named or that these run after."""

from collections.abc import Sequence

from ninjacam.backtest.chain import ANY_CAMERA
from ninjacam.core.errors import ProcessorError
from ninjacam.core.processors import Registration
from ninjacam.vision.chains import MAX_CHAIN, Processors
from ninjacam.vision.code import ModuleFile, ProcessorCode


def load_processors(files: Sequence[ModuleFile], name: str, camera: str) -> Processors:
    """Return all processors by name. A module that does not load has none, or the error in their place.

    Raises: ProcessorError: the processor is not found, and a module does not load.
    """
    code = ProcessorCode(list(files))
    ready_made: dict[str, list[str]] = {}
    wanted = name
    code.refresh()
    for _ in range(MAX_CHAIN):
        if wanted not in code.current:
            ready_made[wanted] = [camera or ANY_CAMERA]
            code.set_ready_made(ready_made)
            code.refresh()
        entry = code.current.get(wanted)
        if not isinstance(entry, Registration) or not entry.after:
            break
        wanted = entry.after
    if name not in code.current and code.errors:
        module, text = next(iter(code.errors.items()))
        raise ProcessorError(f"No processor “{name}”: {module} does not load.", traceback=text)
    return code.current

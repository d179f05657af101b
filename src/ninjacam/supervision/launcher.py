"""Starts the children of the engine: as forks of the template if possible, otherwise as commands."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ninjacam.core.interpreter import bare_environment, full_environment, python_command
from ninjacam.supervision.started import CommandProcess, StartedProcess
from ninjacam.supervision.template import Template, TemplateGoneError

logger = logging.getLogger("ninjacam.supervision")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """The entry point of a kind of process.

    `module`: has a function `main(arguments)`, and calls it under `python -m`. `bare`: the process must not have the
    secrets in this process's environment and memory, so it is never forked.
    """

    module: str
    arguments: tuple[str, ...] = ()
    bare: bool = False


class Launcher:
    """Starts processes. Without a `template`, all of them start as commands."""

    def __init__(self, template: Template | None = None) -> None:
        self._template = template

    async def start(
        self, entry: EntryPoint, name: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> StartedProcess:
        """Start a process. `environment`: additional variables. Raises: OSError."""
        arguments = [*entry.arguments, *arguments]
        if self._template is not None and not entry.bare:
            try:
                return await self._template.fork(entry.module, arguments, environment, f"ninjacam {name}")
            except TemplateGoneError:
                logger.warning("the template process has ended: processes start as commands from now on")
                self._template = None
        inherited = bare_environment() if entry.bare else full_environment()
        return CommandProcess(python_command(entry.module, *arguments), {**inherited, **environment})

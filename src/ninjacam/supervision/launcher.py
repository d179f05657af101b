"""Starting the children of the engine: as forks of the template where that is possible, else as commands."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ninjacam.core.interpreter import bare_environment, full_environment, python_command
from ninjacam.supervision.started import CommandProcess, StartedProcess
from ninjacam.supervision.template import Template, TemplateGoneError

logger = logging.getLogger("ninjacam.supervision")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """`module`: has a function `main(arguments)`, and calls it where it is run by `python -m`.

    `bare`: without the secrets that are in our environment and memory; then it is never a fork.
    """

    module: str
    arguments: tuple[str, ...] = ()
    bare: bool = False


class Launcher:
    """`template`: None: everything is started as a command."""

    def __init__(self, template: Template | None = None) -> None:
        self._template = template

    async def start(
        self, entry: EntryPoint, name: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> StartedProcess:
        """`environment`: additional variables. Raises: OSError."""
        arguments = [*entry.arguments, *arguments]
        if self._template is not None and not entry.bare:
            try:
                return await self._template.fork(entry.module, arguments, environment, f"ninjacam {name}")
            except TemplateGoneError:
                logger.warning(
                    "the template process has ended: other processes start as commands from now on"
                )
                self._template = None
        inherited = bare_environment() if entry.bare else full_environment()
        return CommandProcess(python_command(entry.module, *arguments), {**inherited, **environment})

"""The help of each command."""

import io
import pkgutil

import pytest
from django.core.management import load_command_class

from ninjacam.management import commands

NAMES = sorted(each.name for each in pkgutil.iter_modules(commands.__path__) if each.name != "runserver")
"""All but that of Django."""
OF_DJANGO = (
    "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color",
    "--skip-checks",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_each_command_hides_options_of_django_and_explains_ours(name: str) -> None:
    parser = load_command_class("ninjacam", name).create_parser("ninjacam", name.removeprefix("ninjacam_"))
    parser.print_help(file := io.StringIO())
    assert [option for option in OF_DJANGO if option in file.getvalue()] == []
    assert parser.description


def test_all_commands_are_found() -> None:
    assert {f"ninjacam_{verb}" for verb in ("add", "list", "show", "set", "remove")} <= set(NAMES)

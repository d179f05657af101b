"""Base classes of our commands: one readable sentence per error, and the operator as the actor."""

import getpass
import os
import sys
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from ninjacam.auth import LocalOperator
from ninjacam.core.errors import NinjacamError
from ninjacam.core.redact import redact_url

OPERATOR = LocalOperator()


class OwnCommand(BaseCommand):
    """Format help with our options only; Django's work as well. New files are private to this user (umask
    077).
    """

    requires_system_checks = ()
    suppressed_base_arguments = {
        "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color",
        "--skip-checks",
    }  # fmt: skip
    private_files = True

    def execute(self, *args: Any, **options: Any) -> str | None:
        before = os.umask(0o077) if self.private_files else None
        try:
            return super().execute(*args, **options)
        finally:
            if before is not None:
                os.umask(before)


class NinjacamCommand(OwnCommand):
    """Subclasses implement `run`. A NinjacamError ends the command with status 1 and its message on stderr."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.run(options)
        except NinjacamError as error:
            raise CommandError(redact_url(error.message)) from error
        except DatabaseError as error:
            raise CommandError(f"The database reports an error: {error}. Did you run `migrate`?") from error
        except (KeyboardInterrupt, EOFError) as error:
            raise CommandError("Interrupted.", returncode=130) from error

    def run(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def warn(self, sentence: str) -> None:
        self.stderr.write(self.style.WARNING(sentence))


def read_password(*, from_stdin: bool, prompt: str, confirm: bool = False) -> str:
    """Read a password from the first line of standard input, or prompt for it. Never take it from an
    argument: every user can read the process list.

    Raises: CommandError: there is no terminal, or the two entries differ.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to prompt for the password. Use --password-stdin.")
    password = getpass.getpass(prompt)
    if confirm and getpass.getpass("Password (again): ") != password:
        raise CommandError("The two passwords do not match.")
    return password


def find_user(name: str | None) -> AbstractBaseUser:
    """Return the user with this name, or the first superuser. Raises: CommandError: there is none."""
    model = get_user_model()
    if name:
        user = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
        if user is None:
            raise CommandError(f"No user {name!r}. Create one: ninjacam createuser {name}")
        return user
    user = model._default_manager.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if user is None:
        raise CommandError("There is no administrator yet. Create one: ninjacam createuser NAME --admin")
    return user

"""What our commands share: one readable sentence for an error, and the person at the keyboard as the actor."""

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
    """Help that shows our options and not Django's, which all work. Files are made for this user only (umask 077)."""

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
    """`run` does the work; what it raises on purpose ends the command with status 1 and its sentence on stderr."""

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.run(options)
        except NinjacamError as error:
            raise CommandError(redact_url(error.message)) from error
        except DatabaseError as error:
            raise CommandError(
                f"The database does not answer as expected: {error}. Has `migrate` been run?"
            ) from error
        except (KeyboardInterrupt, EOFError) as error:
            raise CommandError("Interrupted.", returncode=130) from error

    def run(self, options: dict[str, Any]) -> None:
        raise NotImplementedError

    def warn(self, sentence: str) -> None:
        self.stderr.write(self.style.WARNING(sentence))


def read_password(*, from_stdin: bool, prompt: str, confirm: bool = False) -> str:
    """From the first line of standard input, or asked for. Never from an argument: the process list is public.

    Raises: CommandError: there is nobody to ask, or two entries differ.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to ask for the password: use --password-stdin.")
    password = getpass.getpass(prompt)
    if confirm and getpass.getpass("The same again: ") != password:
        raise CommandError("The two passwords differ.")
    return password


def find_user(name: str | None) -> AbstractBaseUser:
    """The user of that name; without a name, the first superuser. Raises: CommandError: there is none."""
    model = get_user_model()
    if name:
        user = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
        if user is None:
            raise CommandError(f"There is no user {name!r}. Make one: ninjacam createuser {name}")
        return user
    user = model._default_manager.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if user is None:
        raise CommandError("There is no administrator yet. Make one: ninjacam createuser NAME --admin")
    return user

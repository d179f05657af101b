"""`ninjacam createuser`: somebody who may sign in."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from ninjacam.management.base import NinjacamCommand, read_password


class Command(NinjacamCommand):
    help = "Make a user, or give one a new password. The first user is an administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="asked for if missing")
        parser.add_argument("--admin", action="store_true", help="may do everything")
        parser.add_argument("--update", action="store_true", help="the user exists: set password and --admin")
        password = parser.add_mutually_exclusive_group()
        password.add_argument(
            "--password-stdin", action="store_true", help="the first line of standard input"
        )
        password.add_argument("--generate", action="store_true", help="make a password and print it")

    def run(self, options: dict[str, Any]) -> None:
        users = get_user_model()._default_manager
        name = options["username"] or input("User name: ").strip()
        if not name:
            raise CommandError("A user needs a name.")
        if not name.isprintable():
            raise CommandError("The user name has characters that nobody could type.")
        user = users.filter(**{users.model.USERNAME_FIELD: name}).first()
        if (user is not None) != options["update"]:
            state, hint = (
                ("is no user", "Leave out --update") if user is None else ("exists already", "Use --update")
            )
            raise CommandError(f"{name!r} {state}. {hint}, or choose another name.")
        is_first = not users.filter(is_superuser=True).exists()
        if user is None:
            user = users.model(**{users.model.USERNAME_FIELD: name})
        if options["generate"]:
            password = secrets.token_urlsafe(12)
        else:
            password = read_password(from_stdin=options["password_stdin"], prompt="Password: ", confirm=True)
        try:
            validate_password(password, user)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        if options["admin"] or is_first:
            user.is_staff = user.is_superuser = True
        user.set_password(password)
        try:
            user.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        user.save()  # actions.audit_signals puts it on record
        kind = "Administrator" if user.is_superuser else "User"
        self.stdout.write(f"{kind} {name} can sign in.")
        if options["generate"]:
            self.stdout.write(f"Password: {password}")

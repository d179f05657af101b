"""`ninjacam createuser`: create a user or change a password."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from ninjacam.management.base import NinjacamCommand, read_password


class Command(NinjacamCommand):
    help = "Create a user, or change a user's password. The first user becomes an administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="prompted for if missing")
        parser.add_argument("--admin", action="store_true", help="make the user an administrator")
        parser.add_argument(
            "--update",
            action="store_true",
            help="change the password, --admin and --email of an existing user",
        )
        parser.add_argument("--email", help="the address for e-mails of rules")
        password = parser.add_mutually_exclusive_group()
        password.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from the first line of standard input",
        )
        password.add_argument("--generate", action="store_true", help="generate a password and print it")

    def run(self, options: dict[str, Any]) -> None:
        users = get_user_model()._default_manager
        name = options["username"] or input("User name: ").strip()
        if not name:
            raise CommandError("A user name is required.")
        if not name.isprintable():
            raise CommandError("The user name contains characters that cannot be typed.")
        user = users.filter(**{users.model.USERNAME_FIELD: name}).first()
        if (user is not None) != options["update"]:
            state, hint = (
                ("does not exist", "Omit --update") if user is None else ("already exists", "Use --update")
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
        if options["email"] is not None:
            setattr(user, users.model.get_email_field_name(), options["email"])
        user.set_password(password)
        try:
            user.full_clean()
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        user.save()  # `actions.audit_signals` records it.
        kind = "Administrator" if user.is_superuser else "User"
        self.stdout.write(f"{kind} {name} can log in.")
        if options["generate"]:
            self.stdout.write(f"Password: {password}")

"""`ninjacam token create|list|revoke`: manage API tokens."""

from argparse import ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from ninjacam.actions.tokens import create_token, revoke_token
from ninjacam.management.base import OPERATOR, NinjacamCommand, find_user
from ninjacam.models import ApiToken

MAX_DAYS = 36_500


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1
    if not 0 <= days <= MAX_DAYS:
        raise ArgumentTypeError(f"{text!r} is not a number of days from 1 to {MAX_DAYS}")
    return days


class Command(NinjacamCommand):
    help = "Create, list and revoke API tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="create a token, printed as the last word of the output")
        create.add_argument("name", help="purpose of the token")
        create.add_argument("--user", help="owner; default: the first administrator")
        create.add_argument(
            "--scope",
            action="append",
            dest="scopes",
            help="view, replay, export, control, configure, one of these for a camera as view:door, metrics, or "
            "'*' for all; repeatable; default: view",
        )
        create.add_argument("--expires-days", type=_days, help="default: never")
        listing = verbs.add_parser("list", help="list tokens")
        listing.add_argument("--user", help="only this user's tokens")
        revoke = verbs.add_parser("revoke", help="revoke a token")
        revoke.add_argument("prefix", help="prefix from `token list`, or the token itself")

    def run(self, options: dict[str, Any]) -> None:
        {"create": self._create, "list": self._list, "revoke": self._revoke}[options["verb"]](options)

    def _create(self, options: dict[str, Any]) -> None:
        user = find_user(options["user"])
        days = options["expires_days"]
        expires_at = timezone.now() + timedelta(days=days) if days is not None else None
        token, secret = create_token(
            OPERATOR, user, options["name"], options["scopes"] or ["view"], expires_at
        )
        self.stdout.write(
            f"Token {token.name!r} of {user.get_username()} ({', '.join(token.scopes)}), shown only once: {secret}"
        )

    def _list(self, options: dict[str, Any]) -> None:
        tokens = ApiToken.objects.select_related("user")
        if options["user"]:
            tokens = tokens.filter(user_id=find_user(options["user"]).pk)
        for token in tokens:
            state = "usable" if token.is_usable() else "revoked" if token.revoked_at else "expired"
            used = (
                f"{timezone.localtime(token.last_used_at):%Y-%m-%d %H:%M}" if token.last_used_at else "never"
            )
            self.stdout.write(
                f"{token.prefix}  {state}  {token.user.get_username()}  {','.join(token.scopes)}  "
                f"last used {used}  {token.name}"
            )

    def _revoke(self, options: dict[str, Any]) -> None:
        given = options["prefix"]
        prefix = given.split("_")[1] if given.startswith("nc_") and given.count("_") == 2 else given
        token = ApiToken.objects.select_related("user").filter(prefix=prefix).first()
        if token is None:
            raise CommandError("No such token. Run `ninjacam token list` to see all tokens.")
        revoke_token(OPERATOR, token)
        self.stdout.write(f"Revoked token {token.name!r}.")

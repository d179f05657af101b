"""Rules, for administrators: users with Django's permissions for rules, with full scope."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import Rule


def require_rules(actor: Actor, verb: str) -> None:
    """Check the permission. `verb`: view, add, change or delete. Raises: ForbiddenError."""
    if not actor.may_all(f"{verb}_rule"):
        raise ForbiddenError(_("You need the permission “%(name)s”.") % {"name": f"ninjacam.{verb}_rule"})


def list_rules(actor: Actor) -> QuerySet[Rule]:
    """Raises: ForbiddenError."""
    require_rules(actor, "view")
    return Rule.objects.order_by("pk").prefetch_related("recipients")


def get_rule(actor: Actor, rule_id: int) -> Rule:
    """Raises: ForbiddenError, NotFoundError."""
    rule = list_rules(actor).filter(pk=rule_id).first()
    if rule is None:
        raise NotFoundError(_("No rule %(id)s.") % {"id": rule_id})
    return rule

"""Create, change and delete rules. For administrators (`queries.rules`). Not here: their actions (`rule_actions`)."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.conditions import ConditionFields, check_conditions
from ninjacam.auth import Actor
from ninjacam.core.errors import InvalidError, NotFoundError, QuotaError
from ninjacam.models import Rule
from ninjacam.models.foreign_keys import check_foreign_keys, lock_for_deletion
from ninjacam.models.rule import MAX_RECIPIENTS, MAX_RULES
from ninjacam.queries.rules import require_rules


class RuleFields(ConditionFields, total=False):
    """The fields of a rule that a user may set. `recipients`: names of users. Missing values stay unchanged."""

    name: str
    record: bool
    protect: bool
    notify: bool
    recipients: list[str]
    max_per_hour: int


@audited
def create_rule(actor: Actor, fields: RuleFields) -> Rule:
    """Raises: ForbiddenError, InvalidError; QuotaError: there are too many rules."""
    require_rules(actor, "add")
    with transaction.atomic():
        rule = _save(Rule(), fields)
        if Rule.objects.count() > MAX_RULES:
            raise QuotaError(_("There are at most %(count)s rules. Delete one first.") % {"count": MAX_RULES})
    record(actor, "rule.create", str(rule.pk), name=rule.name, fields=sorted(fields))
    return rule


@audited
def update_rule(actor: Actor, rule: Rule, fields: RuleFields) -> Rule:
    """Change the fields in `fields`. Raises: ForbiddenError, InvalidError; NotFoundError: it was deleted."""
    require_rules(actor, "change")
    with transaction.atomic():
        # Others may have changed or deleted it since it was read.
        present = Rule.objects.select_for_update().filter(pk=rule.pk).first()
        if present is None:
            raise NotFoundError(_("No rule %(id)s.") % {"id": rule.pk})
        _save(present, fields)
    record(actor, "rule.update", str(present.pk), name=present.name, fields=sorted(fields))
    return present


@audited
def delete_rule(actor: Actor, rule: Rule) -> None:
    """Delete a rule with its deliveries. Raises: ForbiddenError."""
    require_rules(actor, "delete")
    pk = rule.pk
    with transaction.atomic():
        lock_for_deletion(rule)
        rule.delete()
    record(actor, "rule.delete", str(pk), name=rule.name)


def assign_rule(rule: Rule, fields: RuleFields) -> None:
    """Check the fields besides the recipients and set them. Does not save. Raises: InvalidError."""
    for name, value in fields.items():
        if name != "recipients":
            setattr(rule, name, value)
    check_conditions(rule)


def _save(rule: Rule, fields: RuleFields) -> Rule:
    """Raises: InvalidError."""
    if "recipients" in fields:
        rule.only_recipients = bool(fields["recipients"])
    assign_rule(rule, fields)
    rule.save()
    if "recipients" in fields:
        try:
            with transaction.atomic():
                rule.recipients.set(_users(fields["recipients"]))
                check_foreign_keys()
        except IntegrityError as error:
            raise InvalidError.of("recipients", _("A user was deleted. Reload, and try again.")) from error
    return rule


def _users(names: list[str]) -> list[Any]:
    """Raises: InvalidError."""
    wanted = set(names)
    if len(wanted) > MAX_RECIPIENTS:
        raise InvalidError.of("recipients", _("Use at most %(count)s users.") % {"count": MAX_RECIPIENTS})
    model: Any = get_user_model()
    found = {
        user.get_username(): user
        for user in model._default_manager.filter(**{f"{model.USERNAME_FIELD}__in": wanted})
    }
    if unknown := wanted - found.keys():
        raise InvalidError.of("recipients", _("No user “%(name)s”.") % {"name": min(unknown)[:150]})
    return list(found.values())

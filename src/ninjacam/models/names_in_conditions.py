"""The names of cameras and profiles in the conditions of webhooks, rules and notifications."""

from typing import Literal, TypeAlias

from ninjacam.models.conditions import EventConditions

Field: TypeAlias = Literal["cameras", "profiles"]


def find_naming(field: Field, name: str) -> list[EventConditions]:
    """Return the webhooks and rules whose condition contains this name. What users want to be notified of is not
    included: it prevents no deletion.
    """
    from ninjacam.models.rule import Rule
    from ninjacam.models.webhook import Webhook

    rows: list[EventConditions] = [*Webhook._default_manager.all(), *Rule._default_manager.all()]
    return [row for row in rows if name in getattr(row, field)]


def rename_in_conditions(field: Field, old: str, new: str) -> None:
    """Change a name in all conditions. Call it in the transaction that renames the camera or profile."""
    from ninjacam.models.notification import NotificationChoice

    choices = [row for row in NotificationChoice._default_manager.all() if old in getattr(row, field)]
    for row in (*find_naming(field, old), *choices):
        names = [new if name == old else name for name in getattr(row, field)]
        type(row)._default_manager.filter(pk=row.pk).update(**{field: names})

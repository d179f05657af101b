"""Webhooks and their deliveries, for administrators: users with Django's permissions for webhooks, with full scope."""

from collections import Counter
from collections.abc import Collection
from typing import Literal

from django.db.models import Count, QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import DeliveryState, Rule, Webhook, WebhookDelivery


def require_webhooks(actor: Actor, verb: str) -> None:
    """Check the permission. `verb`: view, add, change or delete. Raises: ForbiddenError."""
    if not actor.may_all(f"{verb}_webhook"):
        raise ForbiddenError(_("You need the permission “%(name)s”.") % {"name": f"ninjacam.{verb}_webhook"})


def list_webhooks(actor: Actor) -> QuerySet[Webhook]:
    """Raises: ForbiddenError."""
    require_webhooks(actor, "view")
    return Webhook.objects.order_by("pk")


def get_webhook(actor: Actor, webhook_id: int) -> Webhook:
    """Raises: ForbiddenError, NotFoundError."""
    webhook = list_webhooks(actor).filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFoundError(_("No webhook %(id)s.") % {"id": webhook_id})
    return webhook


def count_deliveries(target: Literal["webhook", "rule"], keys: Collection[int]) -> dict[int, Counter[str]]:
    """Return the numbers of waiting and dead deliveries of webhooks or rules, by their ids. The caller has checked the
    permission.
    """
    counts: dict[int, Counter[str]] = {key: Counter() for key in keys}
    rows = WebhookDelivery.objects.filter(**{f"{target}__in": keys}).exclude(state=DeliveryState.DELIVERED)
    for row in rows.order_by().values(f"{target}_id", "state").annotate(count=Count("pk")):
        counts[row[f"{target}_id"]][row["state"]] = row["count"]
    return counts


def list_deliveries(target: Webhook | Rule, state: str = "") -> QuerySet[WebhookDelivery]:
    """Return the deliveries of a webhook or a rule, newest first; only those in `state`, if given. The caller has
    checked the permission.
    """
    found = target.deliveries.order_by("-pk")
    return found.filter(state=state) if state else found


def get_delivery(target: Webhook | Rule, delivery_id: int) -> WebhookDelivery:
    """Return a delivery of a webhook or a rule. The caller has checked the permission. Raises: NotFoundError."""
    found = list_deliveries(target).filter(pk=delivery_id).first()
    if found is None:
        raise NotFoundError(_("“%(name)s” has no delivery %(id)s.") % {"name": target, "id": delivery_id})
    return found

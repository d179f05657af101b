"""Webhooks and their deliveries, for administrators: users with Django's permissions for webhooks, with full scope."""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import Webhook, WebhookDelivery


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


def list_deliveries(actor: Actor, webhook_id: int, state: str = "") -> QuerySet[WebhookDelivery]:
    """Return the deliveries of a webhook, newest first; only those in `state`, if given.

    Raises: ForbiddenError, NotFoundError.
    """
    found = get_webhook(actor, webhook_id).deliveries.order_by("-pk")
    return found.filter(state=state) if state else found


def get_delivery(actor: Actor, webhook_id: int, delivery_id: int) -> WebhookDelivery:
    """Raises: ForbiddenError, NotFoundError."""
    found = list_deliveries(actor, webhook_id).filter(pk=delivery_id).select_related("webhook").first()
    if found is None:
        raise NotFoundError(_("The webhook has no delivery %(id)s.") % {"id": delivery_id})
    return found

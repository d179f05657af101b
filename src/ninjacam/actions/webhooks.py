"""Create, change and delete webhooks, and retry their deliveries. For administrators (`queries.webhooks`)."""

import re
import secrets

from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.conditions import ConditionFields, check_conditions
from ninjacam.auth import Actor
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConfigError, ConflictError, InvalidError, QuotaError
from ninjacam.languages import translate
from ninjacam.models import DeliveryState, Webhook, WebhookDelivery
from ninjacam.models.foreign_keys import lock_for_deletion
from ninjacam.models.webhook import MAX_WEBHOOKS
from ninjacam.queries.rules import require_rules
from ninjacam.queries.webhooks import require_webhooks
from ninjacam.webhooks.outbox import is_free
from ninjacam.webhooks.request import check_url

MIN_SECRET_CHARS, MAX_SECRET_CHARS = 16, 200
_SECRET = re.compile(rf"[!-~]{{{MIN_SECRET_CHARS},{MAX_SECRET_CHARS}}}\Z")


class WebhookFields(ConditionFields, total=False):
    """The fields of a webhook that a user may set. Missing values stay unchanged."""

    name: str
    url: str
    secret: str
    verify_tls: bool
    on_begin: bool
    on_end: bool


@audited
def create_webhook(actor: Actor, fields: WebhookFields) -> tuple[Webhook, str]:
    """Return the webhook and its secret, which is created if none is given.

    Raises: ForbiddenError, InvalidError; QuotaError: there are too many webhooks.
    """
    require_webhooks(actor, "add")
    webhook = Webhook()
    given = fields.get("secret") or f"whsec_{secrets.token_urlsafe(32)}"
    assign_webhook(webhook, WebhookFields(**{**fields, "secret": given}))
    with transaction.atomic():
        if Webhook.objects.count() >= MAX_WEBHOOKS:
            raise QuotaError(
                _("There are at most %(count)s webhooks. Delete one first.") % {"count": MAX_WEBHOOKS}
            )
        webhook.save()
    record(actor, "webhook.create", str(webhook.pk), name=webhook.name, url=webhook.url)
    return webhook, given


@audited
def update_webhook(actor: Actor, webhook: Webhook, fields: WebhookFields) -> Webhook:
    """Change the fields in `fields`. Deliveries that wait are sent to the new URL. Raises: ForbiddenError,
    InvalidError.
    """
    require_webhooks(actor, "change")
    assign_webhook(webhook, fields)
    webhook.save()
    record(
        actor, "webhook.update", str(webhook.pk), name=webhook.name, fields=sorted(fields), url=webhook.url
    )
    return webhook


@audited
def delete_webhook(actor: Actor, webhook: Webhook) -> None:
    """Delete a webhook with its deliveries. Raises: ForbiddenError."""
    require_webhooks(actor, "delete")
    pk = webhook.pk
    with transaction.atomic():
        lock_for_deletion(webhook)
        webhook.delete()
    record(actor, "webhook.delete", str(pk), name=webhook.name)


@audited
def retry_delivery(actor: Actor, delivery: WebhookDelivery) -> WebhookDelivery:
    """Send a failed or waiting delivery of a webhook or a rule at once, with all its attempts again.

    Raises: ForbiddenError; ConflictError: it was delivered, or is being sent.
    """
    is_of_rule = delivery.rule_id is not None
    (require_rules if is_of_rule else require_webhooks)(actor, "change")
    now_ns = SYSTEM_CLOCK.wall_ns()
    held = WebhookDelivery.objects.filter(is_free(now_ns), pk=delivery.pk)
    changed = held.exclude(state=DeliveryState.DELIVERED).update(
        state=DeliveryState.WAITING, attempts=0, next_try_ns=now_ns, ended_ns=None, leased_until_ns=0
    )
    if not changed:
        raise ConflictError(_("The delivery has arrived, or is being sent. There is nothing to retry."))
    verb, subject = ("rule.retry", delivery.rule_id) if is_of_rule else ("webhook.retry", delivery.webhook_id)
    record(actor, verb, str(subject), delivery=delivery.pk, event=delivery.event_id)
    delivery.refresh_from_db()
    return delivery


def assign_webhook(webhook: Webhook, fields: WebhookFields) -> None:
    """Check the fields and set them. Does not save. Raises: InvalidError."""
    _assign_target(webhook, fields)
    for name, value in fields.items():
        if name not in ("url", "secret"):
            setattr(webhook, name, value)
    check_conditions(webhook)


def _assign_target(webhook: Webhook, fields: WebhookFields) -> None:
    """Raises: InvalidError."""
    if "url" not in fields and "secret" not in fields:
        return
    try:
        url, secret = webhook.target() if webhook.credentials else ("", "")
    except ConfigError as error:
        if "url" not in fields or "secret" not in fields:
            raise InvalidError.of("secret", translate(error.text)) from error
        url = secret = ""
    if "secret" in fields:
        secret = fields["secret"]
        if not _SECRET.match(secret):
            raise InvalidError.of("secret", _("Use 16 to 200 characters of ASCII without spaces."))
    given = fields.get("url", "").strip()
    if given and (given != webhook.url or not url):
        try:
            check_url(given)
        except ConfigError as error:
            raise InvalidError.of("url", translate(error.text)) from error
        url = given
    if not url:
        raise InvalidError.of("url", _("Enter the URL of the receiver."))
    webhook.set_target(url, secret)

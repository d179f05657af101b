"""Create, change and delete webhooks, and retry their deliveries. For administrators (`queries.webhooks`)."""

import re
import secrets
from typing import TypedDict

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import invalid
from ninjacam.auth import Actor
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConfigError, ConflictError, InvalidError, QuotaError
from ninjacam.models import Camera, DeliveryState, Webhook, WebhookDelivery
from ninjacam.models.foreign_keys import lock_for_deletion
from ninjacam.models.webhook import MAX_DURATION_S, MAX_NAMES, MAX_WEBHOOKS
from ninjacam.queries.webhooks import require_webhooks
from ninjacam.webhooks.outbox import is_free
from ninjacam.webhooks.request import check_url

MIN_SECRET_CHARS, MAX_SECRET_CHARS = 16, 200
_SECRET = re.compile(rf"[!-~]{{{MIN_SECRET_CHARS},{MAX_SECRET_CHARS}}}\Z")
_KIND = re.compile(r"[a-z0-9_]{1,32}\Z")


class WebhookFields(TypedDict, total=False):
    """The fields of a webhook that a user may set. Missing values stay unchanged."""

    name: str
    url: str
    secret: str
    verify_tls: bool
    enabled: bool
    on_begin: bool
    on_end: bool
    cameras: list[str]
    kinds: list[str]
    label: str
    zone: str
    min_score: float | None
    min_duration_s: float
    schedule: str


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
    """Send a failed or waiting delivery at once, with all its attempts again.

    Raises: ForbiddenError; ConflictError: it was delivered, or is being sent.
    """
    require_webhooks(actor, "change")
    now_ns = SYSTEM_CLOCK.wall_ns()
    held = WebhookDelivery.objects.filter(is_free(now_ns), pk=delivery.pk)
    changed = held.exclude(state=DeliveryState.DELIVERED).update(
        state=DeliveryState.WAITING, attempts=0, next_try_ns=now_ns, ended_ns=None, leased_until_ns=0
    )
    if not changed:
        raise ConflictError(_("The delivery has arrived, or is being sent. There is nothing to retry."))
    record(actor, "webhook.retry", str(delivery.webhook_id), delivery=delivery.pk, event=delivery.event_id)
    delivery.refresh_from_db()
    return delivery


def assign_webhook(webhook: Webhook, fields: WebhookFields) -> None:
    """Check the fields and set them. Does not save. Raises: InvalidError."""
    _assign_target(webhook, fields)
    for name, value in fields.items():
        if name not in ("url", "secret"):
            setattr(webhook, name, value)
    _check_cameras(webhook)
    _check_names("kinds", webhook.kinds)
    if not all(_KIND.match(kind) for kind in webhook.kinds):
        raise InvalidError.of("kinds", _("A kind has 1 to 32 characters of a-z, 0-9 and _."))
    if webhook.min_score is not None and not 0 <= webhook.min_score <= 1:
        raise InvalidError.of("min_score", _("Use a number from 0 to 1."))
    if not 0 <= webhook.min_duration_s <= MAX_DURATION_S:
        raise InvalidError.of("min_duration_s", _("Use a number of seconds from 0 to 86400."))
    try:
        webhook.full_clean()
    except ValidationError as error:
        raise invalid(error) from error


def _assign_target(webhook: Webhook, fields: WebhookFields) -> None:
    """Raises: InvalidError."""
    if "url" not in fields and "secret" not in fields:
        return
    try:
        url, secret = webhook.target() if webhook.credentials else ("", "")
    except ConfigError as error:
        if "url" not in fields or "secret" not in fields:
            raise InvalidError.of("secret", error.message) from error
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
            raise InvalidError.of("url", error.message) from error
        url = given
    if not url:
        raise InvalidError.of("url", _("Enter the URL of the receiver."))
    webhook.set_target(url, secret)


def _check_names(field: str, names: object) -> None:
    """Raises: InvalidError."""
    if not isinstance(names, list) or len(names) > MAX_NAMES or not all(isinstance(n, str) for n in names):
        raise InvalidError.of(field, _("Use a list of at most %(count)s names.") % {"count": MAX_NAMES})


def _check_cameras(webhook: Webhook) -> None:
    """Check the cameras of a webhook. Cameras deleted since then may stay in the list. Raises: InvalidError."""
    _check_names("cameras", webhook.cameras)
    before = Webhook.objects.filter(pk=webhook.pk).values_list("cameras", flat=True).first() or []
    new = set(webhook.cameras) - set(before)
    unknown = new - set(Camera.objects.filter(slug__in=new).values_list("slug", flat=True))
    if unknown:
        raise InvalidError.of("cameras", _("No camera “%(slug)s”.") % {"slug": min(unknown)[:50]})

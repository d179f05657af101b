"""Webhooks and their deliveries, for administrators."""

from collections.abc import Sequence
from typing import Literal, cast

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import webhooks as actions
from ninjacam.actions.webhooks import WebhookFields
from ninjacam.api.auth import principal
from ninjacam.api.schemas.conditions import conditions_of
from ninjacam.api.schemas.fields import RowId, plain
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.webhooks import (
    DeliveriesQuery,
    DeliveryOut,
    DeliveryPage,
    State,
    WebhookCreated,
    WebhookIn,
    WebhookOut,
    WebhookPage,
    WebhookPatch,
)
from ninjacam.core.times import to_datetime
from ninjacam.models import DeliveryState, Webhook, WebhookDelivery
from ninjacam.queries import webhooks as queries
from ninjacam.queries.pages import paginate

router = Router()
CONFLICT = {
    "description": "The delivery has arrived, or is being sent",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@router.get("", response=WebhookPage, operation_id="list_webhooks", summary="List webhooks")
def list_webhooks(request: HttpRequest, query: Query[PageQuery]) -> WebhookPage:
    """All webhooks. Needs the permission to view webhooks, with full scope."""
    page = paginate(queries.list_webhooks(principal(request)), ("pk",), query.after, query.limit)
    return WebhookPage(items=_webhooks_out(page.items), next=page.next)


@router.post("", response={201: WebhookCreated}, operation_id="create_webhook", summary="Create webhook")
def create_webhook(request: HttpRequest, webhook: WebhookIn) -> Status[WebhookCreated]:
    """Events that meet all conditions are posted to the URL from now on, at least once, and signed with the secret.
    docs/webhooks.md describes the requests. At most 50 webhooks. Needs the permission to add webhooks."""
    fields = cast(WebhookFields, plain(webhook.dict(exclude_none=True)))
    made, secret = actions.create_webhook(principal(request), fields)
    return Status(201, WebhookCreated(**_webhook_out(made).dict(), secret=secret))


@router.get("/{int:webhook_id}", response=WebhookOut, operation_id="get_webhook", summary="Get webhook")
def get_webhook(request: HttpRequest, webhook_id: RowId) -> WebhookOut:
    """One webhook."""
    return _webhook_out(queries.get_webhook(principal(request), webhook_id))


@router.patch(
    "/{int:webhook_id}", response=WebhookOut, operation_id="update_webhook", summary="Change webhook"
)
def update_webhook(request: HttpRequest, webhook_id: RowId, change: WebhookPatch) -> WebhookOut:
    """Deliveries that wait are sent to the new URL, with the new secret. While a webhook is disabled, they stay, and no
    others are added. Needs the permission to change webhooks."""
    who = principal(request)
    fields = cast(WebhookFields, plain(change.dict(exclude_unset=True)))
    return _webhook_out(actions.update_webhook(who, queries.get_webhook(who, webhook_id), fields))


@router.delete(
    "/{int:webhook_id}", response={204: None}, operation_id="delete_webhook", summary="Delete webhook"
)
def delete_webhook(request: HttpRequest, webhook_id: RowId) -> Status[None]:
    """Its deliveries are deleted, too. Needs the permission to delete webhooks."""
    who = principal(request)
    actions.delete_webhook(who, queries.get_webhook(who, webhook_id))
    return Status(204, None)


@router.get(
    "/{int:webhook_id}/deliveries",
    response=DeliveryPage,
    operation_id="list_deliveries",
    summary="List deliveries",
)
def list_deliveries(request: HttpRequest, webhook_id: RowId, query: Query[DeliveriesQuery]) -> DeliveryPage:
    """Deliveries of a webhook, newest first. Delivered ones are kept for 7 days, dead ones for 30 days."""
    found = queries.list_deliveries(queries.get_webhook(principal(request), webhook_id), query.state or "")
    page = paginate(found, ("-pk",), query.after, query.limit)
    return DeliveryPage(items=[delivery_out(each) for each in page.items], next=page.next)


@router.post(
    "/{int:webhook_id}/deliveries/{int:delivery_id}/retry",
    response=DeliveryOut,
    operation_id="retry_delivery",
    summary="Retry delivery",
    openapi_extra={"responses": {409: CONFLICT}},
)
def retry_delivery(request: HttpRequest, webhook_id: RowId, delivery_id: RowId) -> DeliveryOut:
    """Send a dead or waiting delivery at once, with the same key. Needs the permission to change webhooks."""
    who = principal(request)
    delivery = queries.get_delivery(queries.get_webhook(who, webhook_id), delivery_id)
    return delivery_out(actions.retry_delivery(who, delivery))


def _webhook_out(webhook: Webhook) -> WebhookOut:
    return _webhooks_out([webhook])[0]


def _webhooks_out(webhooks: Sequence[Webhook]) -> list[WebhookOut]:
    counts = queries.count_deliveries("webhook", [each.pk for each in webhooks])
    return [
        WebhookOut(
            id=webhook.pk,
            name=webhook.name,
            url=webhook.url,
            verify_tls=webhook.verify_tls,
            enabled=webhook.enabled,
            on_begin=webhook.on_begin,
            on_end=webhook.on_end,
            created_at=webhook.created_at,
            waiting=counts[webhook.pk][DeliveryState.WAITING],
            dead=counts[webhook.pk][DeliveryState.DEAD],
            **conditions_of(webhook),
        )
        for webhook in webhooks
    ]


def delivery_out(delivery: WebhookDelivery) -> DeliveryOut:
    waits = delivery.state == DeliveryState.WAITING
    return DeliveryOut(
        id=delivery.pk,
        key=delivery.key,
        event=delivery.event_id,
        action=cast("Literal['webhook', 'notify', 'protect']", delivery.action),
        phase=cast("Literal['begun', 'ended']", delivery.phase),
        state=cast(State, delivery.state),
        attempts=delivery.attempts,
        created_at=to_datetime(delivery.created_ns),
        next_try_at=to_datetime(delivery.next_try_ns) if waits else None,
        ended_at=None if delivery.ended_ns is None else to_datetime(delivery.ended_ns),
        status=delivery.status,
        error=delivery.error,
        payload=delivery.payload,
    )

"""Notifications of events in browsers: what the user wants, mutes, and the user's browsers."""

from typing import cast

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions import notifications as actions
from ninjacam.actions.conditions import ConditionFields
from ninjacam.api.auth import principal
from ninjacam.api.schemas.conditions import conditions_of
from ninjacam.api.schemas.fields import RowId
from ninjacam.api.schemas.notifications import (
    MuteIn,
    MuteOut,
    NotificationsOut,
    NotificationsPatch,
    SubscriptionIn,
    SubscriptionOut,
)
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.times import to_datetime
from ninjacam.models import NotificationChoice, PushSubscription, VapidKey
from ninjacam.models.notification import EVERYTHING
from ninjacam.queries import notifications as queries

router = Router()


@router.get("", response=NotificationsOut, operation_id="get_notifications", summary="Get notifications")
def get_notifications(request: HttpRequest) -> NotificationsOut:
    """What your user is notified of, and in which browsers. Needs a session, or a token with the scope `*`."""
    return _out(request, queries.get_choice(principal(request)))


@router.patch(
    "", response=NotificationsOut, operation_id="update_notifications", summary="Change notifications"
)
def update_notifications(request: HttpRequest, change: NotificationsPatch) -> NotificationsOut:
    """Of the events of cameras for which you have the role `replay`, those that meet all conditions are announced when
    they begin."""
    fields = cast(ConditionFields, change.dict(exclude_unset=True))
    return _out(request, actions.update_notifications(principal(request), fields))


@router.post("/mute", response={204: None}, operation_id="mute_notifications", summary="Mute notifications")
def mute_notifications(request: HttpRequest, mute: MuteIn) -> Status[None]:
    """For a while, or end that: of one camera, or all of them. At most 24 hours."""
    actions.mute_notifications(principal(request), mute.camera, mute.duration_s)
    return Status(204, None)


@router.post(
    "/browsers",
    response={201: SubscriptionOut},
    operation_id="create_push_subscription",
    summary="Add browser",
)
def create_push_subscription(request: HttpRequest, subscription: SubscriptionIn) -> Status[SubscriptionOut]:
    """Send notifications to the browser that asks, until it logs out or your password changes. Needs a session. At most
    10 browsers per user; a browser that is added again is renewed."""
    row = actions.subscribe(
        principal(request),
        request.session,
        endpoint=subscription.endpoint.get_secret_value(),
        p256dh=subscription.keys.p256dh,
        auth=subscription.keys.auth.get_secret_value(),
        user_agent=request.headers.get("User-Agent", ""),
    )
    return Status(201, _browser_out(request, row))


@router.delete(
    "/browsers/{int:browser_id}",
    response={204: None},
    operation_id="delete_push_subscription",
    summary="Remove browser",
)
def delete_push_subscription(request: HttpRequest, browser_id: RowId) -> Status[None]:
    """It receives no further notifications."""
    who = principal(request)
    actions.unsubscribe(who, queries.get_subscription(who, browser_id))
    return Status(204, None)


@router.post(
    "/browsers/{int:browser_id}/test",
    response={204: None},
    operation_id="test_push_subscription",
    summary="Test browser",
)
def test_push_subscription(request: HttpRequest, browser_id: RowId) -> Status[None]:
    """Send a notification that is about no event. 429 after some of them: try again after `Retry-After` seconds."""
    who = principal(request)
    actions.send_test(who, queries.get_subscription(who, browser_id))
    return Status(204, None)


def _out(request: HttpRequest, choice: NotificationChoice) -> NotificationsOut:
    mutes = choice.present_mutes(SYSTEM_CLOCK.wall_ns())
    return NotificationsOut(
        enabled=choice.enabled,
        muted=[
            MuteOut(camera=None if slug == EVERYTHING else slug, until=to_datetime(until_ns))
            for slug, until_ns in sorted(mutes.items())
        ],
        browsers=[_browser_out(request, *each) for each in queries.list_subscriptions(principal(request))],
        public_key=VapidKey.get().public_key,
        **conditions_of(choice),
    )


def _browser_out(request: HttpRequest, row: PushSubscription, has_failed: bool = False) -> SubscriptionOut:
    is_session = principal(request).source == "session"
    return SubscriptionOut(
        id=row.pk,
        name=row.name,
        created_at=row.created_at,
        is_this=is_session and actions.is_browser_of(row, request.session),
        has_failed=has_failed,
    )

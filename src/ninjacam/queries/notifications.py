"""The notifications of the user who asks, and their browsers. Nobody reads those of another user."""

from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from ninjacam.auth import Principal
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import DeliveryState, NotificationChoice, PushSubscription, WebhookDelivery


def require_own(who: Principal) -> None:
    """Raises: ForbiddenError: `who` is authenticated by a token or link of lesser scope."""
    if not who.may_act_for(who.user):
        raise ForbiddenError(_("To change notifications, use a session or a token with the scope *."))


def get_choice(who: Principal) -> NotificationChoice:
    """Return what the user wants to be notified of; unsaved, with the defaults, before the user has changed it.

    Raises: ForbiddenError.
    """
    require_own(who)
    found = NotificationChoice.objects.filter(user_id=who.user.pk).first()
    return found or NotificationChoice(user_id=who.user.pk)


def list_subscriptions(who: Principal) -> list[tuple[PushSubscription, bool]]:
    """Return the user's browsers, each with whether its push service has not accepted the last notification.

    Raises: ForbiddenError.
    """
    require_own(who)
    last = WebhookDelivery.objects.filter(subscription=OuterRef("pk"), attempts__gt=0).order_by("-pk")
    found = PushSubscription.objects.filter(choice__user_id=who.user.pk).order_by("pk")
    rows = found.annotate(last_state=Subquery(last.values("state")[:1]))
    return [(row, row.last_state not in (None, DeliveryState.DELIVERED)) for row in rows]


def get_subscription(who: Principal, subscription_id: int) -> PushSubscription:
    """Return one of the user's own browsers. Raises: ForbiddenError, NotFoundError."""
    require_own(who)
    found = PushSubscription.objects.filter(choice__user_id=who.user.pk, pk=subscription_id).first()
    if found is None:
        raise NotFoundError(_("You have no browser %(id)s.") % {"id": subscription_id})
    return found

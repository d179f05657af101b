"""What follows from a write of an event: deliveries and a row of the journal in its transaction, signals after it.

Every write of an event besides deletions calls `note_begun` or `note_changed`.
"""

import json
import logging
from collections.abc import Collection
from functools import partial
from typing import Any
from uuid import uuid4

from django.db import IntegrityError, connection, transaction

from ninjacam import signals
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.times import to_datetime
from ninjacam.models.event import Event
from ninjacam.models.event_update import EventUpdate
from ninjacam.models.foreign_keys import check_foreign_keys
from ninjacam.models.notification import TTL_NS, NotificationChoice, PushSubscription
from ninjacam.models.rule import Rule
from ninjacam.models.snapshot import DELAY_NS, Snapshot, request_snapshot
from ninjacam.models.webhook import Action, DeliveryState, Phase, Webhook, WebhookDelivery

logger = logging.getLogger("ninjacam.webhooks")

MAX_TRIES = 5
"""Maximum number of attempts to write the deliveries of an event while webhooks are being deleted."""

HOUR_NS = 3600 * 10**9
MAIL_DELAY_NS = DELAY_NS + 4 * 10**9
"""Nanoseconds after which the snapshot of an event that has begun is usually stored."""
OVER_LIMIT = "The rule has sent as many e-mails in an hour as it may. Raise its limit, or make its conditions stricter."


def note_begun(event: Event) -> None:
    """Call it in the transaction that creates the event, which may already have its end."""
    rules = _apply_rules(event)
    _note(event, EventUpdate.Kind.BEGUN)
    if event.end_ns is not None:
        _note(event, EventUpdate.Kind.ENDED)
    request_snapshot(event)
    _enqueue(event, rules)


def note_changed(event: Event, fields: Collection[str], *, has_ended: bool = False) -> None:
    """Call it in the transaction that changes these fields of the event. `has_ended`: it was ongoing before."""
    others = sorted(set(fields) - {"end_ns"} if has_ended else fields)
    if others:
        _note(event, EventUpdate.Kind.CHANGED, fields=others)
    if has_ended:
        _note(event, EventUpdate.Kind.ENDED)
        request_snapshot(event)
    if has_ended or event.end_ns is None:  # Webhooks receive no changes of the past.
        _enqueue(event, _apply_rules(event))
    if "snapshot_ns" in fields:
        _hurry_notifications(event)


_SIGNALS = {
    EventUpdate.Kind.BEGUN: signals.event_begun,
    EventUpdate.Kind.CHANGED: signals.event_changed,
    EventUpdate.Kind.ENDED: signals.event_ended,
}


def _note(event: Event, kind: EventUpdate.Kind, **details: object) -> None:
    EventUpdate.write(event.pk, kind)
    signal = _SIGNALS[kind]
    if signal.has_listeners(Event):
        # Django logs the exceptions of receivers.
        transaction.on_commit(partial(signal.send_robust, Event, event=event, **details))


def _apply_rules(event: Event) -> list[Rule]:
    """Return the enabled rules. Those that match make the camera record the event, if they are for that."""
    rules = list(Rule.objects.filter(enabled=True))
    if not event.triggers_recording and any(rule.record and rule.matches(event) for rule in rules):
        event.triggers_recording = True
        Event.objects.filter(pk=event.pk).update(triggers_recording=True)
    return rules


def _enqueue(event: Event, rules: Collection[Rule]) -> None:
    """Write the deliveries that are missing. Those that exist are not written again."""
    for _ in range(MAX_TRIES):
        deliveries = [
            each for webhook in Webhook.objects.filter(enabled=True) for each in _deliveries(webhook, event)
        ]
        deliveries += [each for rule in rules for each in _rule_deliveries(rule, event)]
        deliveries += _notifications(event)
        if not deliveries:
            return
        try:
            with transaction.atomic():
                WebhookDelivery.objects.bulk_create(deliveries, ignore_conflicts=True)
                check_foreign_keys()
        except IntegrityError:  # A webhook, rule or subscription was deleted after it was read.
            rules = list(Rule.objects.filter(pk__in=[rule.pk for rule in rules]))
            continue
        return
    logger.warning("event %d is not delivered: webhooks or rules are deleted all the time", event.pk)


def _deliveries(webhook: Webhook, event: Event) -> list[WebhookDelivery]:
    now_ns = SYSTEM_CLOCK.wall_ns()
    is_short = webhook.is_too_short(event)
    has_matched = webhook.matches(event) and not is_short
    begins = webhook.on_begin and has_matched
    due_ns = max(now_ns, webhook.long_enough_ns(event))
    found = [_delivery(webhook, event, Phase.BEGUN, due_ns)] if begins else []
    if event.end_ns is not None:
        begun = WebhookDelivery.objects.filter(webhook=webhook, event_id=event.pk, phase=Phase.BEGUN)
        if is_short:
            begun.filter(state=DeliveryState.WAITING, attempts=0).delete()
        # A receiver of the beginning also receives the end, even if the event has changed.
        if webhook.on_end and (has_matched or begun.exists()):
            found.append(_delivery(webhook, event, Phase.ENDED, now_ns))
    return found


def _rule_deliveries(rule: Rule, event: Event) -> list[WebhookDelivery]:
    now_ns = SYSTEM_CLOCK.wall_ns()
    present = WebhookDelivery.objects.filter(rule=rule, event_id=event.pk)
    if rule.is_too_short(event):
        present.filter(state=DeliveryState.WAITING, attempts=0).delete()
        return []
    if not (rule.protect or rule.notify) or not rule.matches(event):
        return []
    found = []
    if rule.notify and not present.filter(action=Action.NOTIFY).exists():
        # The snapshot should be there by then.
        due_ns = max(now_ns + (MAIL_DELAY_NS if event.slug else 0), rule.long_enough_ns(event))
        _lock_limits()
        recent = WebhookDelivery.objects.filter(
            rule=rule, action=Action.NOTIFY, created_ns__gt=now_ns - HOUR_NS, created_ns__lte=now_ns
        )
        left = rule.max_per_hour - recent.exclude(error=OVER_LIMIT).count()
        mail = _delivery(rule, event, Phase.BEGUN, due_ns, Action.NOTIFY, is_last=left == 1)
        if left <= 0:
            mail.state, mail.error, mail.ended_ns = DeliveryState.DEAD, OVER_LIMIT, now_ns
        found.append(mail)
    if rule.protect and event.slug and event.end_ns is not None and not event.protected:
        found.append(_delivery(rule, event, Phase.ENDED, now_ns + DELAY_NS, Action.PROTECT))
    return found


def _lock_limits() -> None:
    """Wait for transactions that have counted the e-mails of a rule and may have written another one.

    Locks all rules that send e-mails, in one order: a transaction with several events could otherwise deadlock with
    another one. SQLite has one writer at a time, and the event has been written.
    """
    if connection.features.has_select_for_update:
        rules = Rule.objects.filter(enabled=True, notify=True).order_by("pk").values_list("pk")
        # Deliveries of other transactions refer to the rules, which this lock permits.
        list(rules.select_for_update(no_key=True))


def _notifications(event: Event) -> list[WebhookDelivery]:
    """Return the deliveries to the browsers of users who want to be notified of the event. Whether they may be is
    checked when it is sent.
    """
    now_ns = SYSTEM_CLOCK.wall_ns()
    found = []
    due_ns: dict[int, int | None] = {}
    for subscription in PushSubscription.objects.filter(choice__enabled=True).select_related("choice"):
        choice = subscription.choice
        if choice.pk not in due_ns:
            due_ns[choice.pk] = _notification_due_ns(choice, event, now_ns)
        at_ns = due_ns[choice.pk]
        if at_ns is not None:
            expires_ns = max(now_ns, choice.long_enough_ns(event)) + TTL_NS
            found.append(
                _delivery(subscription, event, Phase.BEGUN, at_ns, Action.PUSH, expires_ns=expires_ns)
            )
    return found


def _notification_due_ns(choice: NotificationChoice, event: Event, now_ns: int) -> int | None:
    """Return when the user is notified; None: not at all."""
    if choice.is_too_short(event):
        of_user = WebhookDelivery.objects.filter(subscription__choice=choice, event_id=event.pk)
        of_user.filter(state=DeliveryState.WAITING, attempts=0).delete()
        return None
    long_enough_ns = choice.long_enough_ns(event)
    if long_enough_ns < now_ns - TTL_NS or not choice.matches(event):
        return None
    awaits_image = Snapshot.objects.filter(pk=event.pk, taken_ns=None).exclude(due_ns=None).exists()
    return max(now_ns + (MAIL_DELAY_NS if awaits_image else 0), long_enough_ns)


def _hurry_notifications(event: Event) -> None:
    """Have notifications sent that wait for the snapshot of the event."""
    now_ns = SYSTEM_CLOCK.wall_ns()
    waiting = WebhookDelivery.objects.filter(
        subscription__isnull=False, event_id=event.pk, state=DeliveryState.WAITING, attempts=0
    )
    for row in waiting.select_related("subscription__choice"):
        choice = row.subscription.choice if row.subscription is not None else None
        due_ns = max(now_ns, choice.long_enough_ns(event)) if choice is not None else now_ns
        waiting.filter(pk=row.pk, next_try_ns__gt=due_ns).update(next_try_ns=due_ns)


def _delivery(
    target: Webhook | Rule | PushSubscription,
    event: Event,
    phase: Phase,
    next_try_ns: int,
    action: Action = Action.WEBHOOK,
    **more: object,
) -> WebhookDelivery:
    key, now_ns = uuid4(), SYSTEM_CLOCK.wall_ns()
    payload = {
        "id": str(key),
        "type": f"event.{phase.value}",
        "created_at": _text(now_ns),
        "event": event_json(event),
        **more,
    }
    return WebhookDelivery(
        webhook=target if isinstance(target, Webhook) else None,
        rule=target if isinstance(target, Rule) else None,
        subscription=target if isinstance(target, PushSubscription) else None,
        action=action,
        event_id=event.pk,
        phase=phase,
        key=key,
        payload=json.dumps(payload, separators=(",", ":")),
        created_ns=now_ns,
        next_try_ns=next_try_ns,
    )


def event_json(event: Event) -> dict[str, Any]:
    """Return the event as the API returns it."""
    return {
        "id": event.pk,
        "camera": event.slug or None,
        "kind": event.kind,
        "label": event.label,
        "start": _text(event.start_ns),
        "end": None if event.end_ns is None else _text(event.end_ns),
        "data": event.data,
        "source": event.source,
        "record": event.triggers_recording,
        "protected": event.protected,
        "score": event.score,
        "track": event.track,
        "box": event.box,
        "best_at": None if event.best_ns is None else _text(event.best_ns),
        "zones": event.zone_names,
        "snapshot_at": None if event.snapshot_ns is None else _text(event.snapshot_ns),
        "colors": event.colors,
    }


def _text(time_ns: int) -> str:
    time = to_datetime(time_ns)
    text = time.isoformat(timespec="milliseconds" if time.microsecond else "seconds")
    return text.replace("+00:00", "Z")

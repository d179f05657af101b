"""Rules and their deliveries, for administrators."""

from collections.abc import Sequence
from typing import cast

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import rules as actions
from ninjacam.actions.rules import RuleFields
from ninjacam.actions.webhooks import retry_delivery
from ninjacam.api.auth import principal
from ninjacam.api.routers.webhooks import CONFLICT, delivery_out
from ninjacam.api.schemas.conditions import conditions_of
from ninjacam.api.schemas.fields import RowId
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.rules import RuleIn, RuleOut, RulePage, RulePatch
from ninjacam.api.schemas.webhooks import DeliveriesQuery, DeliveryOut, DeliveryPage
from ninjacam.models import DeliveryState, Rule
from ninjacam.queries import rules as queries
from ninjacam.queries.pages import paginate
from ninjacam.queries.webhooks import count_deliveries, get_delivery, list_deliveries

router = Router()


@router.get("", response=RulePage, operation_id="list_rules", summary="List rules")
def list_rules(request: HttpRequest, query: Query[PageQuery]) -> RulePage:
    """All rules. Needs the permission to view rules, with full scope."""
    page = paginate(queries.list_rules(principal(request)), ("pk",), query.after, query.limit)
    return RulePage(items=_rules_out(page.items), next=page.next)


@router.post("", response={201: RuleOut}, operation_id="create_rule", summary="Create rule")
def create_rule(request: HttpRequest, rule: RuleIn) -> Status[RuleOut]:
    """From now on, events that meet all conditions have these consequences. docs/rules.md describes them. At most 50
    rules. Needs the permission to add rules."""
    return Status(201, _rule_out(actions.create_rule(principal(request), cast(RuleFields, rule.dict()))))


@router.get("/{int:rule_id}", response=RuleOut, operation_id="get_rule", summary="Get rule")
def get_rule(request: HttpRequest, rule_id: RowId) -> RuleOut:
    """One rule."""
    return _rule_out(queries.get_rule(principal(request), rule_id))


@router.patch("/{int:rule_id}", response=RuleOut, operation_id="update_rule", summary="Change rule")
def update_rule(request: HttpRequest, rule_id: RowId, change: RulePatch) -> RuleOut:
    """While a rule is disabled, its deliveries wait, and no others are added. Needs the permission to change rules."""
    who = principal(request)
    fields = cast(RuleFields, change.dict(exclude_unset=True))
    return _rule_out(actions.update_rule(who, queries.get_rule(who, rule_id), fields))


@router.delete("/{int:rule_id}", response={204: None}, operation_id="delete_rule", summary="Delete rule")
def delete_rule(request: HttpRequest, rule_id: RowId) -> Status[None]:
    """Its deliveries are deleted, too. Needs the permission to delete rules."""
    who = principal(request)
    actions.delete_rule(who, queries.get_rule(who, rule_id))
    return Status(204, None)


@router.get(
    "/{int:rule_id}/deliveries",
    response=DeliveryPage,
    operation_id="list_rule_deliveries",
    summary="List deliveries of rule",
)
def list_rule_deliveries(request: HttpRequest, rule_id: RowId, query: Query[DeliveriesQuery]) -> DeliveryPage:
    """E-mails and protections of a rule, newest first. Delivered ones are kept for 7 days, dead ones for 30 days."""
    found = list_deliveries(queries.get_rule(principal(request), rule_id), query.state or "")
    page = paginate(found, ("-pk",), query.after, query.limit)
    return DeliveryPage(items=[delivery_out(each) for each in page.items], next=page.next)


@router.post(
    "/{int:rule_id}/deliveries/{int:delivery_id}/retry",
    response=DeliveryOut,
    operation_id="retry_rule_delivery",
    summary="Retry delivery of rule",
    openapi_extra={"responses": {409: CONFLICT}},
)
def retry_rule_delivery(request: HttpRequest, rule_id: RowId, delivery_id: RowId) -> DeliveryOut:
    """Carry out a dead or waiting delivery at once. Needs the permission to change rules."""
    who = principal(request)
    return delivery_out(retry_delivery(who, get_delivery(queries.get_rule(who, rule_id), delivery_id)))


def _rule_out(rule: Rule) -> RuleOut:
    return _rules_out([rule])[0]


def _rules_out(rules: Sequence[Rule]) -> list[RuleOut]:
    counts = count_deliveries("rule", [each.pk for each in rules])
    return [
        RuleOut(
            id=rule.pk,
            name=rule.name,
            enabled=rule.enabled,
            record=rule.record,
            protect=rule.protect,
            notify=rule.notify,
            recipients=sorted(user.get_username() for user in rule.recipients.all()),
            only_recipients=rule.only_recipients,
            max_per_hour=rule.max_per_hour,
            created_at=rule.created_at,
            waiting=counts[rule.pk][DeliveryState.WAITING],
            dead=counts[rule.pk][DeliveryState.DEAD],
            **conditions_of(rule),
        )
        for rule in rules
    ]

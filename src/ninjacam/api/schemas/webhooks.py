"""Webhooks and their deliveries."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from ninja import Schema
from pydantic import Field, SecretStr, StrictBool

from ninjacam.api.schemas.conditions import ConditionsIn, ConditionsOut, ConditionsPatch
from ninjacam.api.schemas.fields import Name, example, input_example
from ninjacam.api.schemas.pages import PageOut, PageQuery

_NAME = Annotated[Name, Field(min_length=1)]
Url = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^[\x21-\x7e]+$",
        description="`http` or `https`, without a user and password. Link-local addresses are refused.",
    ),
]
Secret = Annotated[
    SecretStr,
    Field(
        min_length=16,
        max_length=200,
        description="Key of the signature: 16 to 200 characters of ASCII without spaces.",
    ),
]
State = Literal["waiting", "delivered", "dead"]

_WEBHOOK = {
    "id": 4,
    "name": "Home automation",
    "url": "https://home.example.org/hooks/cameras",
    "verify_tls": True,
    "enabled": True,
    "on_begin": True,
    "on_end": False,
    "cameras": ["door"],
    "kinds": ["person"],
    "label": "",
    "zone": "porch",
    "min_score": 0.6,
    "min_duration_s": 2,
    "schedule": "mon-fri 22:00-06:00",
    "profiles": [],
    "created_at": "2026-11-30T08:00:00Z",
    "waiting": 0,
    "dead": 0,
}
_DELIVERY = {
    "id": 91,
    "key": "0b0f5f0e-6c39-4e0b-8a3c-0b9f2f5a1c11",
    "event": 815,
    "action": "webhook",
    "phase": "begun",
    "state": "dead",
    "attempts": 32,
    "created_at": "2026-11-30T08:12:03Z",
    "next_try_at": None,
    "ended_at": "2026-11-30T14:18:11Z",
    "status": 500,
    "error": "The receiver returned the HTTP status 500. Check its log.",
    "payload": '{"id":"0b0f5f0e-6c39-4e0b-8a3c-0b9f2f5a1c11","type":"event.begun"}',
}


class WebhookIn(ConditionsIn):
    """An event must meet all conditions. `secret`: omit it to have one created."""

    model_config = input_example(
        name="Home automation",
        url="https://home.example.org/hooks/cameras",
        cameras=["door"],
        kinds=["person"],
    )

    name: _NAME
    url: Url
    secret: Secret | None = None
    verify_tls: StrictBool = True
    enabled: StrictBool = True
    on_begin: StrictBool = Field(True, description="Send when an event begins.")
    on_end: StrictBool = Field(False, description="Send when an event ends.")


class WebhookPatch(ConditionsPatch):
    """The fields to change."""

    model_config = input_example(enabled=False)

    name: _NAME = Field(default_factory=str)
    url: Url = Field(default_factory=str)
    secret: Secret = Field(default_factory=lambda: SecretStr(""))
    verify_tls: StrictBool = Field(default_factory=bool)
    enabled: StrictBool = Field(default_factory=bool)
    on_begin: StrictBool = Field(default_factory=bool)
    on_end: StrictBool = Field(default_factory=bool)


class WebhookOut(ConditionsOut):
    """`url`: secrets in it are masked. `waiting`, `dead`: numbers of deliveries that wait, and that were given up."""

    model_config = example(**_WEBHOOK)

    id: int
    name: str
    url: str
    verify_tls: bool
    enabled: bool
    on_begin: bool
    on_end: bool
    created_at: datetime
    waiting: int
    dead: int


class WebhookPage(PageOut[WebhookOut]):
    model_config = example(items=[_WEBHOOK], next=None)


class WebhookCreated(WebhookOut):
    """`secret`: key of the signature, which is returned only once."""

    model_config = example(**_WEBHOOK, secret="whsec_...")  # noqa: S106 (an example)

    secret: str


class DeliveriesQuery(PageQuery):
    state: State | None = Field(None, description="Only deliveries in this state.")


class DeliveryOut(Schema):
    """`key`: the header `Idempotency-Key` of each attempt. `action`: that of a webhook or of a rule. `next_try_at`:
    null once it was delivered or given up. `status`: HTTP status of the last attempt, if the receiver responded.
    `payload`: the body of the request; for an action of a rule, the event when the rule applied to it.
    """

    model_config = example(**_DELIVERY)

    id: int
    key: UUID
    event: int
    action: Literal["webhook", "notify", "protect"]
    phase: Literal["begun", "ended"]
    state: State
    attempts: int
    created_at: datetime
    next_try_at: datetime | None
    ended_at: datetime | None
    status: int | None
    error: str
    payload: str


class DeliveryPage(PageOut[DeliveryOut]):
    model_config = example(items=[_DELIVERY], next=None)

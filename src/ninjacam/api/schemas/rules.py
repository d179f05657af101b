"""Rules."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StrictBool

from ninjacam.api.schemas.conditions import ConditionsIn, ConditionsOut, ConditionsPatch
from ninjacam.api.schemas.fields import Name, example, input_example
from ninjacam.api.schemas.pages import PageOut

_NAME = Annotated[Name, Field(min_length=1)]
Record = Annotated[
    StrictBool, Field(description="Record also events that their creator does not have recorded.")
]
Protect = Annotated[
    StrictBool, Field(description="When the event has ended, keep it and its recordings, within the quotas.")
]
Notify = Annotated[StrictBool, Field(description="Send an e-mail when the event begins.")]
Recipients = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=254, pattern=r"^[^\x00-\x1f\x7f]*$")]],
    Field(
        max_length=50,
        description="User names. Only those who may replay the camera get the e-mail. Empty: all who may replay it.",
    ),
]
PerHour = Annotated[int, Field(ge=1, le=1000, strict=True, description="Maximum number of e-mails per hour.")]

_RULE = {
    "id": 3,
    "name": "People at night",
    "enabled": True,
    "record": False,
    "protect": True,
    "notify": True,
    "recipients": ["ada"],
    "only_recipients": True,
    "max_per_hour": 10,
    "cameras": ["door"],
    "kinds": ["person"],
    "label": "",
    "zone": "porch",
    "min_score": 0.6,
    "min_duration_s": 2,
    "schedule": "22:00-06:00",
    "profiles": ["away"],
    "created_at": "2026-11-30T08:00:00Z",
    "waiting": 0,
    "dead": 0,
}


class RuleIn(ConditionsIn):
    """An event must meet all conditions. Choose at least one of `record`, `protect` and `notify`."""

    model_config = input_example(
        name="People at night", notify=True, protect=True, kinds=["person"], schedule="22:00-06:00"
    )

    name: _NAME
    enabled: StrictBool = True
    record: Record = False
    protect: Protect = False
    notify: Notify = False
    recipients: Recipients = Field(default_factory=list)
    max_per_hour: PerHour = 10


class RulePatch(ConditionsPatch):
    """The fields to change."""

    model_config = input_example(enabled=False)

    name: _NAME = Field(default_factory=str)
    enabled: StrictBool = Field(default_factory=bool)
    record: Record = Field(default_factory=bool)
    protect: Protect = Field(default_factory=bool)
    notify: Notify = Field(default_factory=bool)
    recipients: Recipients = Field(default_factory=list)
    max_per_hour: PerHour = Field(default_factory=int)


class RuleOut(ConditionsOut):
    """`only_recipients`: recipients were chosen; if they were deleted since then, no e-mails are sent.
    `waiting`, `dead`: numbers of its deliveries that wait, and that were given up.
    """

    model_config = example(**_RULE)

    id: int
    name: str
    enabled: bool
    record: bool
    protect: bool
    notify: bool
    recipients: list[str]
    only_recipients: bool
    max_per_hour: int
    created_at: datetime
    waiting: int
    dead: int


class RulePage(PageOut[RuleOut]):
    model_config = example(items=[_RULE], next=None)

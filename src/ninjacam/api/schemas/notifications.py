"""Notifications of the user who asks, and their browsers."""

from datetime import datetime
from typing import Annotated

from ninja import Schema
from pydantic import Field, SecretStr, StrictBool

from ninjacam.api.schemas.conditions import ConditionsOut, ConditionsPatch
from ninjacam.api.schemas.fields import Slug, example, input_example

_KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
_BROWSER = {
    "id": 4,
    "name": "Chrome, Android",
    "created_at": "2026-12-01T08:00:00Z",
    "is_this": True,
    "has_failed": False,
}


class NotificationsPatch(ConditionsPatch):
    """The fields to change. An event must meet all conditions."""

    model_config = input_example(kinds=["person"], schedule="22:00-06:00")

    enabled: StrictBool = Field(default_factory=bool)


class MuteIn(Schema):
    model_config = input_example(camera="door", duration_s=3600)

    camera: Slug | None = Field(None, description="Short name; null: all cameras, and events of the host.")
    duration_s: Annotated[
        int, Field(ge=0, le=86400, strict=True, description="Seconds from now on; 0: end the mute.")
    ] = 3600


class PushKeysIn(Schema):
    model_config = input_example(**_KEYS)

    p256dh: Annotated[str, Field(max_length=100, description="Public key of the browser, base64url.")]
    auth: Annotated[SecretStr, Field(max_length=50, description="Secret of the subscription, base64url.")]


class SubscriptionIn(Schema):
    """What the browser reports: `PushSubscription.toJSON()`, without the time at which it expires."""

    model_config = input_example(
        endpoint="https://push.example.net/p/JzLQ3raZJfFBR0aqvOMsLrt54w4rJUsV",
        keys=_KEYS,
    )

    endpoint: Annotated[
        SecretStr, Field(max_length=1024, description="Address at the push service: an https URL.")
    ]
    keys: PushKeysIn


class SubscriptionOut(Schema):
    """`is_this`: the browser that asks. `has_failed`: its push service has not accepted the last notification."""

    model_config = example(**_BROWSER)

    id: int
    name: str
    created_at: datetime
    is_this: bool
    has_failed: bool


class MuteOut(Schema):
    """`camera`: null for all cameras; "" for events of the host."""

    model_config = example(camera="door", until="2026-12-01T09:00:00Z")

    camera: str | None
    until: datetime


class NotificationsOut(ConditionsOut):
    """`public_key`: the `applicationServerKey` with which browsers subscribe."""

    model_config = example(
        enabled=True,
        cameras=["door"],
        kinds=["person"],
        label="",
        zone="",
        min_score=None,
        min_duration_s=0,
        schedule="22:00-06:00",
        profiles=[],
        muted=[{"camera": "door", "until": "2026-12-01T09:00:00Z"}],
        browsers=[_BROWSER],
        public_key="BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs",
    )

    enabled: bool
    muted: list[MuteOut]
    browsers: list[SubscriptionOut]
    public_key: str

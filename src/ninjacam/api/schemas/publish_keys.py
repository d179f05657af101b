"""Keys with which devices publish to a camera."""

from datetime import datetime

from ninja import Schema

from ninjacam.api.schemas.fields import Name, example, input_example
from ninjacam.api.schemas.pages import PageOut

_KEY = {"id": 3, "name": "drone", "prefix": "9c1f02ab", "created_at": "2026-11-30T08:00:00Z"}


class PublishKeyOut(Schema):
    model_config = example(**_KEY)

    id: int
    name: str
    prefix: str
    created_at: datetime


class PublishKeyPage(PageOut[PublishKeyOut]):
    model_config = example(items=[_KEY], next=None)


class PublishKeyCreated(PublishKeyOut):
    """`key`: the key itself, which is returned only once. `urls`: where to publish with it; encrypted ones first. Empty
    if the ports for publishers are closed."""

    model_config = example(
        **_KEY, key="np_9c1f02ab_...", urls=["rtmp://camera.example:1935/publish/np_9c1f02ab_..."]
    )

    key: str
    urls: list[str]


class PublishKeyIn(Schema):
    model_config = input_example(name="drone")

    name: Name = ""

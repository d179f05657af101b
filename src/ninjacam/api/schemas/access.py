"""Users, tokens, links and grants."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import Name, RoleName, Slug, Time, example, input_example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.routes import LINKED_ROUTES


class MeOut(Schema):
    model_config = example(
        username="ada", source="session", scopes=None, is_superuser=False, may_add_cameras=True
    )

    username: str
    source: Literal["session", "token", "signed"]
    scopes: list[str] | None = Field(
        description="Scopes of the token; null for a session, which has no scopes."
    )
    is_superuser: bool
    may_add_cameras: bool


_TOKEN = {
    "id": 7,
    "name": "wall display",
    "prefix": "4f1c0a9b2d",
    "scopes": ["view"],
    "created_at": "2026-11-22T08:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}


class TokenOut(Schema):
    model_config = example(**_TOKEN)

    id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenPage(PageOut[TokenOut]):
    model_config = example(items=[_TOKEN], next=None)


class TokensRevoked(Schema):
    """`revoked`: number of tokens that were usable until now."""

    model_config = example(revoked=2)

    revoked: int


class TokenCreated(TokenOut):
    """`token`: the token itself, which is returned only once."""

    model_config = example(**_TOKEN, token="nc_4f1c0a9b2d_...")  # noqa: S106 (an example)

    token: str


class TokenIn(Schema):
    """`scopes`: `*` (all), `metrics`, or a role (`view`, `replay`, `export`, `control`, `configure`), for all cameras
    or for one (`view:door`)."""

    model_config = input_example(name="wall display", scopes=["view"], expires_at="2027-11-22T08:00:00Z")

    name: Annotated[Name, Field(min_length=1)]
    scopes: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1, max_length=100)
    expires_at: Time | None = None


class LinkIn(Schema):
    """A link works for `lifetime_s`, unless your permission, password or token ends before."""

    model_config = input_example(
        camera="door", kind="snapshot", view="edges", parameters={"width": "640"}, lifetime_s=3600
    )

    camera: Slug
    kind: str = Field(max_length=20, json_schema_extra={"enum": list(LINKED_ROUTES)})
    view: str = Field("", max_length=50, pattern=r"^[a-z0-9_-]*$")
    parameters: dict[str, Annotated[str, Field(max_length=100)]] = Field(
        default_factory=dict,
        max_length=20,
        description="Values of the URL's parameters, as in the URL: see the operations under `media`.",
    )
    lifetime_s: int = Field(3600, ge=1, le=7 * 24 * 3600)


class LinkOut(Schema):
    model_config = example(
        url="https://cam.example.org/live/door/snapshot.jpg?view=edges&sig=...",
        expires_at="2026-11-22T09:00:00Z",
    )

    url: str
    expires_at: datetime


_GRANT = {"id": 3, "camera": "door", "role": "view", "user": "ada", "group": None}


class GrantOut(Schema):
    """A role for a camera, for either a `user` or a `group`."""

    model_config = example(**_GRANT)

    id: int
    camera: str
    role: RoleName
    user: str | None
    group: str | None


class GrantPage(PageOut[GrantOut]):
    model_config = example(items=[_GRANT], next=None)


class GrantIn(Schema):
    """Specify either `user` or `group`, by name."""

    model_config = input_example(role="view", user="ada")

    role: RoleName
    user: str = Field("", max_length=150, pattern=r"^[^\x00-\x1f\x7f]*$")
    group: str = Field("", max_length=150, pattern=r"^[^\x00-\x1f\x7f]*$")

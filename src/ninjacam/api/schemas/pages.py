"""Pages: the parameters and the response of every operation that lists."""

from typing import Annotated, Generic, TypeVar

from ninja import Schema
from pydantic import Field

T = TypeVar("T")
Limit = Annotated[int, Field(ge=1, le=500, description="Maximum number of items on the page.")]
After = Annotated[
    str,
    Field(
        max_length=200,
        pattern=r"^[A-Za-z0-9_.:~-]*$",
        description="Cursor: `next` of the previous page; empty for the first page.",
    ),
]


class PageQuery(Schema):
    after: After = ""
    limit: Limit = 100


class PageOut(Schema, Generic[T]):
    items: list[T]
    next: str | None = Field(
        description="Cursor for the parameter `after` of the next page; null on the last page."
    )

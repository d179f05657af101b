"""Types of fields that several schemas share."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, ConfigDict, Field

Slug = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$", description="Short name, as it stands in URLs.")
]
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
AfterSlug = Annotated[
    str, Field(pattern=r"^[a-z0-9_-]{0,50}$", description="`next` of the page before; empty for the first.")
]
MAX_ID = 2**63 - 1
RowId = Annotated[int, Field(ge=1, le=MAX_ID)]
Limit = Annotated[int, Field(ge=1, le=500, description="Items of a page.")]
Time = Annotated[
    AwareDatetime, Field(ge=datetime(1971, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))
]
"""With an offset, and of the years that have nanoseconds since 1970 in 64 bits."""


RoleName = Literal["view", "replay", "export", "control", "configure"]


def example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


def input_example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})

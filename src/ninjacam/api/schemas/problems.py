"""Errors: of a request, and of a camera or view."""

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.fields import example


class FieldProblem(Schema):
    field: str
    message: str


class Problem(Schema):
    """RFC 9457. `code` is for programs, `detail` is a sentence for people."""

    model_config = example(
        type="about:blank",
        title="Not Found",
        status=404,
        code="not_found",
        detail="There is no camera “dor”.",
    )

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


class ErrorOut(Schema):
    """What keeps a camera or a view from working."""

    model_config = example(
        code="connection_refused", message="The host answers, but not on port 554.", retryable=True
    )

    code: str
    message: str
    retryable: bool = True
    traceback: str = Field("", description="Of a processor, for those who may configure the camera.")

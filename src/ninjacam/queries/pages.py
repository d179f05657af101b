"""Pagination of lists. Each page ends with a cursor, which the client sends to get the next page.

The cursor contains the sort values of the page's last item. The cost of a page is therefore independent of its
position, and items that are added or deleted meanwhile neither repeat nor hide others.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, QuerySet
from django.utils.translation import gettext as _

from ninjacam.core.errors import InvalidError

T = TypeVar("T")
M = TypeVar("M", bound=Model)
_BETWEEN = "~"
"""Separator of the values in a cursor: unreserved in URLs, and in none of the values."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page. `next`: the cursor for the next page; None: this is the last one."""

    items: list[T]
    next: str | None


def paginate(rows: "QuerySet[M]", order: Sequence[str], after: str, limit: int) -> Page[M]:
    """Return at most `limit` of `rows` after the cursor `after`; "": from the start.

    `order`: one or two fields, such as ("-start_ns", "-pk"), in one direction and unique together. Raises:
    InvalidError: `after` is not a cursor of this list.
    """
    names = [name.removeprefix("-") for name in order]
    if after:
        ahead = "lt" if order[0].startswith("-") else "gt"
        rows = _behind(rows, names, _parse(rows.model, names, after), ahead)
    found = list(rows.order_by(*order)[: limit + 1])
    return _page(found, lambda row: [_text(getattr(row, name)) for name in names], limit)


def paginate_list(items: Iterable[T], key: Callable[[T], tuple[str, ...]], after: str, limit: int) -> Page[T]:
    """Like `paginate`, for items that are not in the database. `key`: returns the unique sort key of an item."""
    start = tuple(after.split(_BETWEEN)) if after else ()
    found = sorted((item for item in items if key(item) > start), key=key)
    return _page(found, key, limit)


def _page(found: list[T], key: Callable[[T], Sequence[str]], limit: int) -> Page[T]:
    items = found[:limit]
    return Page(items, _BETWEEN.join(key(items[-1])) if len(found) > limit else None)


def _behind(rows: "QuerySet[M]", names: Sequence[str], values: Sequence[Any], ahead: str) -> "QuerySet[M]":
    *first, last = zip(names, values, strict=True)
    if not first:
        return rows.filter(**{f"{last[0]}__{ahead}": last[1]})
    ((name, value),) = first
    backward = "gte" if ahead == "lt" else "lte"
    # A range from which an index can start, without the rows of the same value that precede the cursor.
    return rows.filter(**{f"{name}__{ahead}e": value}).exclude(
        **{name: value, f"{last[0]}__{backward}": last[1]}
    )


def _parse(model: type[Model], names: Sequence[str], after: str) -> list[Any]:
    """Raises: InvalidError."""
    try:
        return [_clean(model, name, text) for name, text in zip(names, after.split(_BETWEEN), strict=True)]
    except (ValidationError, ValueError) as error:
        raise InvalidError.of("after", _("Use the value of `next` from the previous page.")) from error


def _clean(model: type[Model], name: str, text: str) -> Any:
    """Raises: ValidationError."""
    field = cast("Field[Any, Any]", model._meta.pk if name == "pk" else model._meta.get_field(name))
    value = field.clean(text, None)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _text(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)

import pytest
from django.db.models import QuerySet

from ninjacam.core.errors import InvalidError
from ninjacam.models import Camera, Event, Export
from ninjacam.queries.pages import paginate, paginate_list

pytestmark = pytest.mark.django_db


def walk(rows: "QuerySet[Event]", order: tuple[str, ...], limit: int) -> list[int]:
    found: list[int] = []
    after: str | None = ""
    while after is not None:
        page = paginate(rows, order, after, limit)
        assert 0 < len(page.items) <= limit
        found += [row.pk for row in page.items]
        after = page.next
    return found


@pytest.fixture
def events() -> "QuerySet[Event]":
    for start_ns in (5, 7, 7, 7, 7, 9):
        Event.objects.create(slug="door", kind="motion", start_ns=start_ns, source="user:ada")
    return Event.objects.all()


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("order", [("-start_ns", "-pk"), ("start_ns", "pk"), ("-pk",), ("pk",)])
def test_pages_contain_each_row_once_in_order(
    events: "QuerySet[Event]", order: tuple[str, ...], limit: int
) -> None:
    whole = list(events.order_by(*order).values_list("pk", flat=True))
    assert walk(events, order, limit) == whole


def test_deleted_and_added_rows_neither_repeat_nor_hide_others(events: "QuerySet[Event]") -> None:
    whole = list(events.order_by("-start_ns", "-pk").values_list("pk", flat=True))
    first = paginate(events, ("-start_ns", "-pk"), "", 3)
    assert first.next is not None
    first.items[-1].delete()
    Event.objects.create(slug="door", kind="motion", start_ns=11, source="user:ada")
    rest = paginate(events, ("-start_ns", "-pk"), first.next, 10)
    assert [row.pk for row in rest.items] == whole[3:] and rest.next is None


@pytest.mark.parametrize("after", ["x", "~", "1~2~3", "1", f"{1 << 64}~1", "1~x", "-1~é"])
def test_a_cursor_of_another_list_is_rejected(after: str) -> None:
    with pytest.raises(InvalidError) as refused:
        paginate(Event.objects.all(), ("-start_ns", "-pk"), after, 1)
    assert list(refused.value.fields) == ["after"]


@pytest.mark.parametrize(
    "after", ["2026-11-22", "2026-11-22T08:00:00", "2026-11-22T08:00:00Z", "9999-12-31T23:59:59Z"]
)
def test_a_time_without_an_offset_counts_as_utc(after: str) -> None:
    cursor = f"{after}~1c9e6679-7425-40de-944b-e07fc1f90ae7"
    assert paginate(Export.objects.all(), ("-created_at", "-pk"), cursor, 1).items == []


def test_a_slug_works_as_a_cursor() -> None:
    for slug in ("a", "a-b", "b"):
        Camera.objects.create(slug=slug, url="rtsp://h/")
    page = paginate(Camera.objects.all(), ("slug",), "a", 1)
    assert ([camera.slug for camera in page.items], page.next) == (["a-b"], "a-b")


def test_lists_outside_the_database_have_the_same_pages() -> None:
    items = [("b", ""), ("a-b", "x"), ("a", "y"), ("a", "")]
    first = paginate_list(items, lambda item: item, "", 2)
    assert (first.items, first.next) == ([("a", ""), ("a", "y")], "a~y")
    rest = paginate_list(items, lambda item: item, "a~y", 2)
    assert (rest.items, rest.next) == ([("a-b", "x"), ("b", "")], None)

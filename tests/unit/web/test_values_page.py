"""The page with the values of a camera's processors."""

import re
import time

import pytest

from ninjacam.core.processor_values import Summary
from ninjacam.models import Camera, ValueSeries, ValueSlot
from ninjacam.queries.values import ValueHistory, ValuePoint
from ninjacam.web.values_page import draw_graph
from tests.unit.api.test_device import with_role

pytestmark = pytest.mark.django_db
PATH = "/cameras/door/values/"


def test_each_value_of_the_chosen_processor_has_a_graph(camera: Camera) -> None:
    now_s = int(time.time()) // 10 * 10
    for processor in ("cars", "people"):
        series = ValueSeries.objects.of_names(camera, processor, ["inside", "outside"])
        slots = {now_s - 600 + 10 * number: {"inside": Summary(0, 4, 20, 10)} for number in range(50)}
        ValueSlot.objects.put(series, slots)
    client = with_role("guard", camera, "replay")
    page = client.get(PATH).content.decode()
    assert re.findall(r'href="\?processor=(\w+)&amp;span=day" aria-current="page"', page) == ["cars", "cars"]
    page = client.get(PATH, {"processor": "people", "span": "hour"}).content.decode()
    assert page.count("<polyline") == page.count("<polygon") == 1
    assert "0 to 4, last 2" in page and "No values in this period." in page
    assert client.get(PATH, {"processor": "<b>", "span": "x"}).status_code == 200


def test_a_camera_without_values_has_a_page_and_a_viewer_has_none(camera: Camera) -> None:
    assert "No values" in with_role("guard", camera, "replay").get(PATH).content.decode()
    assert with_role("visitor", camera, "view").get(PATH).status_code == 403


def test_a_graph_has_no_line_where_values_are_missing() -> None:
    points = [ValuePoint(at_s, 1, 2, 3, 1) for at_s in (0, 10, 20, 1000)]
    graph = draw_graph(ValueSeries(), ValueHistory(10, points), 0, 2000 * 10**9)
    assert graph.lines == ["0.0,60.0 3.0,60.0 6.0,60.0", "300.0,60.0"]
    assert graph.bands[1] == "300.0,0.0 300.0,120.0"

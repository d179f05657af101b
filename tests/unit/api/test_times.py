import json
import random

from ninja.responses import NinjaJSONEncoder

from ninjacam.api.times import to_text
from ninjacam.core.times import to_datetime, to_ns


def test_times_are_formatted_as_in_the_rest_of_the_api() -> None:
    chance = random.Random(5)
    for _ in range(500):
        wall_ns = chance.randrange(1, 4_000_000_000_000) * 1_000_000
        assert json.dumps(to_datetime(wall_ns), cls=NinjaJSONEncoder) == f'"{to_text(wall_ns)}"'
        assert to_ns(to_datetime(wall_ns)) == wall_ns
    assert to_text(0) == "1970-01-01T00:00:00Z" and to_text(60 * 10**9 - 1) == "1970-01-01T00:00:59.999Z"

from ninjacam.core import rates
from ninjacam.core.rates import RateLimit
from ninjacam.testing.clock import FakeClock


def test_a_burst_is_allowed_and_then_the_rate_applies() -> None:
    clock = FakeClock()
    limit = RateLimit(60, 3, clock=clock)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 1]
    assert limit.take("b") == 0, "another key has its own"
    clock.advance(0.5)
    assert limit.take("a") == 0.5
    clock.advance(0.5)
    assert limit.take("a") == 0
    clock.advance(3600)
    assert [limit.take("a") for _ in range(4)] == [0, 0, 0, 1], "no more than a burst is saved up"


def test_a_flood_of_keys_uses_no_more_memory() -> None:
    limit = RateLimit(60, 1, clock=FakeClock())
    for number in range(rates.MAX_KEYS + 100):
        limit.take(number)
    assert len(limit._buckets) == rates.MAX_KEYS

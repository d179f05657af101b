from itertools import count, takewhile

from ninjacam.webhooks.backoff import MAX_ATTEMPTS, MAX_DELAY_S, delay_s


def test_delays_double_up_to_a_quarter_of_an_hour_and_end_after_six_hours() -> None:
    delays = list(takewhile(lambda each: each is not None, map(delay_s, count(1))))
    assert delays[:4] == [5, 10, 20, 40] and max(each or 0 for each in delays) == MAX_DELAY_S
    assert len(delays) == MAX_ATTEMPTS - 1
    assert 6 * 3600 <= sum(each or 0 for each in delays) <= 6.2 * 3600

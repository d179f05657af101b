"""Limits on publishing pages, and on the messages of clients."""

from typing import cast

import pytest

from ninjacam.live import publish
from ninjacam.live.allowance import Allowance
from ninjacam.live.publish import PublishingPages
from ninjacam.problems import Problem
from ninjacam.viewers.worker import Worker


def test_a_client_may_send_a_burst_and_then_its_rate() -> None:
    now_s = 0.0
    allowance = Allowance(10, 3, monotonic=lambda: now_s)
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    now_s = 0.25
    assert [allowance.take() for _ in range(2)] == [True, False]


def test_one_network_cannot_take_the_places_of_all_publishers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "MAX_PUBLISHERS", 3)
    monkeypatch.setattr(publish, "MAX_PUBLISHERS_PER_ADDRESS", 2)
    pages = PublishingPages(cast(Worker, None))
    pages.enter("a")
    pages.enter("a")
    with pytest.raises(Problem) as refused:
        pages.enter("a")
    assert refused.value.status == 429
    pages.enter("b")
    with pytest.raises(Problem) as full:
        pages.enter("c")
    assert full.value.status == 503
    for network in ("a", "a", "b"):
        pages.leave(network)
    assert not pages.count_by_network

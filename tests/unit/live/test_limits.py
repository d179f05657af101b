import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import InterfaceError, OperationalError

from ninjacam.conf import parse_settings
from ninjacam.live.auth import Database
from ninjacam.live.problems import Problem
from ninjacam.live.subscriptions import Wish
from ninjacam.live.worker import Worker

ASKED = {"op": "subscribe", "id": 1, "camera": "door", "codecs": ["h264"]}


@pytest.mark.parametrize(
    "wrong",
    [{"id": True}, {"id": 1.5}, {"id": None}, {"width": True}, {"width": float("nan")}, {"width": 1e300}],
)
def test_a_wish_with_what_is_no_number_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        Wish.parse({**ASKED, **wrong})
    assert caught.value.status == 400


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_database_that_does_not_answer_is_a_503(error: type[Exception]) -> None:
    def ask() -> None:
        raise error("gone")

    async def go() -> None:
        database = Database()
        with pytest.raises(Problem) as caught:
            await database.run(ask)
        assert (caught.value.status, caught.value.code) == (503, "database")
        database.close()

    asyncio.run(go())


def test_one_account_cannot_take_all_places() -> None:
    class OneViewer:
        role = "view"
        sink: Any = None

        def __init__(self, pk: int) -> None:
            self.principal = cast(Any, SimpleNamespace(user=SimpleNamespace(pk=pk)))

        def watching(self) -> tuple[()]:
            return ()

        def revoked(self, camera: object) -> None: ...
        def too_slow(self) -> None: ...
        def stop(self) -> None: ...

    async def go() -> None:
        worker = Worker(parse_settings({"MAX_VIEWERS_PER_WORKER": 8}))
        greedy = [OneViewer(1), OneViewer(1)]
        for each in greedy:
            worker.add(each)
        with pytest.raises(Problem) as caught:
            worker.add(OneViewer(1))
        assert caught.value.status == 429
        worker.add(OneViewer(2))
        worker.close()

    asyncio.run(go())

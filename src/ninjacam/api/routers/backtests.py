"""Backtests: options of a processor, tried on recordings before they are saved."""

import uuid
from typing import cast

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from ninjacam.actions import backtests
from ninjacam.api.auth import principal
from ninjacam.api.schemas.backtests import BacktestIn, BacktestOut, ComparisonOut
from ninjacam.api.schemas.exports import State
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.core.times import to_datetime, to_ns
from ninjacam.models import Export

router = Router()


@router.post(
    "/{slug:slug}/options/{slug:processor}/backtests",
    response={201: BacktestOut},
    operation_id="create_backtest",
    summary="Create backtest",
)
def create_backtest(
    request: HttpRequest, slug: str, processor: str, backtest: BacktestIn
) -> Status[BacktestOut]:
    """Run the processor over recordings twice, with the saved options and with the given ones, which are not saved. Get
    the backtest until its `state` is `done`; its page shows the events with pictures. One at a time for each user.
    Requires the roles `configure` and `replay`."""
    start, end = backtests.last_night(timezone.now())
    made = backtests.create_backtest(
        principal(request),
        slug,
        processor,
        backtest.values,
        to_ns(backtest.start or start),
        to_ns(backtest.end or end),
    )
    return Status(201, _backtest_out(made))


@router.get(
    "/{slug:slug}/backtests/{uuid:backtest_id}",
    response=BacktestOut,
    operation_id="get_backtest",
    summary="Get backtest",
)
def get_backtest(request: HttpRequest, slug: str, backtest_id: uuid.UUID) -> BacktestOut:
    """The progress of a backtest, and its comparison. Requires the roles `configure` and `replay`."""
    return _backtest_out(backtests.get_backtest(principal(request), slug, backtest_id))


@router.delete(
    "/{slug:slug}/backtests/{uuid:backtest_id}",
    response={204: None},
    operation_id="delete_backtest",
    summary="Delete backtest",
)
def delete_backtest(request: HttpRequest, slug: str, backtest_id: uuid.UUID) -> Status[None]:
    """Cancel a backtest, and delete its comparison. A running one ends within a second. Requires the roles `configure`
    and `replay`."""
    who = principal(request)
    backtests.delete_backtest(who, backtests.get_backtest(who, slug, backtest_id))
    return Status(204, None)


def _backtest_out(backtest: Export) -> BacktestOut:
    result = backtests.read_result(backtest)
    return BacktestOut(
        id=backtest.pk,
        camera=backtest.slug,
        processor=backtest.options["processor"],
        values=backtest.options["changes"],
        start=to_datetime(backtest.start_ns),
        end=to_datetime(backtest.end_ns),
        state=cast(State, backtest.state),
        progress=round(backtest.progress, 4),
        error=ErrorOut.of(backtest.error),
        comparison=None if result is None else ComparisonOut.of(result.comparison),
        created_at=backtest.created_at,
        finished_at=backtest.finished_at,
        expires_at=backtest.expires_at,
    )

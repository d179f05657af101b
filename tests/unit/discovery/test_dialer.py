"""Connections of a search: only to its own addresses, and only a few at once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ninjacam.core.errors import ForbiddenAddressError, LimitError, SourceTimeoutError
from ninjacam.discovery import dialer
from ninjacam.discovery.dialer import MAX_AT_ONCE, MAX_AT_ONCE_PER_DEVICE, Dialer


class Addresses:
    """Takes the place of the network. Counts the connections that are open at once."""

    def __init__(self) -> None:
        self.open = 0
        self.most = 0
        self.contacted: list[str] = []
        self.hangs = False

    async def connect(self, factory: Any, address: str, port: int, config: Any, **_: Any) -> tuple[Any, Any]:
        self.contacted.append(address)
        if self.hangs:
            await asyncio.sleep(3600)
        self.open += 1
        self.most = max(self.most, self.open)
        return self, factory()

    def abort(self) -> None:
        self.open -= 1


class Everywhere:
    config = None

    def allows(self, address: str) -> bool:
        return address.startswith("10.0.0.")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Addresses]:
    made = Addresses()
    monkeypatch.setattr("ninjacam.sources.addresses.connect", made.connect)
    yield made
    assert made.open == 0, "each connection is closed"


def make_dialer(**limits: int) -> Dialer:
    return Dialer(Everywhere(), **limits)  # type: ignore[arg-type]


async def contact(one: Dialer, address: str) -> None:
    async with one.connect(asyncio.Protocol, address, 554):
        await asyncio.sleep(0.001)


def test_an_address_outside_of_the_search_is_not_contacted(network: Addresses) -> None:
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(contact(make_dialer(), "10.0.1.1"))
    assert network.contacted == []


def test_a_device_gets_few_connections_at_once(network: Addresses) -> None:
    async def scenario() -> None:
        one = make_dialer()
        await asyncio.gather(*(contact(one, "10.0.0.7") for _ in range(20)))

    asyncio.run(scenario())
    assert network.most == MAX_AT_ONCE_PER_DEVICE == 3 and len(network.contacted) == 20


def test_a_search_has_few_connections_at_once(network: Addresses) -> None:
    async def scenario() -> None:
        one = make_dialer()
        await asyncio.gather(*(contact(one, f"10.0.0.{number}") for number in range(200)))

    asyncio.run(scenario())
    assert network.most == MAX_AT_ONCE == 48


def test_a_search_ends_at_its_number_of_connections(network: Addresses) -> None:
    async def scenario() -> None:
        one = make_dialer(max_connections=2)
        for _ in range(2):
            await contact(one, "10.0.0.7")
        with pytest.raises(LimitError):
            await contact(one, "10.0.0.7")

    asyncio.run(scenario())
    assert len(network.contacted) == 2


def test_an_address_that_does_not_answer_is_given_up(
    network: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dialer.CONNECT_TIMEOUT_S <= 2
    monkeypatch.setattr(dialer, "CONNECT_TIMEOUT_S", 0.01)
    network.hangs = True
    with pytest.raises(SourceTimeoutError, match=r"10\.0\.0\.7 does not answer on port 554"):
        asyncio.run(asyncio.wait_for(contact(make_dialer(), "10.0.0.7"), 10))

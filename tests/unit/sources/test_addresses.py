"""Where cameras may be."""

import asyncio
import ipaddress
import socket

import pytest

from ninjacam.core.errors import ConfigError, ForbiddenAddressError, HostNotFoundError
from ninjacam.sources.addresses import check_address, resolve
from ninjacam.sources.base import SourceConfig


def check(address: str, *networks: str) -> None:
    check_address(ipaddress.ip_address(address), SourceConfig(url="rtsp://x/", allowed_networks=networks))


@pytest.mark.parametrize("address", ["192.168.1.10", "10.0.0.1", "127.0.0.1", "8.8.8.8", "::1", "fd12::1"])
def test_cameras_may_be_anywhere_by_default(address: str) -> None:
    check(address)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
     "0.0.0.0", "224.0.0.1", "100.100.100.200", "fd00:ec2::254"],
)  # fmt: skip
def test_link_local_and_metadata_addresses_are_forbidden(address: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        check(address)


def test_a_list_of_networks_replaces_the_default() -> None:
    check("10.1.2.3", "192.168.0.0/16", "10.0.0.0/8")
    check("169.254.3.4", "169.254.0.0/16")
    with pytest.raises(ForbiddenAddressError):
        check("192.168.1.1", "10.0.0.0/8")
    for address in (
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "224.0.0.1",
        "0.0.0.0",
    ):
        with pytest.raises(ForbiddenAddressError):
            check(address, "0.0.0.0/0", "::/0")
    with pytest.raises(ConfigError):
        check("10.0.0.1", "ten")


def test_one_forbidden_address_forbids_the_host_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 554)) for address in ("192.168.1.5", "169.254.169.254")]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(ForbiddenAddressError):
        asyncio.run(resolve("camera.example", 554, SourceConfig(url="rtsp://x/")))


def test_an_unknown_host_name_has_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(HostNotFoundError, match=r"camera\.example"):
        asyncio.run(resolve("camera.example", 554, SourceConfig(url="rtsp://x/")))


def test_a_resolver_that_hangs_does_not_exceed_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release = threading.Event()

    def answer(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        release.wait(10)
        return []

    async def run() -> None:
        async with asyncio.timeout(0.1):
            await resolve("camera.example", 554, SourceConfig(url="rtsp://x/"))

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with pytest.raises(TimeoutError):
        asyncio.run(run())
    release.set()

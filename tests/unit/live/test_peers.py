from typing import Any

import pytest

from ninjacam.live.peers import client_group, is_trusted, socket_peer

LOCAL = ("127.0.0.0/8", "::1/128")


def group(client: str, *forwarded: bytes, trusted: tuple[str, ...] = LOCAL) -> str:
    scope: dict[str, Any] = {
        "client": (client, 1) if client else None,
        "headers": [(b"x-forwarded-for", each) for each in forwarded],
    }
    return client_group(scope, trusted)


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("192.0.2.1", b"", "192.0.2.1"),
        ("192.0.2.1", b"198.51.100.1", "192.0.2.1"),  # a stranger says what it likes
        ("127.0.0.1", b"198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", b"10.0.0.1, 198.51.100.1", "198.51.100.1"),  # the part that our proxy has added
        ("127.0.0.1", b"198.51.100.1, 127.0.0.2", "198.51.100.1"),
        ("127.0.0.1", b"nonsense", "127.0.0.1"),
        ("127.0.0.1", b"", "127.0.0.1"),
        ("::ffff:192.0.2.1", b"", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", b"", "2001:db8:0:1::"),
        ("", b"198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_client_is_who_the_trusted_proxies_report(client: str, forwarded: bytes, expected: str) -> None:
    assert group(client, *([forwarded] if forwarded else [])) == expected


def test_only_given_networks_are_trusted() -> None:
    assert is_trusted("127.0.0.1", LOCAL)
    assert is_trusted("::1", LOCAL)
    assert not is_trusted("192.0.2.1", LOCAL)
    assert is_trusted("192.0.2.1", ("192.0.2.0/24",))


class Transport:
    def abort(self) -> None: ...

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.9", 4711, 0, 0)


class Cycle:
    transport = Transport()

    async def send(self, message: Any) -> None: ...


def test_the_connection_is_found_although_the_server_shows_a_forwarded_address() -> None:
    assert socket_peer({"client": ("198.51.100.1", 0)}, Cycle().send) == ("192.0.2.9", 4711)
    assert socket_peer({"client": ("198.51.100.1", 80)}, lambda _: None) == ("198.51.100.1", 80)
    assert socket_peer({"client": None}, lambda _: None) is None

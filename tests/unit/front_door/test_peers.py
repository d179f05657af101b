from typing import Any

import pytest

from ninjacam.front_door.peers import client_network, socket_peer


def network(client: str, *forwarded: bytes) -> str:
    scope: dict[str, Any] = {
        "client": (client, 1) if client else None,
        "headers": [(b"x-forwarded-for", each) for each in forwarded],
    }
    return client_network(scope)


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("192.0.2.1", b"", "192.0.2.1/32"),
        ("192.0.2.1", b"198.51.100.1", "192.0.2.1/32"),  # an untrusted peer can send any value
        ("127.0.0.1", b"198.51.100.1", "198.51.100.1/32"),
        ("::ffff:127.0.0.1", b"198.51.100.1", "198.51.100.1/32"),
        (
            "127.0.0.1",
            b"10.0.0.1, 198.51.100.1",
            "198.51.100.1/32",
        ),  # the part that the trusted proxy has added
        ("127.0.0.1", b"", ""),
        ("2001:db8:0:1:2:3:4:5", b"", "2001:db8:0:1::/64"),
        ("", b"198.51.100.1", "198.51.100.1/32"),
    ],
)
def test_limits_use_the_client_address_reported_by_trusted_proxies(
    client: str, forwarded: bytes, expected: str
) -> None:
    assert network(client, *([forwarded] if forwarded else [])).removesuffix("/32") == expected.removesuffix(
        "/32"
    )


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

from ipaddress import IPv4Interface

import pytest

from ninjacam.core.errors import ConfigError
from ninjacam.discovery.networks import Attached, Scope, attached_networks, is_private, parse_network

HOME = Attached("eth0", IPv4Interface("192.168.1.5/24"))


@pytest.mark.parametrize(
    "text",
    [
        "8.8.8.0/24", "10.0.0.0/8", "192.168.0.0/23", "169.254.0.0/24", "169.254.169.254", "::1/128", "x", "",
        "172.32.0.0/24", "100.100.100.0/24", "0.0.0.0/24", "224.0.0.0/24", "192.0.0.0/24", "192.168.255.0/22",
    ],
)  # fmt: skip
def test_only_small_private_networks_are_searched(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_network(text)


def test_the_hosts_of_a_network_are_without_this_host() -> None:
    hosts = Scope([HOME], parse_network("192.168.1.7/24"), ()).hosts()
    assert len(hosts) == 253
    assert not {"192.168.1.0", "192.168.1.5", "192.168.1.255"} & set(map(str, hosts))
    assert list(map(str, Scope([], parse_network("127.0.0.1/32"), ()).hosts())) == ["127.0.0.1"]


def test_a_search_contacts_only_its_networks() -> None:
    scope = Scope([HOME], parse_network("10.1.1.0/24"), ())
    assert scope.allows("192.168.1.20") and scope.allows("10.1.1.20")
    for address in ("10.1.2.20", "192.168.1.255", "8.8.8.8", "169.254.169.254", "127.0.0.1", "::1", "x", ""):
        assert not scope.allows(address), address


def test_the_networks_that_are_allowed_for_cameras_limit_a_search() -> None:
    scope = Scope([HOME], parse_network("10.1.1.0/24"), ("192.168.1.0/28",))
    assert scope.allows("192.168.1.3") and not scope.allows("192.168.1.20") and not scope.allows("10.1.1.20")
    assert scope.hosts() == []
    assert not Scope([HOME], None, ("nonsense",)).allows("192.168.1.3")


def test_the_networks_of_this_host_are_private_and_not_loopback() -> None:
    for attached in attached_networks():
        assert is_private(attached.interface.ip) and not attached.interface.ip.is_loopback

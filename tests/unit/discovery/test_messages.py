import struct

import pytest

from ninjacam.core.errors import NinjacamError, ProtocolError
from ninjacam.discovery import http, mdns, neighbours, ssdp, ws_discovery
from ninjacam.discovery.makers import BY_NAME, maker_of, maker_of_challenge, maker_of_mac
from ninjacam.discovery.text import clean
from ninjacam.discovery.xml_leaves import MAX_BYTES, read_leaves
from tests.unit.discovery.messages import (
    ARP,
    DESCRIPTION,
    HEAD,
    MDNS,
    PAGE,
    PROBE_MATCHES,
    RTSP,
    SENDER,
    SSDP,
    name,
    record,
)

LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]><l><Scopes>&b;</Scopes></l>'
XXE = b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><l><Scopes>&a;</Scopes></l>'


def test_an_onvif_answer_gives_name_maker_and_its_own_service() -> None:
    found = ws_discovery.parse_answer(b"".join(PROBE_MATCHES), SENDER)
    assert found is not None
    assert (found.code, found.kind, found.maker, found.model) == (
        "onvif_camera",
        "camera",
        "Hikvision",
        "DS-2CD2042",
    )
    assert found.name == "HIKVISION DS-2CD2042"
    assert found.onvif_url == "http://192.168.1.20:8000/onvif/device_service"


def test_each_probe_has_an_id_of_its_own_and_is_no_answer() -> None:
    assert ws_discovery.format_probe() != ws_discovery.format_probe()
    assert ws_discovery.parse_answer(ws_discovery.format_probe(), SENDER) is None


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        XXE,
        b"<a>" * 60,
        b"<a>" + b" " * MAX_BYTES + b"</a>",
        b"<a",
        b"",
        b"\xff\xfe<\0a\0",
    ],
)
def test_hostile_xml_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_leaves(data)


def test_texts_of_devices_lose_escapes_and_are_truncated() -> None:
    scopes = b"onvif://www.onvif.org/name/%1b%5b2J%E2%80%AEevil%0a%3Cscript%3E" + b"x" * 300
    data = b"".join(PROBE_MATCHES).replace(b"onvif://www.onvif.org/name/HIKVISION%20DS-2CD2042", scopes)
    found = ws_discovery.parse_answer(data, SENDER)
    assert found is not None
    assert found.name.startswith("[2J evil <script>x") and len(found.name) <= 80
    assert found.name.isprintable()
    assert clean("a\u200b\u202eb\x00\ud800 c") == "a b c"


def test_a_description_is_read_only_from_the_sender() -> None:
    data = b"".join(SSDP)
    assert ssdp.parse_answer(data, SENDER) == "http://192.168.1.20:49152/rootdesc.xml"
    assert not ssdp.parse_answer(data, "192.168.1.21")
    for location in (
        b"http://169.254.169.254/latest",
        b"file:///etc/passwd",
        b"http://192.168.1.20:99999/",
        b"//[",
    ):
        assert not ssdp.parse_answer(
            data.replace(b"http://192.168.1.20:49152/rootdesc.xml", location), SENDER
        )


def test_a_description_of_a_camera_is_evidence_and_of_a_router_is_not() -> None:
    found = ssdp.parse_description(b"".join(DESCRIPTION), SENDER)
    assert found is not None and (found.maker, found.name) == ("Axis", "Yard")
    router = (
        b"<root><device><manufacturer>TP-Link</manufacturer><modelName>Archer</modelName></device></root>"
    )
    assert ssdp.parse_description(router, SENDER) is None


def test_a_dns_answer_names_the_host_of_the_service() -> None:
    (found,) = mdns.parse_answer(b"".join(MDNS), SENDER)
    assert (found.address, found.port, found.name, found.hostname) == (
        "192.168.1.22",
        8554,
        "Garden Cam",
        "cam.local",
    )


def test_homekit_accessories_count_only_if_they_are_cameras() -> None:
    service = (b"_hap", b"_tcp", b"local")
    instance = name(b"Lamp", *service)

    def answer(category: bytes) -> bytes:
        text = bytes((len(category),)) + category
        return HEAD + record(name(*service), 12, instance) + record(instance, 16, text) * 2

    assert mdns.parse_answer(answer(b"ci=5"), SENDER) == []
    assert len(mdns.parse_answer(answer(b"ci=17"), SENDER)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD[:11],
        HEAD,
        HEAD + b"\xc0\x0c" + bytes(10),  # a pointer to itself
        HEAD + b"\xff\xff" + bytes(10),
        HEAD + b"\x3f" + b"a" * 63 + b"\0",
        HEAD + b"\x01a" * 200,
        HEAD + name(*RTSP) + struct.pack(">HHIH", 12, 1, 10, 60_000),
        bytes(mdns.MAX_MESSAGE_BYTES + 1),
    ],
)
def test_malformed_dns_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        mdns.parse_answer(data, SENDER)


def test_questions_of_others_are_ignored() -> None:
    assert mdns.parse_answer(mdns.format_query(), SENDER) == []


def test_a_page_shows_its_maker() -> None:
    page = http.parse_page(b"".join(PAGE))
    assert page is not None
    assert (page.status, page.server, page.realm, page.title) == (
        401,
        "App-webs/",
        "IP Camera(C2189)",
        "Login",
    )
    assert maker_of_challenge(page.realm, page.server, page.title) == "Hikvision"
    assert http.parse_page(b"SSH-2.0-x\r\n\r\n") is None
    with pytest.raises(NinjacamError):
        http.parse_page(b"HTTP/1.1 nonsense\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "maker"),
    [
        ("Login to 4H01D66PAJ2FA64", "Dahua"),
        ("BC Streaming Media", "Reolink"),
        ("AXIS_ACCC8E3A0A8F", "Axis"),
        ("iPolis_00-09-18-52-39-00", "Hanwha"),
        ("TP-Link IP-Camera", "TP-Link"),
        ("TP-LINK Wireless Router", ""),
        ("Login to use!", ""),
        ("praxis", ""),
    ],
)
def test_realms_reveal_the_maker(text: str, maker: str) -> None:
    assert maker_of_challenge(text) == maker


def test_neighbours_are_read_with_their_makers() -> None:
    found = neighbours.parse_neighbours(b"".join(ARP).decode())
    assert found == {"192.168.1.20": "44:19:b6:01:02:03"}
    assert neighbours.parse_neighbours("nonsense\n" * 9) == {}
    evidence = neighbours.evidence_of(*next(iter(found.items())))
    assert evidence is not None and (evidence.maker, evidence.code) == ("Hikvision", "mac_camera")
    assert neighbours.evidence_of(SENDER, "00:00:00:00:00:01") is None


def test_the_table_of_prefixes_is_whole() -> None:
    assert maker_of_mac("F0:5C:77:00:00:01") == ("phone", "Google")
    assert maker_of_mac("ec:71:db:00:00:01") == ("camera", "Reolink")
    assert maker_of_mac("de:ad:be:00:00:01") == ("phone", "")  # locally administered
    assert maker_of_mac("not a mac") == ("", "")
    for each in BY_NAME.values():
        assert each.main.startswith("/") and maker_of(f"{each.name} Cam") == each.name

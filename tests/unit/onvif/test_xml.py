"""XML from cameras: hostile documents end in typed errors, sloppy ones are accepted."""

import tracemalloc

import pytest

from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    CommandRejectedError,
    NotACameraError,
    ProtocolError,
    UnsupportedCommandError,
)
from ninjacam.onvif import xml
from ninjacam.onvif.soap import make_envelope, read_response
from ninjacam.onvif.xml import as_float, escape, parse_xml, printable

LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(10))
    + b"]><x>&k;</x>"
)
XXE = b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><x>&y;</x>'


@pytest.mark.parametrize("data", [LAUGHS, XXE, b"<!DOCTYPE x SYSTEM 'http://other/x.dtd'><x/>"])
def test_a_document_type_definition_is_refused(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="document type definition"):
            parse_xml(data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0",
        b"<a><b></a>",
        b"<a>&undefined;</a>",
        b"<a b='1' b='2'/>",
        b"no xml",
        b"<a>\x01</a>",
        b"<a/><b/>",
    ],
)
def test_malformed_documents_end_in_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="malformed"):
        parse_xml(data)


@pytest.mark.parametrize(
    "data",
    [
        b"<a>" * (xml.MAX_DEPTH + 1) + b"</a>" * (xml.MAX_DEPTH + 1),
        b"<a>" + b"<b/>" * xml.MAX_ELEMENTS + b"</a>",
        b"<a " + b" ".join(b'b%d="1"' % n for n in range(xml.MAX_ATTRIBUTES + 1)) + b"/>",
    ],
)
def test_the_size_of_a_tree_is_bounded(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="too large"):
        parse_xml(data)


def test_many_namespaces_are_refused() -> None:
    inner = b"".join(b'<a xmlns:p%d="x" xmlns:q%d="y">' % (n, n) for n in range(40))
    with pytest.raises(ProtocolError, match="namespaces"):
        parse_xml(inner + b"</a>" * 40)


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><body>Login</body></html>",
        b"\r\n<html><br></html>",
        b"<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC 'x' 'y'><html/>",
        b"<!-- camera --><HTML></HTML>",
    ],
)
def test_a_web_page_is_recognized(page: bytes) -> None:
    with pytest.raises(NotACameraError, match="web page"):
        parse_xml(page)


def test_undeclared_prefixes_padding_and_wrong_encodings_are_read() -> None:
    root = parse_xml(
        b"\xef\xbb\xbf\n<?xml version='1.0' encoding='GB2312'?><a:x><b:y c:z='1'>\xc3\xa4\xff</b:y></a:x>\0"
    )
    assert root.name == "x" and root.get_text("y") == "ä\ufffd"
    assert root.children[0].attributes == {"z": "1"}
    assert parse_xml("<a>ä</a>".encode("utf-16")).text == "ä"


def test_the_namespace_of_an_element_is_the_declared_one() -> None:
    root = parse_xml(b'<a xmlns="one" xmlns:b="two"><b:c/><d xmlns="three"/><e/></a>')
    assert [child.namespace for child in root.children] == ["two", "three", "one"]


def test_a_path_selects_elements() -> None:
    root = parse_xml(b"<a><b><c>1</c><c>2</c></b><b/></a>")
    assert [element.text for element in root.find_all("b", "c")] == ["1", "2"]
    assert root.get_int("b", "c") == 1 and root.get_int("b", "d") is None
    assert root.find("x", "y") is None and root.find_all("x", "y") == []


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), ("1,5", 1.5), ("nan", None), ("inf", None), ("x", None)]
)
def test_numbers(text: str, value: float | None) -> None:
    assert as_float(text) == value


def test_texts_of_a_camera_are_one_printable_line() -> None:
    assert printable("a\x00b\n\x1b[31mc\u202ed", 120) == "a b [31mc d"
    assert len(printable("x" * 10_000, 20)) == 20


def test_escaped_values_stay_values() -> None:
    value = "<a>&\"'\x00\ud800"
    assert parse_xml(f'<a b="{escape(value)}">{escape(value)}</a>'.encode()).text == "<a>&\"'"


def fault(subcode: str, reason: str = "Because") -> bytes:
    return make_envelope(
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:InvalidArgs</s:Value>"
        f"<s:Subcode><s:Value>ter:{subcode}</s:Value></s:Subcode></s:Subcode></s:Code>"
        f"<s:Reason><s:Text>{reason}</s:Text></s:Reason></s:Fault>"
    )


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (fault("NotAuthorized"), AuthenticationError, "user name or password"),
        (fault("NoPTZProfile"), UnsupportedCommandError, "Because"),
        (fault("InvalidArgVal"), CommandRejectedError, "Because"),
        (fault("x", "Sender not Authorized"), AuthenticationError, "user"),
        (
            make_envelope("<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code></s:Fault>"),
            CommandError,
            "Receiver",
        ),
        (
            make_envelope(
                "<s:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>Bad</faultstring></s:Fault>"
            ),
            CommandError,
            "Bad",
        ),
        (b"<x/>", NotACameraError, "does not speak ONVIF"),
    ],
)
def test_a_fault_is_a_typed_error(data: bytes, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        read_response(data)


@pytest.mark.parametrize("namespace", ["http://schemas.xmlsoap.org/soap/envelope/", "urn:wrong"])
def test_the_namespace_of_the_envelope_does_not_matter(namespace: str) -> None:
    data = f'<x:Envelope xmlns:x="{namespace}"><x:Body><y/></x:Body></x:Envelope>'
    assert read_response(data.encode()).name == "y"


def test_an_empty_body_is_an_empty_element() -> None:
    assert read_response(make_envelope("")).name == ""

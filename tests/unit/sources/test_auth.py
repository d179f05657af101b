"""Challenges answered as the RFCs' own examples say."""

import hashlib
import re
import secrets

import pytest

from ninjacam.core.errors import ProtocolError
from ninjacam.sources.auth import Authenticator, parse_challenges
from ninjacam.sources.rtsp.messages import checked_lines, parse_head

RFC_7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


def field(header: str | None, name: str) -> str:
    found = re.search(rf'\b{name}="?([^",]*)', header or "")
    assert found
    return found[1]


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_example_of_rfc_7616_gives_the_published_response(
    algorithm: str, response: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _size: CNONCE)
    login = Authenticator("Mufasa", "Circle of Life")
    assert login.take_challenge([RFC_7616.format(algorithm)])
    header = login.header("GET", "/dir/index.html")
    assert field(header, "response") == response
    assert field(header, "nc") == "00000001"
    assert field(login.header("GET", "/dir/index.html"), "nc") == "00000002"


def test_without_qop_the_old_form_is_used() -> None:
    login = Authenticator("u", "p")
    assert login.take_challenge(['Digest realm="r", nonce="n"'])
    first, second = (hashlib.md5(text).hexdigest() for text in (b"u:r:p", b"DESCRIBE:rtsp://c/"))
    header = login.header("DESCRIBE", "rtsp://c/")
    assert field(header, "response") == hashlib.md5(f"{first}:n:{second}".encode()).hexdigest()
    assert "qop" not in (header or "")


def test_session_algorithms_bind_the_secret_to_the_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _size: "c")
    login = Authenticator("u", "p")
    login.take_challenge(['Digest realm="r", nonce="n", qop="auth", algorithm=MD5-sess'])
    base = hashlib.md5(b"u:r:p").hexdigest()
    secret, request = (hashlib.md5(text).hexdigest() for text in (f"{base}:n:c".encode(), b"GET:/"))
    expected = hashlib.md5(f"{secret}:n:00000001:c:auth:{request}".encode()).hexdigest()
    assert field(login.header("GET", "/"), "response") == expected


def test_the_strongest_challenge_is_answered() -> None:
    basic, md5, sha = (
        'Basic realm="x"',
        'Digest realm="x", nonce="1"',
        'Digest realm="x", nonce="2", algorithm=SHA-256',
    )
    for headers, start in (([basic], "Basic "), ([basic, md5], "Digest "), ([f"{md5}, {basic}"], "Digest ")):
        login = Authenticator("u", "p")
        login.take_challenge(headers)
        assert (login.header("GET", "/") or "").startswith(start)
    login = Authenticator("u", "p")
    login.take_challenge([basic, md5, sha])
    assert field(login.header("GET", "/"), "nonce") == "2"


def test_a_refused_login_is_retried_only_after_a_stale_nonce() -> None:
    login = Authenticator("u", "p")
    assert login.take_challenge(['Digest realm="r", nonce="1"'])
    assert not login.take_challenge(['Digest realm="r", nonce="2"'])
    assert login.take_challenge(['Digest realm="r", nonce="3", stale=true'])
    assert not login.take_challenge(['Digest realm="r", nonce="3", stale=true'])
    login.accept()
    assert login.take_challenge(['Digest realm="r", nonce="4"'])


def test_without_credentials_no_login_is_tried() -> None:
    assert not Authenticator("", "").take_challenge(['Basic realm="x"'])
    with pytest.raises(ProtocolError):
        Authenticator("u", "p").take_challenge(["Negotiate"])
    assert not Authenticator("u", "p").take_challenge([])


def test_quotes_and_line_breaks_cannot_escape_their_field() -> None:
    login = Authenticator('a"b\r\nX: y', "p")
    login.take_challenge(['Digest realm="a\\"b", nonce="1"'])
    header = login.header("GET", "/")
    assert header and "\n" not in header and 'username="a\\"bX: y"' in header
    assert parse_challenges('Digest realm="a, Basic b", nonce=7') == [
        ("digest", {"realm": "a, Basic b", "nonce": "7"})
    ]


@pytest.mark.parametrize(
    "realm", ["Caméra 摄像机".encode(), b"CS-C6N\xff\xfe", "Büro".encode("latin-1"), b""]
)
def test_a_realm_is_hashed_and_sent_as_received(realm: bytes) -> None:
    head = b'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm="' + realm + b'", nonce="n"'
    login = Authenticator("u", "p")
    assert login.take_challenge(parse_head(head)[0].headers["www-authenticate"])
    header = login.header("DESCRIBE", "rtsp://c/") or ""
    first, second = (hashlib.md5(text).hexdigest() for text in (b"u:" + realm + b":p", b"DESCRIBE:rtsp://c/"))
    assert field(header, "response") == hashlib.md5(f"{first}:n:{second}".encode()).hexdigest()
    assert b'realm="' + realm + b'"' in checked_lines([f"Authorization: {header}"])


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "Digest realm=IP Camera, nonce=abc, stale=FALSE",
            {"realm": "IP Camera", "nonce": "abc", "stale": "FALSE"},
        ),
        (
            'Digest realm="x" nonce="y" qop="auth,auth-int"',
            {"realm": "x", "nonce": "y", "qop": "auth,auth-int"},
        ),
        ('Digest realm="r", nonce="n==", algorithm=,', {"realm": "r", "nonce": "n==", "algorithm": ""}),
        ('Digest nonce=MTU0==, realm="open', {"nonce": "MTU0==", "realm": "open"}),
    ],
)
def test_unusual_challenges_are_parsed(header: str, expected: dict[str, str]) -> None:
    assert parse_challenges(header) == [("digest", expected)]


def test_a_challenge_is_reused_on_the_next_connection() -> None:
    login = Authenticator("u", "p")
    assert not login.is_challenged
    assert login.take_challenge(['Digest realm="r", nonce="1", algorithm=SHA256'])
    login.reconnect()
    assert login.is_challenged and field(login.header("GET", "/"), "nonce") == "1"
    assert login.take_challenge(['Digest realm="r", nonce="2"'])
    assert not login.take_challenge(['Digest realm="r", nonce="3"'])

"""Encryption of push messages and the identification of this server, against the examples of the RFCs."""

import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from ninjacam.core.errors import ConfigError
from ninjacam.push.base64url import from_base64url, to_base64url
from ninjacam.push.encryption import MAX_PLAINTEXT_BYTES, PADDED_TO_BYTES, RECORD_BYTES, encrypt
from ninjacam.push.vapid import LIFETIME_S, authorization, make_private_key, public_key_of
from tests.harness.push_service import Phone, check_authorization, decrypt

# RFC 8291, section 5 and appendix A.
PLAINTEXT = b"When I grow up, I want to be a watermelon"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
RECEIVER = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
P256DH = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
MESSAGE = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
# RFC 8292, section 2.4.
TOKEN = (
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6"
    "Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0.i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSS"
    "HzvoD1oA"
)
TOKEN_KEY = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"


def private_key(number: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(from_base64url(number), "big"), ec.SECP256R1())


def test_a_message_has_the_bytes_of_rfc_8291() -> None:
    body = encrypt(
        PLAINTEXT, P256DH, AUTH, sender=private_key(SENDER), salt=from_base64url(SALT), padding_bytes=0
    )
    assert to_base64url(body) == MESSAGE


def test_the_receiver_of_our_tests_decrypts_the_example_of_rfc_8291() -> None:
    assert decrypt(from_base64url(MESSAGE), private_key(RECEIVER), from_base64url(AUTH)) == PLAINTEXT


@pytest.mark.parametrize("length", [0, 1, PADDED_TO_BYTES, 700, MAX_PLAINTEXT_BYTES])
def test_the_length_of_a_message_reveals_little(length: int) -> None:
    phone = Phone()
    body = encrypt(b"x" * length, phone.p256dh, phone.auth)
    assert decrypt(body, phone.key, phone.secret) == b"x" * length
    assert len(body) <= RECORD_BYTES
    assert len(body) == RECORD_BYTES or (len(body) - 103) % PADDED_TO_BYTES == 0
    assert body != encrypt(b"x" * length, phone.p256dh, phone.auth), "keys and salt are used once"


def test_a_message_that_does_not_fit_is_refused() -> None:
    phone = Phone()
    with pytest.raises(ValueError, match="at most"):
        encrypt(b"x" * (MAX_PLAINTEXT_BYTES + 1), phone.p256dh, phone.auth)


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", AUTH), (P256DH[:-2], AUTH), (P256DH, AUTH[:-2]), (P256DH, ""), ("!" * 87, AUTH), (P256DH, "ä" * 22),
        (to_base64url(b"\x04" + b"\x01" * 64), AUTH), (to_base64url(b"\0" * 65), AUTH), ("A", AUTH),
    ],
)  # fmt: skip
def test_keys_that_are_not_a_point_and_a_secret_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(ConfigError, match="keys of a push subscription"):
        encrypt(b"", p256dh, auth)


def test_the_check_of_our_tests_accepts_the_token_of_rfc_8292_and_no_other() -> None:
    claims = check_authorization(f"vapid t={TOKEN}, k={TOKEN_KEY}")
    assert claims == {"aud": "https://push.example.net", "exp": 1453523768, "sub": "mailto:push@example.com"}
    with pytest.raises(InvalidSignature):
        check_authorization(f"vapid t={TOKEN[:-2]}oB, k={TOKEN_KEY}".replace("i3CY", "i3CZ"))


def test_a_token_is_signed_for_the_push_service_for_half_a_day() -> None:
    private = make_private_key()
    header = authorization(
        "https://push.example.net:8443/p/abc?x=1", private, contact="mailto:a@example.org", now_s=1000
    )
    claims = check_authorization(header)
    assert claims == {
        "aud": "https://push.example.net:8443",
        "exp": 1000 + LIFETIME_S,
        "sub": "mailto:a@example.org",
    }
    assert header.endswith(f", k={public_key_of(private)}")
    assert json.loads(from_base64url(header.split("t=")[1].split(".")[0])) == {"typ": "JWT", "alg": "ES256"}
    assert public_key_of(RECEIVER) == P256DH


@pytest.mark.parametrize("text", ["a b", "ä", "a+b", "A", "a/b", "a\nb"])
def test_other_alphabets_are_not_base64url(text: str) -> None:
    with pytest.raises(ValueError):
        from_base64url(text)

"""SOAP 1.2 envelopes, WS-Security UsernameToken with a password digest, and faults as errors.

Sources: SOAP 1.2 part 1; WSS UsernameToken Profile 1.0; ONVIF Core Specification, sections 5.8 and 5.9.
"""

import base64
import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from ninjacam.core.errors import (
    AuthenticationError,
    CommandError,
    CommandRejectedError,
    NinjacamError,
    NotACameraError,
    UnsupportedCommandError,
)
from ninjacam.core.texts import sentence
from ninjacam.onvif.xml import Element, escape, local_name, parse_xml, printable

_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"

_UNAUTHORIZED = {
    "NotAuthorized",
    "FailedAuthentication",
    "InvalidSecurityToken",
    "InvalidSecurity",
    "Sender_NotAuthorized",
}
_UNSUPPORTED = {
    "ActionNotSupported",
    "OptionalActionNotImplemented",
    "NotSupported",
    "NoPTZProfile",
    "PTZNotSupported",
    "SpaceNotSupported",
    "NoImagingForSource",
    "NoHomePosition",
    "NoHomePositionSet",
    "MustUnderstand",
}
_REJECTED = {
    "InvalidArgVal",
    "InvalidArgs",
    "InvalidArgument",
    "OperationProhibited",
    "InvalidPosition",
    "InvalidVelocity",
    "InvalidTranslation",
    "InvalidSpeed",
    "NoToken",
    "NoEntity",
    "NoProfile",
    "NoConfig",
    "ConfigModify",
    "SettingsInvalid",
    "PresetExist",
    "TooManyPresets",
    "CannotOverwriteHome",
    "MovingPTZ",
    "RelayToken",
    "ModeError",
    "InvalidMode",
    "WellFormed",
}


def make_envelope(body: str, header: str = "") -> bytes:
    """Return a request. `body`, `header`: XML whose values are escaped."""
    head = f"<s:Header>{header}</s:Header>" if header else ""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">{head}'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def make_security(username: str, password: str, created: datetime, nonce: bytes) -> str:
    """Return the header that proves knowledge of the password without containing it.

    `created`: aware, by the camera's clock. `nonce`: random bytes, used once.
    """
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{created.microsecond // 1000:03d}Z"
    digest = hashlib.sha1(nonce + stamp.encode() + password.encode(), usedforsecurity=False).digest()
    return (
        f'<w:Security xmlns:w="{_WSSE}" s:mustUnderstand="1"><w:UsernameToken>'
        f"<w:Username>{escape(username)}</w:Username>"
        f'<w:Password Type="{_PROFILE}">{base64.b64encode(digest).decode()}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f'<u:Created xmlns:u="{_WSU}">{stamp}</u:Created></w:UsernameToken></w:Security>'
    )


def read_response(data: bytes) -> Element:
    """Return the first element of the body of a response.

    Raises: ProtocolError, NotACameraError; the error of a fault (`error_of`).
    """
    root = parse_xml(data)
    body = root.find("Body") if root.name == "Envelope" else None
    if body is None:
        raise NotACameraError(
            "Something answers there that does not speak ONVIF: check the address and the port."
        )
    content = body.children[0] if body.children else Element("")
    if content.name == "Fault":
        raise error_of(content)
    return content


def error_of(fault: Element) -> NinjacamError:
    """Return the error for a SOAP fault, of SOAP 1.2 or 1.1."""
    codes = list(_codes(fault))
    reason = printable(fault.get_text("Reason", "Text") or fault.get_text("faultstring"))
    said = f" It says: “{reason}”." if reason else ""
    if _UNAUTHORIZED.intersection(codes) or _means_unauthorized(reason):
        return AuthenticationError(
            "The camera rejects the user name or password for ONVIF: check both. Some cameras have separate "
            "users for ONVIF, or require that ONVIF is switched on."
        )
    if _UNSUPPORTED.intersection(codes):
        return UnsupportedCommandError(
            sentence("The camera does not support this command.%(said)s", said=said)
        )
    if _REJECTED.intersection(codes):
        return CommandRejectedError(
            sentence("The camera rejects the command: check the values.%(said)s", said=said)
        )
    name = f" ({printable(codes[-1], 40)})" if codes else ""
    return CommandError(
        sentence("The camera could not carry out the command%(name)s.%(said)s", name=name, said=said)
    )


def _codes(fault: Element) -> Iterable[str]:
    """Yield the codes of a fault, the general one first."""
    code = fault.find("Code")
    while code is not None:
        yield local_name(code.get_text("Value"))
        code = code.find("Subcode")
    if legacy := fault.get_text("faultcode"):
        yield local_name(legacy)


def _means_unauthorized(reason: str) -> bool:
    text = reason.lower()
    return "not authorized" in text or "unauthorized" in text or "authority failure" in text

"""Assigns the address and login of a stream: permitted values, and the conditions for keeping the stored password."""

from ipaddress import ip_address
from typing import TypedDict

from django.utils.translation import gettext as _

from ninjacam.core.errors import ConfigError, ForbiddenAddressError, InvalidError, UnsupportedSchemeError
from ninjacam.core.redact import MASK, split_credentials
from ninjacam.credentials import Credentials, unseal
from ninjacam.languages import translate
from ninjacam.models.stream_fields import StreamFields
from ninjacam.sources.addresses import check_address
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import check_url
from ninjacam.sources.urls import binding_of, parse_url


class AddressFields(TypedDict, total=False):
    """The address and login of a stream. Missing values stay unchanged. Empty user and password remove the stored
    ones."""

    url: str
    username: str
    password: str


def assign_address(stream: StreamFields, fields: AddressFields, *, verified_before: bool) -> None:
    """Split the address and login into the fields of `stream`. Does not save.

    `verified_before`: `verify_tls` of its camera before this change. Raises: InvalidError.
    """
    url = fields.get("url", stream.url).strip()
    _check_login(fields)
    has_login = _check_url(stream, url)
    stored = _stored(stream, fields)
    kept = stored if stored and _keeps(stream, stored, url, fields, verified_before) else None
    if MASK in url and kept is None:
        raise InvalidError.of(
            "url", _("The URL contains secrets that were not kept. Enter the whole URL again.")
        )
    login = Credentials() if kept is None or (has_login and url != stream.url) else kept
    username = fields.get("username", login.username)
    password = fields.get("password", login.password)
    if url == stream.url and kept and kept.url:
        url = kept.url
    stream.set_source(url, username, password)


def _check_login(fields: AddressFields) -> None:
    """Raises: InvalidError."""
    for name, value in (("username", fields.get("username")), ("password", fields.get("password"))):
        if value == MASK:
            raise InvalidError.of(name, _("“***” stands for the stored value. Omit it to keep the value."))
        try:
            (value or "").encode()
        except UnicodeEncodeError:  # Half of a surrogate pair, or bytes of another encoding.
            raise InvalidError.of(name, _("This is not valid UTF-8 text.")) from None


def _check_url(stream: StreamFields, url: str) -> bool:
    """Check a URL, and return whether it contains a login. Raises: InvalidError."""
    if url != stream.url and MASK in url:
        raise InvalidError.of(
            "url", _("“***” stands for the stored value. Enter the whole URL, or leave it unchanged.")
        )
    try:
        has_login = split_credentials(url)[0] != url
        check_url(url)
    except (UnsupportedSchemeError, ConfigError) as error:
        raise InvalidError.of("url", translate(error.text)) from error
    except ValueError:  # The text of the exception contains the URL.
        raise InvalidError.of("url", _("This is not a valid URL. Check its host and port.")) from None
    return has_login


def _stored(stream: StreamFields, fields: AddressFields) -> Credentials | None:
    """Return the stored credentials. Raises: InvalidError: the secret key has changed, and no new password is given."""
    try:
        return unseal(stream.credentials) if stream.credentials else None
    except ConfigError as error:
        if "password" in fields and MASK not in fields.get("url", stream.url):
            return None
        raise InvalidError.of("password", translate(error.text)) from error


def _keeps(
    stream: StreamFields, stored: Credentials, url: str, fields: AddressFields, verified_before: bool
) -> bool:
    """Return whether the stored credentials remain in use: only for the scheme, host, port and TLS verification for
    which they were entered.

    Otherwise, a user who may configure a camera could have its password sent to another host, or in clear text.
    Raises: InvalidError: one of these has changed, and no new credentials are given.
    """
    true_url = stored.url or stream.url
    before = stored.bound_to or binding_of(true_url, verify_tls=verified_before)
    now = binding_of(true_url if url == stream.url else url, verify_tls=stream.owner.verify_tls)
    if before == now:
        return True
    if "password" in fields or any(split_credentials(url)[1:]):
        return False
    raise InvalidError.of("password", _why_anew(before, now))


def _why_anew(before: str, now: str) -> str:
    """Return why new credentials are required. `before`, `now`: results of `binding_of`."""
    old, new = (_parts_of(binding) for binding in (before, now))
    if old[1] != new[1]:
        return _("The URL has another host than before. Enter the user and password again.")
    if old[2] != new[2]:
        return _("The URL has another port than before. Enter the user and password again.")
    if old[0] != new[0]:
        return _("The URL starts with %(new)s instead of %(old)s. Enter the user and password again.") % {
            "new": f"{new[0]}:",
            "old": f"{old[0]}:",
        }
    return _("TLS verification was switched on or off. Enter the user and password again.")


def _parts_of(binding: str) -> tuple[str, str, str]:
    """Return (scheme, host, port)."""
    scheme, _separator, rest = binding.partition("://")
    host, _separator, port = rest.partition(" ")[0].rpartition(":")
    return scheme, host, port


def find_forbidden_address(source: SourceConfig) -> ForbiddenAddressError | None:
    """Return the error of an IP address where cameras are not allowed, without any network access."""
    if source.url.lower().startswith("udp:"):
        return None  # The address is not the camera's.
    try:
        check_address(ip_address(parse_url(source.url).host.partition("%")[0]), source)
    except ForbiddenAddressError as error:
        return error
    except (ConfigError, ValueError):
        return None  # A host name: connecting resolves it.
    return None

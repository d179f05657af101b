"""Values of the product's settings from the environment: directory, secret key, database, hosts."""

import os
import re
import secrets
import socket
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ImproperlyConfigured


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return NINJACAM_DATA, else `~/.local/share/ninjacam` (XDG base directories). Created, readable by its owner
    only."""
    given = environ.get("NINJACAM_DATA")
    if given:
        path = Path(given).expanduser().absolute()
    else:
        home = environ.get("XDG_DATA_HOME")
        path = (Path(home) if home else Path.home() / ".local" / "share") / "ninjacam"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data directory {path} cannot be made: {error.strerror}. Choose another with NINJACAM_DATA."
        ) from error
    return path


def secret_key(environ: Mapping[str, str], data: Path) -> str:
    """Return NINJACAM_SECRET_KEY, else the key in `<data>/secret_key`, generated once with mode 0600.

    Several processes may start at once: the file is created atomically, and the first one counts.
    """
    given = environ.get("NINJACAM_SECRET_KEY")
    if given:
        return given
    path = data / "secret_key"
    try:
        if not path.exists():
            draft = data / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        key = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"The secret key {path} cannot be read: {error.strerror}.") from error
    if len(key) < 32:
        raise ImproperlyConfigured(
            f"{path} holds no usable secret key. Restore it, or set NINJACAM_SECRET_KEY."
        )
    return key


ZONEINFO = Path("/usr/share/zoneinfo")
LOCALTIME = Path("/etc/localtime")


def time_zone(environ: Mapping[str, str]) -> str:
    """Return the name of the time zone for display: TZ, else the host's /etc/localtime, else UTC.

    Raises: ImproperlyConfigured: TZ does not name a zone.
    """
    given = environ.get("TZ", "").removeprefix(":")
    if given:
        name = _zone_name(Path(given)) if given.startswith("/") else given
        if not name or not _is_zone(name):
            raise ImproperlyConfigured(f"TZ names no time zone: {given!r}. Write it as Europe/Berlin.")
        return name
    name = _zone_name(LOCALTIME)
    return name if _is_zone(name) else "UTC"


def _zone_name(path: Path) -> str:
    """Return the zone of a symbolic link or a copied file; "" if it cannot be determined."""
    found = path.resolve()
    if found.is_relative_to(ZONEINFO.resolve()):
        name = found.relative_to(ZONEINFO.resolve()).as_posix()
        return name.removeprefix("posix/").removeprefix("right/")
    try:
        content = found.read_bytes()
    except OSError:
        return ""
    for name in sorted(available_timezones()):  # A copy, as in containers.
        file = ZONEINFO / name
        if "/" in name and file.is_file() and file.read_bytes() == content:
            return name
    return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def networks(environ: Mapping[str, str]) -> list[str]:
    """Return NINJACAM_NETWORKS, for the setting ALLOWED_NETWORKS: `192.168.1.0/24,10.0.0.0/8`."""
    return _networks(environ, "NINJACAM_NETWORKS")


def push_networks(environ: Mapping[str, str]) -> list[str]:
    """Return NINJACAM_PUSH_NETWORKS, for the setting PUSH_NETWORKS."""
    return _networks(environ, "NINJACAM_PUSH_NETWORKS")


def _networks(environ: Mapping[str, str], variable: str) -> list[str]:
    found = _listed(environ, variable)
    for network in found:
        try:
            ip_network(network)
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{variable} cannot be read at {network!r}: {error}. Write 192.168.1.0/24,10.0.0.0/8."
            ) from error
    return found


_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


def prefix(environ: Mapping[str, str]) -> str:
    """Return NINJACAM_PREFIX: the path at which a reverse proxy publishes Ninjacam, such as `/cam`; empty: the root."""
    given = environ.get("NINJACAM_PREFIX", "").strip().rstrip("/")
    path = f"/{given.lstrip('/')}" if given else ""
    if not _PREFIX.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise ImproperlyConfigured(f"NINJACAM_PREFIX cannot be {given!r}. Write a path such as /cam.")
    return path


_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def retention(environ: Mapping[str, str]) -> dict[str, int | float]:
    """Return NINJACAM_RETENTION, for the setting RETENTION:
    `bytes=500G,bytes_per_camera=50G,days=30,free_bytes=10G`."""
    limits: dict[str, int | float] = {}
    for item in filter(None, environ.get("NINJACAM_RETENTION", "").replace(" ", "").split(",")):
        name, _, value = item.partition("=")
        unit = _UNITS.get(value[-1:].upper(), 0)
        try:
            number = float(value[:-1] if unit else value) * (unit or 1)
            limits[name] = number if name == "days" else int(number)
        except (ValueError, OverflowError) as error:
            raise ImproperlyConfigured(
                f"NINJACAM_RETENTION cannot be read at {item!r}. Write bytes=500G,days=30."
            ) from error
    return limits


def log_level(environ: Mapping[str, str]) -> str:
    """Return NINJACAM_LOG, by default INFO. Raises: ImproperlyConfigured: it is not a log level."""
    level = environ.get("NINJACAM_LOG", "").strip().upper() or "INFO"
    if level not in _LOG_LEVELS:
        raise ImproperlyConfigured(f"NINJACAM_LOG cannot be {level!r}. Use one of {', '.join(_LOG_LEVELS)}.")
    return level


_MAIL_PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


class MailServer(NamedTuple):
    """`starts_tls`: encrypted after the greeting. `is_tls`: encrypted from the start."""

    host: str = "localhost"
    port: int = 25
    user: str = ""
    password: str = ""
    starts_tls: bool = False
    is_tls: bool = False


def mail_server(environ: Mapping[str, str]) -> MailServer:
    """Return the server of NINJACAM_EMAIL: `smtp://user:password@mail.example.org` encrypts by STARTTLS, `smtps://`
    from the start, and `smtp+plain://` not at all. By default, port 25 of this host, without encryption."""
    url = environ.get("NINJACAM_EMAIL", "")
    if not url:
        return MailServer()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured("NINJACAM_EMAIL cannot be read: its host or port is malformed.") from error
    if parts.scheme not in _MAIL_PORTS or not parts.hostname or parts.path not in ("", "/"):
        raise ImproperlyConfigured(
            "NINJACAM_EMAIL must be smtp://USER:PASSWORD@HOST:PORT, smtps://… or smtp+plain://…."
        )
    return MailServer(
        parts.hostname,
        port or _MAIL_PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        starts_tls=parts.scheme == "smtp",
        is_tls=parts.scheme == "smtps",
    )


def email_sender(environ: Mapping[str, str]) -> str:
    """Return NINJACAM_EMAIL_FROM: the sender of e-mails. Default: `ninjacam@` this host."""
    given = environ.get("NINJACAM_EMAIL_FROM", "").strip()
    if not given.isprintable():
        raise ImproperlyConfigured("NINJACAM_EMAIL_FROM must be an address, such as cameras@example.org.")
    return given or f"ninjacam@{socket.gethostname()}"


SQLITE_OPTIONS: dict[str, Any] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA temp_store=MEMORY;",
}
"""Allows reading during a write, and makes writers wait instead of failing with "database is locked"."""


def database(environ: Mapping[str, str], data: Path) -> dict[str, Any]:
    """Return the database of DATABASE_URL: `sqlite:///path`, `sqlite:////abs/path`,
    `postgres://user:password@host:port/name?sslmode=require`. By default, SQLite in the data directory."""
    url = environ.get("DATABASE_URL", "")
    if not url:
        return _sqlite(str(data / "ninjacam.sqlite3"))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL cannot be read: its host or port is malformed.") from error
    name = unquote(parts.path[1:])
    if parts.scheme == "sqlite" and name:
        return _sqlite(":memory:" if name == ":memory:" else str(data / name))
    if parts.scheme in {"postgres", "postgresql"} and name:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": port or "",
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": dict(parse_qsl(parts.query)),
        }
    raise ImproperlyConfigured(
        "DATABASE_URL must be sqlite:///FILE or postgres://USER:PASSWORD@HOST:PORT/NAME."
    )


def _sqlite(name: str) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": SQLITE_OPTIONS}


class AnyAddress(str):
    """An entry for ALLOWED_HOSTS that allows every IP address literal.

    The check of the Host header protects against *names* controlled by attackers (DNS rebinding, poisoned links). A
    browser that sends an address as Host got that address from its user, so a phone in the same network works
    without configuration, also with containers, and an attacker's page still cannot access this server. Names must
    be allowed.
    """

    __slots__ = ()

    def __new__(cls) -> "AnyAddress":
        return super().__new__(cls, "any-ip-address")

    def lower(self) -> "AnyAddress":
        return self  # `is_same_domain` lowers the pattern before it compares.

    def __eq__(self, other: object) -> bool:
        try:
            ip_address(str(other).strip("[]"))
        except ValueError:
            return False
        return True

    __hash__ = str.__hash__


def _listed(environ: Mapping[str, str], name: str) -> list[str]:
    return [item.strip() for item in environ.get(name, "").split(",") if item.strip()]


def hosts(environ: Mapping[str, str]) -> list[str]:
    """Return ALLOWED_HOSTS: any IP address, this host's names, NINJACAM_HOSTS and the hosts of NINJACAM_ORIGINS."""
    own = socket.gethostname().lower()
    outside = [urlsplit(origin).hostname or "" for origin in origins(environ)]
    names = ["localhost", ".localhost", own, f"{own}.local", *_listed(environ, "NINJACAM_HOSTS"), *outside]
    return [*dict.fromkeys(name for name in names if name), AnyAddress()]


def origins(environ: Mapping[str, str]) -> list[str]:
    """Return NINJACAM_ORIGINS: the origins of a reverse proxy, such as `https://cam.example.org`."""
    return _listed(environ, "NINJACAM_ORIGINS")


def https_hosts(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the host names of the https origins in NINJACAM_ORIGINS, in lower case, without ports."""
    parsed = [urlsplit(origin) for origin in origins(environ)]
    return frozenset(parts.hostname for parts in parsed if parts.scheme == "https" and parts.hostname)


def trusted_proxies(environ: Mapping[str, str]) -> list[str]:
    """Return NINJACAM_FORWARDED_ALLOW_IPS: addresses or networks of proxies, or `*` for any. By default, this host."""
    listed = _listed(environ, "NINJACAM_FORWARDED_ALLOW_IPS")
    if "*" in listed:
        return ["0.0.0.0/0", "::/0"]
    return listed or ["127.0.0.0/8", "::1/128"]

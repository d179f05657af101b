"""Code that the commands about cameras share: options, passwords, checks of addresses, output."""

import argparse
import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from ninjacam.actions.cameras import CameraFields
from ninjacam.actions.device import read_device
from ninjacam.actions.probe import ProbeResult, run_probe
from ninjacam.actions.sources import AddressFields, find_forbidden_address
from ninjacam.actions.streams import ROLE_STREAMS
from ninjacam.core.ready_made import READY_MADE
from ninjacam.core.redact import split_credentials
from ninjacam.core.streams import MAIN
from ninjacam.management.base import OPERATOR, NinjacamCommand, read_password
from ninjacam.models import Camera
from ninjacam.models.camera import check_ready_made
from ninjacam.queries.status import Status
from ninjacam.queries.streams import list_streams, stream_urls
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import waits_for_publisher

NEVER = frozenset({"config", "forbidden_address", "unsupported_scheme"})
"""Codes of errors that only another address can correct."""

LOGIN_WAS_VISIBLE = (
    "The login in this URL was visible in the process list and may be in your shell's history. "
    "Next time, use --username NAME."
)


class _RefusePassword(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        parser.error(
            "all users of this host can read arguments. "
            "Omit the password to be prompted for it, or use --password-stdin."
        )


class SourceCommand(NinjacamCommand):
    """A command that takes the address of a camera."""

    def add_login_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", help="user name; prompts for the password")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from the first line of standard input",
        )
        parser.add_argument("--password", action=_RefusePassword, nargs="?", help=argparse.SUPPRESS)

    def add_stream_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--sub", metavar="URL", help="URL of the camera's second, smaller stream")
        parser.add_argument(
            "--stream",
            action="append",
            default=[],
            metavar="NAME=URL",
            help="another stream; can be repeated. It uses the camera's login at the same address",
        )

    def streams(self, options: dict[str, Any]) -> dict[str, AddressFields]:
        """Return the addresses of `--sub` and `--stream` by name. Raises: CommandError."""
        found: dict[str, AddressFields] = {}
        for text in ([f"sub={options['sub']}"] if options["sub"] else []) + options["stream"]:
            name, is_pair, url = text.partition("=")
            if not is_pair or not url or name in found:
                raise CommandError("Write --stream NAME=URL, with a different name for each stream.")
            if _hide_login(url):
                self.warn(LOGIN_WAS_VISIBLE)
            found[name] = AddressFields(url=url)
        return found

    def device_streams(self, fields: CameraFields, camera: Camera | None = None) -> dict[str, AddressFields]:
        """Return the streams that the device describes and the camera lacks. Raises: NinjacamError."""
        found, names = read_device(OPERATOR, fields, camera)
        present = stream_urls(camera) if camera else {MAIN: ""}
        urls = {names[profile.token]: profile.url for profile in found.profiles if profile.token in names}
        return {name: AddressFields(url=url) for name, url in sorted(urls.items()) if name not in present}

    def add_processors_argument(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--processors",
            metavar="NAMES",
            help=f"ready-made processors, separated by commas; '' for none: {', '.join(READY_MADE)}",
        )

    def processors(self, options: dict[str, Any]) -> list[str] | None:
        """Return the names of `--processors`; None: it is not given. Raises: CommandError: one is unknown."""
        if options["processors"] is None:
            return None
        names = [each for each in options["processors"].replace(" ", "").split(",") if each]
        try:
            check_ready_made(names)
        except ValidationError as error:
            raise CommandError(error.messages[0]) from error
        return names

    def add_check_arguments(self, parser: CommandParser) -> None:
        check = parser.add_mutually_exclusive_group()
        check.add_argument("--no-check", action="store_true", help="do not test the camera")
        check.add_argument("--check", action="store_true", help="save the camera only if it sends video")
        parser.add_argument(
            "--force", action="store_true", help="save the camera even if this address is not allowed"
        )

    def password(self, options: dict[str, Any]) -> str | None:
        """Return the password for `--username`, or None if there is none. Raises: CommandError."""
        url = options.get("url") or ""
        if options["password_stdin"]:
            return read_password(from_stdin=True, prompt="")
        if _hide_login(url):
            self.warn(LOGIN_WAS_VISIBLE)
            return None
        return read_password(from_stdin=False, prompt="Password: ") if options["username"] else None

    def try_streams(
        self, sources: Mapping[str, SourceConfig], options: dict[str, Any]
    ) -> dict[str, ProbeResult | None]:
        """Test other streams than `main`, as `try_address` does. Raises: CommandError."""
        return {name: self.try_address(source, options, name) for name, source in sources.items()}

    def report_streams(self, answers: Mapping[str, ProbeResult | None]) -> None:
        """Print the results of `try_streams`."""
        for name, answer in answers.items():
            if answer is not None and answer.ok:
                self.stdout.write(f"Stream {name}: {answer.codec}, {answer.width} x {answer.height}.")
            elif answer is not None:
                self.warn(f"Stream {name}: {(answer.error or {}).get('message', '')}")

    def try_address(
        self, source: SourceConfig, options: dict[str, Any], stream: str = ""
    ) -> ProbeResult | None:
        """Test the camera and return the result, or None if it was not tested. `stream`: a name for messages.

        Raises: CommandError: the address can never work, or the test failed and `--check` is given.
        """
        forbidden = find_forbidden_address(source)
        error = forbidden.as_dict() if forbidden else None
        answer = None
        if error is None and not options["no_check"] and not waits_for_publisher(source):
            answer = run_probe(source)
            error = answer.error
        if error is not None and (options["check"] or (error["code"] in NEVER and not options["force"])):
            hint = " Use --force to save it anyway." if error["code"] in NEVER else ""
            name = f"Stream {stream}: " if stream else ""
            raise CommandError(f"{name}{error['message']} Not saved.{hint}")
        return answer


def _hide_login(url: str) -> bool:
    """Overwrite the login of a URL in this process's arguments. Return whether it contains one."""
    try:
        if not split_credentials(url)[2]:
            return False
    except ValueError:
        return False  # The action reports errors in the URL.
    secret = url.partition("://")[2].rpartition("@")[0].encode()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # proc(5): arg_start and arg_end
    except (OSError, ValueError, IndexError):
        return True
    if 0 < start < end:
        arguments = ctypes.string_at(start, end - start)
        ctypes.memmove(start, arguments.replace(secret, b"*" * len(secret)), end - start)
    return True


def describe(camera: Camera, status: Status) -> dict[str, Any]:
    """Return a camera as JSON values, without its login."""
    report = status.camera(camera, details=True)
    return {
        "slug": camera.slug,
        "name": camera.name,
        "state": str(report["state"]),
        "error": report.get("error"),
        "findings": list(report.get("findings", ())),
        "url": camera.url,
        "has_credentials": camera.has_credentials,
        "enabled": camera.enabled,
        "transport": str(camera.transport),
        "audio": camera.audio,
        "verify_tls": camera.verify_tls,
        "sleeps": camera.sleeps,
        "processors": camera.processors or [],
        "guest_view": camera.guest_view,
        "record": str(camera.record),
        "record_before_s": camera.record_before_s,
        "record_after_s": camera.record_after_s,
        "record_schedule": camera.record_schedule,
        "onvif_url": camera.onvif_url,
        **{role: getattr(camera, role) for role in ROLE_STREAMS},
        "streams": [
            {
                "name": each.name,
                "state": each.state,
                "url": each.fields.url,
                "codec": each.fields.codec,
                "width_px": each.fields.width_px,
                "height_px": each.fields.height_px,
                "fps": each.fields.fps,
                "bitrate_bps": each.fields.bitrate_bps,
                "has_credentials": each.fields.has_credentials,
            }
            for each in list_streams(OPERATOR, [camera], status)
        ],
    }


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as lines with aligned columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]

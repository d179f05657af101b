"""`ninjacam set SLUG`: change a camera."""

from argparse import BooleanOptionalAction
from typing import Any, cast

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from ninjacam.actions.cameras import (
    CameraFields,
    SourceFields,
    rename_camera,
    source_to_probe,
    streams_to_probe,
    update_camera,
)
from ninjacam.actions.sources import AddressFields
from ninjacam.actions.streams import delete_stream, put_stream
from ninjacam.management.base import OPERATOR
from ninjacam.management.cameras import SourceCommand
from ninjacam.models import Camera
from ninjacam.queries.cameras import get_camera

ROLES = {
    "record_stream": "recordings",
    "live_stream": "live video",
    "detect_stream": "processors",
    "thumbnail_stream": "thumbnails",
}
_SOURCE = {"url", "username", "password", "transport", "verify_tls"}


class Command(SourceCommand):
    help = "Change a camera. Options that you omit stay unchanged."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the camera")
        parser.add_argument(
            "--slug",
            dest="new_slug",
            metavar="NEW",
            help="new short name; the recordings are renamed with it",
        )
        parser.add_argument("--url", help="rtsp://host/path, http://host:8080/video, ...")
        parser.add_argument("--name", help="display name")
        self.add_login_arguments(parser)
        self.add_stream_arguments(parser)
        parser.add_argument(
            "--remove-stream", action="append", default=[], metavar="NAME", help="remove a stream"
        )
        parser.add_argument(
            "--read-streams", action="store_true", help="add the streams that the camera describes by ONVIF"
        )
        for role, purpose in ROLES.items():
            parser.add_argument(
                f"--{role.replace('_', '-')}",
                metavar="NAME",
                help=f"stream for {purpose}; '' for the rule",
            )
        parser.add_argument("--forget-login", action="store_true", help="remove the stored user and password")
        parser.add_argument("--transport", choices=Camera.Transport.values)
        parser.add_argument("--record", choices=Camera.Record.values)
        parser.add_argument("--schedule", dest="record_schedule", help="mon-fri 07:00-19:00")
        parser.add_argument(
            "--before", dest="record_before_s", type=int, metavar="S", help="seconds before an event"
        )
        parser.add_argument(
            "--after", dest="record_after_s", type=int, metavar="S", help="seconds after an event"
        )
        parser.add_argument(
            "--onvif",
            dest="onvif_url",
            metavar="URL",
            help="where the camera takes commands; “auto”, or empty",
        )
        parser.add_argument("--enabled", action=BooleanOptionalAction, help="enable or disable the camera")
        parser.add_argument(
            "--sleeps",
            action=BooleanOptionalAction,
            help="a battery camera: connect only while it is watched or recorded",
        )
        self.add_processors_argument(parser)
        parser.add_argument(
            "--guest-view",
            metavar="NAME",
            help="processor whose view users who may only view see instead of the video; '' for none",
        )
        parser.add_argument("--audio", action=BooleanOptionalAction, help="record and play audio")
        parser.add_argument("--verify-tls", action=BooleanOptionalAction, help="verify the TLS certificate")
        self.add_check_arguments(parser)

    def _fields(self, options: dict[str, Any]) -> CameraFields:
        """Return the fields of the given options. Prompts for a password."""
        fields = CameraFields()
        for name in (*_SOURCE, "name", "record", "record_schedule", "record_before_s", "record_after_s",
                     "enabled", "audio", "onvif_url", "sleeps", "guest_view", *ROLES):  # fmt: skip
            if options.get(name) is not None:
                fields[name] = options[name]  # type: ignore[literal-required] # names of the TypedDict
        processors = self.processors(options)
        if processors is not None:
            fields["processors"] = processors
        if options["forget_login"]:
            fields["username"] = fields["password"] = ""
        password = self.password(options)
        if password is not None:
            fields["password"] = password
        return fields

    def run(self, options: dict[str, Any]) -> None:
        camera = get_camera(OPERATOR, options["slug"])
        fields = self._fields(options)
        streams = self.streams(options)
        changes = fields or options["new_slug"] or streams or options["remove_stream"]
        if not changes and not options["read_streams"]:
            raise CommandError("Nothing to change. See `ninjacam set --help` for the options.")
        answer = None
        source = cast(SourceFields, {name: value for name, value in fields.items() if name in _SOURCE})
        if source:
            answer = self.try_address(source_to_probe(OPERATOR, source, camera), options)
        answers = self.try_streams(streams_to_probe(OPERATOR, source, streams, camera), options)
        camera = self._save(camera, fields, streams, options)
        if changes:
            self.stdout.write(f"Changed {camera.slug}.")
        if options["read_streams"]:
            self._read_streams(camera)
        if answer is not None and not answer.ok:
            self.warn(str((answer.error or {}).get("message", "")))
        self.report_streams(answers)

    @staticmethod
    @transaction.atomic
    def _save(
        camera: Camera, fields: CameraFields, streams: dict[str, AddressFields], options: dict[str, Any]
    ) -> Camera:
        for name, address in streams.items():
            put_stream(OPERATOR, camera, name, address)
        for name in options["remove_stream"]:
            delete_stream(OPERATOR, camera, name)
        if fields:
            update_camera(OPERATOR, camera, fields)
        return rename_camera(OPERATOR, camera, options["new_slug"]) if options["new_slug"] else camera

    def _read_streams(self, camera: Camera) -> None:
        found = self.device_streams({}, camera)
        for name, address in found.items():
            put_stream(OPERATOR, camera, name, address)
        self.stdout.write(f"Added streams: {', '.join(found) or 'none, because it has all of them'}.")

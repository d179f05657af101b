"""`ninjacam add SLUG URL`: add a camera."""

import socket
from typing import Any

from django.core.management.base import CommandParser

from ninjacam.actions.cameras import CameraFields, create_camera, source_to_probe, streams_to_probe
from ninjacam.actions.publish_keys import create_publish_key
from ninjacam.actions.sources import AddressFields
from ninjacam.core.errors import NinjacamError
from ninjacam.management.base import OPERATOR
from ninjacam.management.cameras import SourceCommand
from ninjacam.models import Camera
from ninjacam.queries.publishing import publish_urls


class Command(SourceCommand):
    help = "Add a camera. It is tested first; a camera that does not respond is added with a warning."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name for URLs: a-z, 0-9, - and _")
        parser.add_argument("url", help="rtsp://host/path, http://host:8080/video, push:, ...")
        parser.add_argument("--name", default="", help="display name")
        self.add_login_arguments(parser)
        self.add_stream_arguments(parser)
        parser.add_argument("--transport", choices=Camera.Transport.values, default="tcp")
        parser.add_argument(
            "--record", choices=Camera.Record.values, default="off", help="default: %(default)s"
        )
        parser.add_argument("--schedule", default="", help="for --record schedule: mon-fri 07:00-19:00")
        parser.add_argument(
            "--before",
            type=int,
            default=5,
            metavar="S",
            help="for --record events: seconds to keep before an event",
        )
        parser.add_argument(
            "--after",
            type=int,
            default=10,
            metavar="S",
            help="for --record events: seconds to keep after an event",
        )
        parser.add_argument(
            "--onvif",
            default="",
            metavar="URL",
            help="where the camera takes commands; “auto” to search its host. Its other streams are added, too, unless "
            "--sub, --stream or --no-check is given",
        )
        parser.add_argument(
            "--sleeps",
            action="store_true",
            help="a battery camera: connect only while it is watched or recorded",
        )
        parser.add_argument(
            "--guest-view",
            default="",
            metavar="NAME",
            help="processor whose view users who may only view see instead of the video",
        )
        self.add_processors_argument(parser)
        parser.add_argument("--no-audio", action="store_true")
        parser.add_argument("--no-verify-tls", action="store_true", help="accept a self-signed certificate")
        self.add_check_arguments(parser)

    def run(self, options: dict[str, Any]) -> None:
        fields = CameraFields(
            url=options["url"],
            username=options["username"] or "",
            password=self.password(options) or "",
            name=options["name"],
            transport=options["transport"],
            audio=not options["no_audio"],
            verify_tls=not options["no_verify_tls"],
            record=options["record"],
            record_schedule=options["schedule"],
            record_before_s=options["before"],
            record_after_s=options["after"],
            onvif_url=options["onvif"],
            sleeps=options["sleeps"],
            guest_view=options["guest_view"],
            processors=self.processors(options) or [],
        )
        streams = self.streams(options)
        answer = self.try_address(source_to_probe(OPERATOR, fields), options)
        answers = self.try_streams(streams_to_probe(OPERATOR, fields, streams), options)
        if options["onvif"] and not streams and not options["no_check"]:
            streams = self._read_streams(fields)
        camera = create_camera(OPERATOR, options["slug"], fields, streams)
        if camera.is_published:
            self._make_key(camera)
        elif answer is None:
            self.stdout.write(f"Added {camera.slug}.")
        elif answer.ok:
            self.stdout.write(f"Added {camera.slug}: {answer.codec}, {answer.width} x {answer.height}.")
        else:
            self.stdout.write(f"Added {camera.slug}. It does not work yet; Ninjacam keeps trying to connect.")
            self.warn(str((answer.error or {}).get("message", "")))
        if streams:
            self.stdout.write(f"Its other streams: {', '.join(sorted(streams))}.")
        self.report_streams(answers)

    def _read_streams(self, fields: CameraFields) -> dict[str, AddressFields]:
        """Return the streams that the device describes. A device that cannot be read only causes a warning."""
        try:
            return self.device_streams(fields)
        except NinjacamError as error:
            self.warn(f"Its other streams were not read: {error.message}")
            return {}

    def _make_key(self, camera: Camera) -> None:
        """Create a publish key and print the URLs for publishing."""
        _row, key = create_publish_key(OPERATOR, camera)
        urls = publish_urls(key, socket.gethostname())
        self.stdout.write(f"Added {camera.slug}. Its key, which is not shown again: {key}")
        if not urls:
            self.warn(
                "The ports for publishers are closed, so only a phone's browser can publish: its link is on the "
                "camera's page. Open one for other devices: ninjacam serve --rtmp-port 1935"
            )
        for url in urls:
            self.stdout.write(f"Publish to {url}")
        if urls and urls[0].startswith(("rtmp:", "rtsp:")):
            self.warn("Without TLS_CERTIFICATE, the key and the video are sent unencrypted.")

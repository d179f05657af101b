"""`ninjacam rekey`: encrypt all camera credentials again."""

from typing import Any

from django.db import transaction

from ninjacam.credentials import reseal
from ninjacam.management.base import NinjacamCommand
from ninjacam.models import Camera, Stream


class Command(NinjacamCommand):
    help = (
        "Encrypt all camera credentials with the first of NINJACAM['SECRET_KEYS'], so that older ones can go."
    )

    def run(self, options: dict[str, Any]) -> None:
        with transaction.atomic():
            cameras = [camera for camera in Camera.objects.all() if camera.credentials]
            for camera in cameras:
                camera.credentials = reseal(camera.credentials)
            Camera.objects.bulk_update(cameras, ["credentials"])
            streams = [stream for stream in Stream.objects.all() if stream.credentials]
            for stream in streams:
                stream.credentials = reseal(stream.credentials)
            Stream.objects.bulk_update(streams, ["credentials"])
        self.stdout.write(f"Encrypted the credentials of {len(cameras)} cameras.")

"""`ninjacam rekey`: seal all camera credentials anew."""

from typing import Any

from django.db import transaction

from ninjacam.credentials import reseal
from ninjacam.management.base import NinjacamCommand
from ninjacam.models import Camera


class Command(NinjacamCommand):
    help = (
        "Seal all camera credentials under the first of NINJACAM['SECRET_KEYS'], so that older keys can go."
    )

    def run(self, options: dict[str, Any]) -> None:
        with transaction.atomic():
            cameras = [camera for camera in Camera.objects.all() if camera.credentials]
            for camera in cameras:
                camera.credentials = reseal(camera.credentials)
            Camera.objects.bulk_update(cameras, ["credentials"])
        self.stdout.write(f"{len(cameras)} cameras sealed anew.")

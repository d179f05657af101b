"""`ninjacam rekey`: encrypt all camera credentials, and the secrets of webhooks and notifications, again."""

from typing import Any

from django.db import transaction

from ninjacam.credentials import reseal
from ninjacam.management.base import NinjacamCommand
from ninjacam.models import Camera, PushSubscription, Stream, VapidKey, Webhook


class Command(NinjacamCommand):
    help = (
        "Encrypt all credentials of cameras and webhooks with the first of NINJACAM['SECRET_KEYS'], so that older "
        "ones can go."
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
            webhooks = list(Webhook.objects.all())
            for webhook in webhooks:
                webhook.credentials = reseal(webhook.credentials)
            Webhook.objects.bulk_update(webhooks, ["credentials"])
            rows: list[PushSubscription | VapidKey] = [
                *PushSubscription.objects.all(),
                *VapidKey.objects.all(),
            ]
            for row in rows:
                row.credentials = reseal(row.credentials)
                row.save(update_fields=["credentials"])
        self.stdout.write(f"Encrypted the credentials of {len(cameras)} cameras.")

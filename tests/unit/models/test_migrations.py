import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from ninjacam.core.streams import MAIN, StreamFacts
from ninjacam.models import Camera

BEFORE_STREAMS = [("ninjacam", "0008_publish_keys")]


@pytest.mark.django_db(transaction=True)
def test_cameras_of_the_previous_version_have_their_main_stream() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(BEFORE_STREAMS)
    try:
        old = executor.loader.project_state(BEFORE_STREAMS).apps.get_model("ninjacam", "Camera")
        old.objects.create(slug="door", url="rtsp://10.0.0.5/x", record="always")
    finally:
        newest = MigrationExecutor(connection)
        newest.migrate(newest.loader.graph.leaf_nodes())
    old.objects.create(slug="gate", url="rtsp://10.0.0.6/x")  # Another host still runs the previous version.
    for camera in Camera.objects.all():
        spec = camera.spec()
        assert (spec.streams, spec.record_stream, spec.detect_stream) == ((), MAIN, "")
        assert spec.facts == (StreamFacts(MAIN, 0),)
        assert spec.source.url == camera.url
    assert Camera.objects.get(slug="door").record == "always"

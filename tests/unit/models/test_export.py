from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ninjacam.models import Export, ExportState
from ninjacam.models.export import MOVES

pytestmark = pytest.mark.django_db


def make(**values: Any) -> Export:
    return Export.objects.create(
        **{"slug": "door", "start_ns": 0, "end_ns": 10**9, "kind": "copy", "options": {}, **values}
    )


def test_each_state_changes_only_as_the_table_allows() -> None:
    assert set(MOVES) == set(ExportState)
    for source in ExportState:
        for target in ExportState:
            export = make(state=source)
            moved = Export.objects.filter(pk=export.pk).move(target)
            export.refresh_from_db()
            assert moved == (target in MOVES[source])
            assert export.state == (target if moved else source)


def test_an_export_is_claimed_once() -> None:
    export = make(error={"code": "x"}, progress=0.5)
    first = Export.objects.claim(export.pk, timezone.now())
    assert first is not None and first.state == "running" and first.attempts == 1
    assert first.claim and first.error is None and first.progress == 0
    assert Export.objects.claim(export.pk, timezone.now()) is None


def test_a_run_that_lost_its_claim_writes_nothing() -> None:
    export = make()
    old = Export.objects.claim(export.pk, timezone.now())
    assert old is not None
    Export.objects.held(old.pk, old.claim).move(ExportState.QUEUED)
    new = Export.objects.claim(export.pk, timezone.now())
    assert new is not None and new.claim != old.claim
    assert Export.objects.held(old.pk, old.claim).move(ExportState.DONE) == 0
    assert Export.objects.held(new.pk, new.claim).move(ExportState.DONE) == 1


def test_a_file_is_offered_until_it_expires() -> None:
    now = timezone.now()
    done = make(state="done", claim="c", expires_at=now + timedelta(days=1))
    assert done.has_file(now) and not done.has_file(now + timedelta(days=2))
    assert not make(state="running", claim="c").has_file(now)
    assert not make(state="done", claim="", expires_at=now + timedelta(days=1)).has_file(now)

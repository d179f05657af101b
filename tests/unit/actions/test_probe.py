import threading
from types import SimpleNamespace
from typing import Any

import pytest

from ninjacam.actions import probe
from ninjacam.actions.probe import AT_ONCE, ProbeResult, run_probe
from ninjacam.core.errors import LimitError
from ninjacam.sources.base import SourceConfig

SOURCE = SourceConfig("rtsp://192.0.2.1/")


def test_one_user_probes_one_camera_at_a_time_and_leaves_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, end = threading.Semaphore(0), threading.Event()

    def run(_: SourceConfig) -> ProbeResult:
        begun.release()
        end.wait(20)
        return ProbeResult(ok=True)

    monkeypatch.setattr(probe, "_run", run)
    users: list[Any] = [SimpleNamespace(pk=number) for number in range(AT_ONCE + 1)]
    threads = [threading.Thread(target=run_probe, args=(SOURCE, user)) for user in users[:AT_ONCE]]
    try:
        for number, thread in enumerate(threads):
            thread.start()
            assert begun.acquire(timeout=20)
            with pytest.raises(LimitError, match="You are already testing"):
                run_probe(SOURCE, users[number])
        with pytest.raises(LimitError, match="Other cameras"):
            run_probe(SOURCE, users[AT_ONCE])
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert run_probe(SOURCE, users[0]).ok

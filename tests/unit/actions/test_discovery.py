"""Searches with a fake child process, whose output is the search result. Nothing is sent to a network."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from ninjacam.actions import discovery
from ninjacam.actions.discovery import RunningSearch, cancel_search, is_searching, start_search
from ninjacam.actions.probe import ProbeResult
from ninjacam.auth import LocalOperator, Principal
from ninjacam.core.errors import ConflictError, ForbiddenError, InvalidError, LimitError
from ninjacam.models import Camera

OPERATOR = LocalOperator()
DEVICE: dict[str, Any] = {
    "event": "device", "address": "10.0.0.5", "kind": "camera", "maker": "Hikvision", "model": "DS-2CD2042",
    "name": "<script>alert(1)</script>", "hostname": "cam.local", "mac": "44:19:b6:00:00:01", "onvif_url": "",
    "certainty": 0.95, "evidence": ["onvif_camera", "from a later version"], "needs_password": False,
    "streams": [{"url": "rtsp://10.0.0.5/cam", "name": "main", "state": "verified", "codec": "h264",
                 "width_px": 640, "height_px": 360}],
    "is_final": True,
}  # fmt: skip
DONE = {"event": "done", "found": 1, "connections": 2, "is_complete": True}
Child = Callable[[str], None]


@pytest.fixture(autouse=True)
def own_run_dir(run_dir: Path) -> Iterator[None]:
    yield
    assert not is_searching()


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Child:
    """Run this Python code as the child."""

    def use(code: str) -> None:
        monkeypatch.setattr(discovery, "python_command", lambda _: [sys.executable, "-c", code])

    return use


def prints(*events: object) -> str:
    return "\n".join(f"print({json.dumps(event)!r}, flush=True)" for event in events)


def collect(search: RunningSearch) -> list[dict[str, Any]]:
    async def main() -> list[dict[str, Any]]:
        return [event async for event in search]

    return asyncio.run(main())


@pytest.mark.django_db
def test_devices_get_words_and_the_camera_that_exists(child: Child, camera: Camera) -> None:
    child(prints(DEVICE, DONE))
    device, done = collect(start_search(OPERATOR, images=False))
    assert device["title"] == "<script>alert(1)</script>" and device["slug"] == "scriptalert1script"
    assert device["camera"] == camera.slug and device["certainty_word"] == "certain"
    assert device["reasons"] == ["It answers as an ONVIF camera."] and "evidence" not in device
    assert done == DONE


@pytest.mark.django_db
def test_an_image_is_taken_once_of_a_device_without_a_password(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed: list[str] = []

    async def probe(source: Any) -> ProbeResult:
        probed.append(source.url)
        return ProbeResult(ok=True, codec="h264", width=640, height=360, jpeg=b"JPEG")

    monkeypatch.setattr(discovery, "probe_source", probe)
    stream = DEVICE["streams"][0]
    locked = [{**stream, "url": "rtsp://10.0.0.8/cam", "state": state} for state in ("locked", "guess")]
    others = [
        {**DEVICE, "address": "10.0.0.8", "streams": locked},
        {**DEVICE, "address": "10.0.0.9", "streams": []},
    ]
    child(prints(DEVICE, DEVICE, *others, DONE))
    events = collect(start_search(OPERATOR))
    assert probed == ["rtsp://10.0.0.5/cam"]
    assert [event["jpeg_base64"] for event in events if event["event"] == "image"] == ["SlBFRw=="]
    assert events[-1]["event"] == "done"


@pytest.mark.django_db
def test_users_who_may_not_add_cameras_may_not_search(viewer: User) -> None:
    who = Principal(viewer, "session")
    with pytest.raises(ForbiddenError):
        start_search(who)
    with pytest.raises(ForbiddenError):
        cancel_search(who)
    viewer.user_permissions.add(Permission.objects.get(codename="add_camera"))
    who = Principal(User.objects.get(pk=viewer.pk), "session", scopes=frozenset({"view"}))
    with pytest.raises(ForbiddenError):
        start_search(who)


@pytest.mark.django_db
@pytest.mark.parametrize("network", ["8.8.8.0/24", "10.0.0.0/16", "169.254.169.254/32", "nonsense"])
def test_networks_that_may_not_be_searched_are_refused(network: str) -> None:
    with pytest.raises(InvalidError) as caught:
        start_search(OPERATOR, network)
    assert "network" in caught.value.fields


@pytest.mark.django_db
def test_one_search_at_a_time_and_not_too_many() -> None:
    for _ in range(discovery.MAX_SEARCHES):
        search = start_search(OPERATOR)
        with pytest.raises(ConflictError):
            start_search(OPERATOR)
        assert is_searching()
        search.close()
        search.close()
    with pytest.raises(LimitError):
        start_search(OPERATOR)


@pytest.mark.django_db
def test_another_camera_is_known_only_to_users_who_may_view_it(
    child: Child, camera: Camera, stranger: User
) -> None:
    stranger.user_permissions.add(Permission.objects.get(codename="add_camera"))
    child(prints(DEVICE, DONE))
    device, _ = collect(start_search(Principal(User.objects.get(pk=stranger.pk), "session"), images=False))
    assert device["camera"] is None


WAITS = """
import os, sys
print('{"event": "progress", "pid": %d}' % os.getpid(), flush=True)
sys.stdin.readline()
sys.stdin.read()
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.django_db(transaction=True)  # Another thread writes the audit record.
@pytest.mark.parametrize("how", ["cancel", "stopping", "break", "task"])
def test_a_search_that_is_cancelled_leaves_no_process(child: Child, how: str) -> None:
    child(WAITS)
    search = start_search(OPERATOR)

    async def main() -> tuple[int, list[str]]:
        search.stopping = asyncio.Event()
        pid, kinds = 0, []

        async def read() -> None:
            nonlocal pid
            async for event in search:
                kinds.append(event["event"])
                if event["event"] != "progress":
                    continue
                pid = event["pid"]
                if how == "cancel":
                    await asyncio.to_thread(cancel_search, OPERATOR)
                elif how == "stopping":
                    assert search.stopping is not None
                    search.stopping.set()
                elif how == "break":
                    break
                else:
                    task.cancel()

        task = asyncio.ensure_future(read())
        await asyncio.gather(task, return_exceptions=True)
        return pid, kinds

    pid, kinds = asyncio.run(main())
    search.close()
    assert pid and not is_alive(pid)
    assert (kinds[-1] == "error") == (how in ("cancel", "stopping"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "code", ["print('x' * 100_000)", "print('{')", "raise SystemExit(1)", "print('[' * 9000)"]
)
def test_a_child_that_breaks_ends_in_an_error(child: Child, code: str) -> None:
    child(code)
    (event,) = collect(start_search(OPERATOR))
    assert (event["event"], event["code"]) == ("error", "failed")


@pytest.mark.django_db
def test_the_lock_belongs_to_a_process_and_ends_with_it() -> None:
    search = start_search(OPERATOR)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(is_searching()))
    thread.start()
    thread.join()
    search.close()
    assert results == [True] and not is_searching()

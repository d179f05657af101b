"""The order of the tests' files, and compiled modules for the processes that tests start."""

import os
import sys
from pathlib import Path

import pytest

# Hundreds of processes import the same modules. Without files of bytecode, each of them compiles them again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SLOWEST = (
    "test_api_contract.py", "test_recording.py", "test_readme.py", "test_survival.py", "test_views.py",
    "test_recording_odd_cameras.py", "test_recording_index.py", "test_playback.py", "test_player_browser.py",
    "test_event_processors.py", "test_backtest.py", "test_sources.py", "test_player_streams.py", "test_front_door.py",
    "test_guests.py", "test_replay_pages.py", "test_exports.py", "test_attention.py", "test_streams.py",
    "test_webhooks.py", "test_tutorial.py", "test_events_page.py", "test_foreign.py", "test_postgresql.py",
    "test_accessibility.py", "test_camera_health.py", "test_live_access.py", "test_recording_disk_full.py",
    "test_sources_rtsp.py", "test_values.py", "test_events.py", "test_annotations.py", "test_resources.py",
    "test_player_overlay.py", "test_signalling.py",
)  # fmt: skip
"""Files that take most of a minute or more, the slowest one first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first: a file stays in one process, and the last one would run alone (--dist loadfile)."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: ranks.get(Path(item.path).name, len(ranks)))

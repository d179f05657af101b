"""The order of the tests' files, and compiled modules for the processes that tests start."""

import os
import sys
from pathlib import Path

import pytest

# Hundreds of processes import the same modules. Without files of bytecode, each of them compiles them again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

SLOWEST = (
    "test_recording.py", "test_views.py", "test_recording_odd_cameras.py", "test_survival.py", "test_replay_pages.py",
    "test_sources.py", "test_api_contract.py", "test_recording_index.py", "test_backtest.py", "test_player_streams.py",
    "test_player_browser.py", "test_readme.py", "test_exports.py", "test_front_door.py", "test_playback.py",
    "test_live_access.py", "test_attention.py", "test_webhooks.py", "test_phone.py", "test_cli_cameras.py",
    "test_recording_disk_full.py", "test_values.py", "test_ready_made.py", "test_signalling.py",
    "test_sources_rtsp.py", "test_foreign.py", "test_tutorial.py",
)  # fmt: skip
"""Files that take most of a minute or more, the slowest one first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first: a file stays in one process, and the last one would run alone (--dist loadfile)."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: ranks.get(Path(item.path).name, len(ranks)))

"""The order of the tests' files."""

from pathlib import Path

import pytest

SLOWEST = (
    "test_survival.py", "test_front_door.py", "test_views.py", "test_api_contract.py", "test_sources_rtsp.py",
    "test_playback.py", "test_vision_worker.py", "test_replay_pages.py", "test_player_streams.py", "test_exports.py",
)  # fmt: skip
"""Files that take most of a minute or more, the slowest one first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first: a file stays in one process, and the last one would run alone (--dist loadfile)."""
    ranks = {name: rank for rank, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: ranks.get(Path(item.path).name, len(ranks)))

import fcntl
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from ninjacam.management.commands.ninjacam_serve import require_no_engine


def test_a_second_product_on_the_same_data_reports_it_and_does_not_affect_the_first(tmp_path: Path) -> None:
    require_no_engine(tmp_path)
    with (tmp_path / "engine.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="already runs"):
            require_no_engine(tmp_path, patience_s=0)
    require_no_engine(tmp_path, patience_s=0)

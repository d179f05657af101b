import gc

from ninjacam.core.imports import importing


def test_collections_pause_during_imports_and_exclude_what_they_have_created() -> None:
    before = gc.get_freeze_count()
    kept: list[list[int]] = []
    try:
        with importing():
            assert not gc.isenabled()
            kept.extend([[each] for each in range(1000)])
        assert gc.isenabled()
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()


def test_collections_remain_disabled_if_they_were() -> None:
    gc.disable()
    try:
        with importing():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()

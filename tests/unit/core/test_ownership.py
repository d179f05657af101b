import grp
import os
import pwd
from pathlib import Path

import pytest

from ninjacam.core.errors import UnsafeCodeError
from ninjacam.core.ownership import check_code_is_safe

STRANGER = 54_321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "cameras.py"
    path.write_text("x = 1\n")
    path.chmod(0o644)
    tmp_path.chmod(0o755)
    return path


def test_code_that_others_can_only_read_is_safe(code: Path) -> None:
    check_code_is_safe(code)


@pytest.mark.parametrize("mode", [0o646, 0o666, 0o602])
def test_code_that_others_can_write_is_rejected_with_instructions(code: Path, mode: int) -> None:
    code.chmod(mode)
    with pytest.raises(UnsafeCodeError, match=f"mode {mode:o}.*chmod go-w .*cameras.py"):
        check_code_is_safe(code)


def test_code_in_a_directory_that_others_can_write_is_rejected(code: Path) -> None:
    code.parent.chmod(0o777)
    with pytest.raises(UnsafeCodeError, match="directory"):
        check_code_is_safe(code)
    code.parent.chmod(0o1777)  # sticky, as /tmp: others may add files but not replace this one
    check_code_is_safe(code)


@as_root
def test_code_of_another_user_is_rejected_unless_that_user_is_trusted(code: Path) -> None:
    os.chown(code, STRANGER, STRANGER)
    with pytest.raises(UnsafeCodeError, match="belongs to another user"):
        check_code_is_safe(code)
    check_code_is_safe(code, {STRANGER})
    os.chown(code, 0, 0)
    os.chown(code.parent, STRANGER, STRANGER)
    with pytest.raises(UnsafeCodeError, match="belongs to another user"):
        check_code_is_safe(code)


@as_root
@pytest.mark.parametrize(("members", "is_safe"), [([], True), (["ada"], True), (["ada", "eve"], False)])
def test_a_group_with_only_the_owner_may_write(
    code: Path, monkeypatch: pytest.MonkeyPatch, members: list[str], is_safe: bool
) -> None:
    os.chown(code, STRANGER, STRANGER)
    code.chmod(0o664)
    user = pwd.struct_passwd(("ada", "x", STRANGER, STRANGER, "", "/", "/bin/sh"))
    group = grp.struct_group(("ada", "x", STRANGER, members))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: user)
    monkeypatch.setattr(grp, "getgrgid", lambda _: group)
    if is_safe:
        check_code_is_safe(code, {STRANGER})
    else:
        with pytest.raises(UnsafeCodeError, match="Other users can modify"):
            check_code_is_safe(code, {STRANGER})


@as_root
def test_the_root_group_may_not_write(code: Path) -> None:
    os.chown(code, 0, 0)
    code.chmod(0o664)
    with pytest.raises(UnsafeCodeError, match="Other users can modify"):
        check_code_is_safe(code)

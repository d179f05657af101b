"""Checks that only trusted users could have written the code that we run."""

import grp
import os
import pwd
import stat
from collections.abc import Collection
from pathlib import Path

from ninjacam.core.errors import UnsafeCodeError

ROOT = 0


def check_code_is_safe(path: Path, trusted_uids: Collection[int] = ()) -> None:
    """Check a file of code and its directory. This user, root and `trusted_uids` are trusted.

    Raises: UnsafeCodeError: it belongs to another user, or another user can modify it; OSError.
    """
    trusted = {os.geteuid(), ROOT, *trusted_uids}
    for what, each in (("file", path), ("directory", path.parent)):
        found = each.stat()
        if found.st_uid not in trusted:
            raise UnsafeCodeError(
                f"The {what} {each} belongs to another user ({_user(found.st_uid)}), so its code is not run. "
                f"Run: chown {_user(os.geteuid())} {each}"
            )
        mode = found.st_mode
        others_write = mode & stat.S_IWOTH or (mode & stat.S_IWGRP and not _is_private_group(found))
        # In a sticky directory, only a file's owner may replace it.
        is_sticky = stat.S_ISDIR(mode) and mode & stat.S_ISVTX
        if others_write and not is_sticky:
            raise UnsafeCodeError(
                f"Other users can modify the {what} {each} (mode {stat.S_IMODE(mode):o}), so its code is not run. "
                f"Run: chmod go-w {each}"
            )


def _is_private_group(found: os.stat_result) -> bool:
    """Return whether the owner is the group's only member, which is the default of distributions that create files
    with mode 664.

    False for root's group, which system accounts share.
    """
    if found.st_uid == ROOT:
        return False
    try:
        owner, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    is_own = owner.pw_gid == group.gr_gid and owner.pw_name == group.gr_name
    return is_own and set(group.gr_mem) <= {owner.pw_name}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)

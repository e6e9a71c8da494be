"""Who controls a path, and as whom root works on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import private_directory, unavailable
from pbs_fast.daemon.privileges import account_for, prepare_directory, prepare_log
from pbs_fast.errors import PbsError
from pbs_fast.util.accounts import controllers

NOBODY, GAMES = 65534, 5


@pytest.fixture
def place() -> Iterator[Path]:
    if os.geteuid() != 0:
        unavailable("giving files to other users needs root")
    place = private_directory("control")
    yield place
    shutil.rmtree(place)


def directory(path: Path, uid: int = 0, gid: int = 0, mode: int = 0o755) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "uids", "shared"),
    [
        (0, 0, 0o755, set(), False),
        (0, GAMES, 0o755, set(), False),
        (0, 0, 0o775, set(), False),
        (0, GAMES, 0o775, set(), True),
        (0, 0, 0o757, set(), True),
        (0, 0, 0o1777, set(), True),
        (NOBODY, NOBODY, 0o755, {NOBODY}, False),
        (NOBODY, NOBODY, 0o775, {NOBODY}, False),
        (NOBODY, GAMES, 0o775, {NOBODY}, True),
    ],
)
def test_by_the_mode_of_a_directory(uid: int, gid: int, mode: int, uids: set[int], shared: bool, place: Path) -> None:
    here = directory(place / "here", uid, gid, mode)
    found = controllers(here / "file")
    assert (found.uids, found.shared) == (uids, str(here) if shared else None)
    below = directory(here / "below")
    expected = (uids, str(here) if shared and not mode & 0o1000 else None)
    assert controllers(below / "file")[:] == expected, "a sticky directory keeps what is root's"
    assert controllers(below / "missing" / "file")[:] == expected


def test_links_are_followed_through_every_directory(place: Path) -> None:
    theirs, roots = directory(place / "theirs", NOBODY), directory(place / "roots")
    (roots / "link").symlink_to("../theirs")
    (roots / "file").symlink_to(theirs / "file")
    (roots / "up").symlink_to("..")
    directory(theirs / "inner")
    (theirs / "out").symlink_to(roots)
    for path in ("link/file", "file", "up/theirs/file", "link/inner/x", "link/out/x", "../theirs/out/x"):
        assert controllers(roots / path).uids == {NOBODY}, path
    assert controllers(roots / "up/roots/x").uids == frozenset()
    (roots / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        controllers(roots / "loop" / "x")


def test_what_is_in_a_sticky_directory_is_its_owners(place: Path) -> None:
    sticky = directory(place / "sticky", mode=0o1777)
    (sticky / "theirs").touch()
    os.chown(sticky / "theirs", GAMES, 0)
    (sticky / "roots").touch()
    assert controllers(sticky / "theirs")[:] == ({GAMES}, None)
    assert controllers(sticky / "roots")[:] == (frozenset(), None)
    assert controllers(sticky / "none")[:] == (frozenset(), str(sticky))


def test_the_account_that_root_becomes(place: Path) -> None:
    theirs, roots = directory(place / "theirs", NOBODY), directory(place / "roots")
    shared = directory(place / "shared", mode=0o777)
    inner = directory(theirs / "inner", GAMES)
    assert account_for([roots / "x"], None) is None
    assert account_for([roots / "x"], "games") is None
    assert account_for([theirs / "x", roots / "x"], None) == "nobody"
    assert account_for([theirs / "x"], "games") == "nobody", "who controls it, whatever `user` is now"
    assert account_for([inner / "x"], "games") == "games"
    assert account_for([shared / "x"], "games") == "games"
    for path, user in ((inner, None), (inner, "root"), (shared, None)):
        with pytest.raises(PbsError, match="so root does not work there"):
            account_for([path / "x"], user)


def test_our_own_log_is_made_where_only_root_can(place: Path) -> None:
    theirs, roots = directory(place / "theirs", NOBODY), directory(place / "roots")
    for log in (roots / "own.log", theirs / "own.log"):
        prepare_log(str(log), "nobody")
    assert (roots / "own.log").stat().st_uid == NOBODY
    assert not (theirs / "own.log").exists()
    (roots / "kept").touch()
    prepare_log(str(roots / "kept"), "nobody")
    assert (roots / "kept").stat().st_uid == 0, "what is there is not given away"


def test_the_directory_of_the_sockets_is_made_where_only_root_can(place: Path) -> None:
    """/run is root's: without this a daemon that root starts and that becomes another account had no sockets."""
    theirs, roots = directory(place / "theirs", NOBODY), directory(place / "roots")
    for path in (roots / "run", theirs / "run"):
        prepare_directory(str(path), "nobody")
    assert (roots / "run").stat().st_uid == NOBODY
    assert not (theirs / "run").exists()
    kept = directory(roots / "kept")
    prepare_directory(str(kept), "nobody")
    assert kept.stat().st_uid == 0, "what is there is not given away"

"""Directories that cannot be used, at the start and later, and engines that are not there: one line each, no harm."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pbs_fast.errors import TableError
from pbs_fast.events import Delta
from pbs_fast.tables import open_table
from pbs_fast.tables.registry import parse
from tables.conftest import EXIM_LMDB, KINDS, Opener, Reader, grant

A, B = "203.0.113.5", "203.0.113.6"
file_types = pytest.mark.parametrize("kind", KINDS)


@file_types
def test_unusable_places_are_named(kind: str, directory: Path) -> None:
    with pytest.raises(TableError, match=rf"{directory}/no/relay.*No such file or directory.*does not exist"):
        open_table(_elsewhere(kind, directory / "no" / "relay"))
    (directory / "file").touch()
    with pytest.raises(TableError, match="is not a directory"):
        open_table(_elsewhere(kind, directory / "file" / "relay"))
    (directory / f"x{parse(_elsewhere(kind, directory)).kind.suffix}").mkdir()
    with pytest.raises(TableError, match="is not a regular file"):
        open_table(_elsewhere(kind, directory / "x"))


def _elsewhere(kind: str, path: Path) -> str:
    kind, mark, options = kind.partition("?")
    return f"{kind}:{path}{mark}{options}"


@pytest.mark.parametrize("kind", [*KINDS, "socketmap", "policy"])
def test_an_unwritable_directory_names_user_and_mode(kind: str, opened: Opener, directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("plays another user, so it needs root")
    opened(kind).close()  # the engine is imported before the user changes
    for left in directory.iterdir():
        left.unlink()
    message = _as_nobody(lambda: opened(kind))
    assert message.startswith(f"cannot open the table lock {directory}/relay"), message
    assert "Permission denied (user nobody; " in message
    assert f"directory {directory} is 0755 root:root" in message


@file_types
def test_a_directory_that_becomes_unwritable(kind: str, opened: Opener, directory: Path, reader: Reader) -> None:
    """What is changed in place goes on; what needs a new file says why, stays whole, and is caught up later."""
    if os.geteuid() != 0:
        pytest.skip("plays another user, so it needs root")
    opened(kind).close()
    for left in directory.iterdir():
        left.unlink()
    directory.chmod(0o777)
    in_place = kind.partition("?")[0] in ("hash", "lmdb", "sendmail")

    def run() -> None:
        # nobody's own group, of which it is a member without being root
        table = opened("lmdb?keys=exim&group=nogroup" if kind == EXIM_LMDB else kind)
        table.rebuild({A: grant()})
        directory.chmod(0o555)
        if in_place:
            table.apply(Delta({B: grant()}, (A,)))
        else:
            with pytest.raises(
                TableError, match=rf"(Permission|access) denied'? \(user nobody; .*{directory} is 0555 nobody:"
            ):
                table.apply(Delta({B: grant()}, (A,)))
        assert there() == ([B] if in_place else [A])
        directory.chmod(0o777)
        table.heartbeat()
        assert there() == [B]
        raise TableError("done")

    def there() -> list[str]:
        return sorted(reader.rows(opened.spec(kind)))

    os.chown(directory, pwd.getpwnam("nobody").pw_uid, -1)
    assert _as_nobody(run) == "done"


def _as_nobody(call: Callable[[], object]) -> str:
    """The TableError's line that the call ends with in a child that gave up root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(pwd.getpwnam("nobody").pw_gid)
            os.setuid(pwd.getpwnam("nobody").pw_uid)
            call()
        except (TableError, AssertionError) as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text


def test_missing_berkeleydb_names_the_remedy(directory: Path) -> None:
    code = (
        "import sys; sys.modules['berkeleydb'] = None\n"
        "from pbs_fast.tables import open_table\n"
        f"open_table(sys.argv[1] + ':{directory}/relay')"
    )
    for kind in ("hash", "btree"):
        done = subprocess.run([sys.executable, "-c", code, kind], capture_output=True, text=True, check=False)
        assert "TableError: hash: and btree: tables need Berkeley DB" in done.stderr
        assert "pip install 'pbs-fast[bdb]'" in done.stderr
    assert subprocess.run([sys.executable, "-c", code, "lmdb"], check=False).returncode == 0

"""The daemon on disks that are full or read-only, under locks that others hold, with files that others replaced.

Real file systems and real locks. What must hold in each: the daemon runs on, what stands in the table stays readable
and whole, the fault is said once, and when it is over all that the log said meanwhile is in the table.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from daemon.running import READY, Site, lines_with, login
from mta import unavailable, wait_for

A, B, C = "203.0.113.1", "203.0.113.2", "203.0.113.3"
#: Rows that need a larger file. Fewer than may come within a minute (`max_new_per_minute`).
MANY = 9000
#: Bytes of the small disks: some hundred KiB, but for hash, whose file has 4 MiB and needs room for a second one.
SMALL = {"hash": 12 << 20, "lmdb": 800 << 10, "btree": 400 << 10, "cdb": 400 << 10, "text": 300 << 10}


@contextmanager
def mounted(directory: Path, *arguments: str | Path) -> Iterator[Path]:
    """A file system mounted at this directory."""
    if os.geteuid() != 0:
        unavailable("mounting a file system needs root")
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", *arguments, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def use_disk(site: Site, kind: str, disk: Path) -> None:
    """Let the site's table lie there, and nothing else."""
    site.spec = f"{kind}:{disk}/relay"


def fill(disk: Path) -> Path:
    """Write a file until nothing more goes; returns it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 512):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


def some(number: int, start: int = 0) -> list[str]:
    return [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(start, start + number)]


def said_once(site: Site, pattern: str) -> bool:
    return len(lines_with(site.said(), pattern, "tried again")) == 1


@pytest.mark.parametrize("kind", ["btree", "lmdb", "cdb", "text"])
def test_a_full_disk(kind: str, new_site: Callable[[str], Site]) -> None:
    """`hash` has room for 40 000 rows from the first: the test after this one, and tests/tables/test_pending.py."""
    site = new_site("lmdb")
    with mounted(site.place / "disk", "-t", "tmpfs", "-o", f"mode=755,size={SMALL[kind]}", "tmpfs") as disk:
        use_disk(site, kind, disk)
        site.cover()
        daemon = site.start()
        site.append(login(A))
        site.wait_rows(A)
        ballast = fill(disk)
        many = some(MANY)
        site.append(*map(login, many))
        site.wait_said("No space left on device")
        there = site.rows()
        assert A in there, "what stood there stays, whole"
        assert len(there) < MANY
        site.append(login(B))
        site.wait_said(f"added {B}")
        time.sleep(1.0)  # several attempts, of which none may say it again
        assert said_once(site, "No space left on device")
        assert daemon.running
        assert {path.name for path in disk.iterdir()} <= {"ballast", site.file.name, f"{site.file.name}.owner"}
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        wait_for("all rows", lambda: site.holds(A, B, *many))
        site.wait_said("works again")  # the reader may see the rows before the daemon has said it
        assert lines_with(site.said(), "works again; .* changes caught up")
        assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["hash", "lmdb"])
def test_rows_end_on_a_full_disk(kind: str, new_site: Callable[[str], Site]) -> None:
    """What is changed in place has its room: nobody stays longer because of a disk, and new ones come in."""
    site = new_site("lmdb")
    clocks = site.set_clocks()
    with mounted(site.place / "disk", "-t", "tmpfs", "-o", f"mode=755,size={SMALL[kind]}", "tmpfs") as disk:
        use_disk(site, kind, disk)
        daemon = site.start()
        site.append(login(A))
        site.wait_rows(A)
        fill(disk)
        site.append(login(B))
        site.wait_rows(A, B)
        clocks.advance(site.grace + 1)
        site.wait_rows()
        assert "No space left" not in site.said()
        assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["hash", "lmdb", "cdb"])
def test_a_start_on_a_full_disk(kind: str, new_site: Callable[[str], Site]) -> None:
    """The table of before stays until there is room; the daemon follows meanwhile."""
    site = new_site("lmdb")
    with mounted(site.place / "disk", "-t", "tmpfs", "-o", f"mode=755,size={SMALL[kind]}", "tmpfs") as disk:
        use_disk(site, kind, disk)
        site.cover()
        daemon = site.start()
        site.append(*map(login, (A, *some(2000))))
        site.wait_rows(A, *some(2000))
        daemon.kill()
        ballast = fill(disk)
        site.append(login(B))
        daemon = site.start()
        assert said_once(site, "No space left on device"), site.said()
        assert site.holds(A, *some(2000))
        site.append(login(C))
        ballast.unlink()
        site.wait_rows(A, B, C, *some(2000))
        assert daemon.stop() == 0


def test_no_table_and_no_room_for_one(new_site: Callable[[str], Site]) -> None:
    """Without a table the MTA could not start: so we do not either, and say why."""
    site = new_site("lmdb")
    with mounted(site.place / "disk", "-t", "tmpfs", "-o", "mode=755,size=16k", "tmpfs") as disk:
        use_disk(site, "cdb", disk)
        fill(disk)
        status, _, err = site.spawn().end()
        assert status == 1
        assert re.search(rf"cannot write {disk}/relay\.cdb: No space left on device", err), err


@pytest.mark.parametrize("kind", ["hash", "lmdb", "cdb"])
def test_a_disk_that_fails_is_read_only_and_comes_back_mended(kind: str, new_site: Callable[[str], Site]) -> None:
    """As ext4 does after an error (errors=remount-ro). Another disk is then mounted there below the running daemon."""
    if shutil.which("mkfs.ext4") is None:
        unavailable("this machine has no mkfs.ext4")
    site = new_site("lmdb")
    image = site.place / "image"
    with image.open("wb") as file:
        file.truncate(24 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    disk = site.place / "disk"
    try:
        with mounted(disk, "-o", "loop", image):
            pass
    except subprocess.CalledProcessError as error:
        unavailable(f"this machine cannot mount a file (loop device): {error}")
    with mounted(disk, "-o", "loop,errors=remount-ro", image):
        use_disk(site, kind, disk)
        daemon = site.start()
        site.append(login(A))
        site.wait_rows(A)
        subprocess.run(["mount", "-o", "remount,abort", disk], check=True)
        site.append(login(B))
        site.wait_said("wait and are tried again")
        time.sleep(1.0)
        assert len(lines_with(site.said(), "wait and are tried again")) == 1, site.said()
        assert lines_with(site.said(), "Read-only file system|Input/output error", str(site.file))
        assert site.holds(A)
        assert daemon.running
    site.append(login(C))
    mended = site.place / "mended"  # the kernel keeps the first one as long as the daemon has files open there
    shutil.copy(image, mended)
    assert subprocess.run(["e2fsck", "-fy", mended], check=False, capture_output=True).returncode < 4
    with mounted(disk, "-o", "loop", mended):
        site.wait_rows(A, B, C)
        site.wait_said("works again")
        assert daemon.stop() == 0


HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[2], os.O_RDWR)
(fcntl.flock if sys.argv[1] == "flock" else fcntl.lockf)(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(file: Path, kind: str) -> Iterator[Callable[[], object]]:
    """Another process holds the table's lock, as postmap does while it writes, until what is yielded is called."""
    lock = "flock" if kind == "hash" else "fcntl"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, lock, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        try:
            yield holder.communicate
        finally:
            holder.kill()


def test_a_lock_that_another_holds_for_seconds(any_site: Site) -> None:
    """Reading and expiry go on; what they gave is in the table as soon as it is free."""
    site = any_site
    kind = site.spec.partition(":")[0]
    clocks = site.set_clocks(busy=3600)
    daemon = site.start()
    site.append(login(A, at=time.time() - 900))
    site.wait_rows(A)
    inode = site.file.stat().st_ino
    with held(site.file, kind) as release:
        site.append(login(B))
        site.wait_said(f"added {B}")
        clocks.advance(site.grace - 600)
        site.wait_said(f"removed {A}")
        site.wait_said("another process has held its")
        assert said_once(site, "another process has held its")
        release()
        site.wait_rows(B)
    assert site.file.stat().st_ino == inode, "in place, so not before the lock was free"
    site.wait_said("works again; 2 changes caught up")
    assert daemon.stop() == 0


def test_a_lock_that_is_never_let_go(site: Site) -> None:
    """A process that hangs with the lock keeps nobody out: a new file takes the old one's place."""
    site.set_clocks(busy=1.0)
    daemon = site.start()
    inode = site.file.stat().st_ino
    with held(site.file, "lmdb"):
        site.append(login(A))
        site.wait_said("each change writes a new file")
        wait_for("the new file", lambda: site.file.stat().st_ino != inode)
        site.append(login(B))
        site.wait_rows(A, B)
        # Said when a second attempt fails too, which one new file within a second prevents.
        assert len(lines_with(site.said(), "another process has held its", "tried again")) <= 1, site.said()
    assert site.said().count("each change writes a new file") == 1
    assert daemon.stop() == 0


def test_postmap_at_work_at_the_start_is_waited_for(any_site: Site) -> None:
    site = any_site
    site.start().stop()
    site.append(login(A))
    with held(site.file, site.spec.partition(":")[0]) as release:
        daemon = site.spawn()
        daemon.wait_until("it waits for the lock", lambda: has_open(daemon.pid, site.file))
        release()
        daemon.wait_until("it is ready", lambda: READY in site.said().partition("exiting")[2])
    assert site.holds(A)


def has_open(pid: int, file: Path) -> bool:
    """Whether a process has this file open, or one that it started for it: files are read apart."""
    with suppress(FileNotFoundError):  # one that it has just closed, or the process has ended
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return any(
            each.readlink() == file for process in (pid, *children) for each in Path(f"/proc/{process}/fd").iterdir()
        )
    return False


def remove(file: Path) -> None:
    file.unlink()


def empty(file: Path) -> None:
    """`> relay.db`: the file itself is cut to nothing."""
    os.truncate(file, 0)


def a_foreign_file(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(b"# an administrator's own notes\n" * 300)
    other.rename(file)


def a_file_of_another_type(file: Path) -> None:
    """An LMDB file under a name of Berkeley DB's, an SQLite file under LMDB's."""
    other = file.with_name("other")
    other.write_bytes(b"SQLite format 3\0" + bytes(8176))
    other.rename(file)


def a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/null")


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("lmdb", remove),
        ("lmdb", empty),
        ("hash", a_file_of_another_type),
        ("btree", a_foreign_file),
        ("cdb", empty),
        ("text", a_link),
    ],
)
def test_a_file_that_the_admin_replaced_is_back_without_any_login(
    kind: str, how: Callable[[Path], None], new_site: Callable[[str], Site]
) -> None:
    """Within the second or so, not at the next login: each smtpd that starts meanwhile answers 451 for its life."""
    site = new_site(kind)
    daemon = site.start()
    site.append(login(A))
    site.wait_rows(A)
    how(site.file)
    site.wait_said("another program; restored")
    assert site.holds(A)
    assert site.file.is_file()
    assert not site.file.is_symlink()
    assert site.said().count("another program; restored") == 1
    site.append(login(B))
    site.wait_rows(A, B)
    assert daemon.stop() == 0


def test_a_directory_in_its_place_is_waited_for(any_site: Site) -> None:
    site = any_site
    daemon = site.start()
    site.append(login(A))
    site.wait_rows(A)
    site.file.unlink()
    site.file.mkdir()
    site.wait_said("Is a directory")
    site.append(login(B))
    site.wait_said(f"added {B}")
    site.file.rmdir()
    site.wait_rows(A, B)
    assert said_once(site, "Is a directory")
    assert daemon.stop() == 0


@pytest.mark.parametrize("kind", ["btree", "lmdb", "cdb"])
def test_a_torn_table_is_rebuilt_beside(kind: str, new_site: Callable[[str], Site]) -> None:
    """As a power failure may leave one: the first pages of the file."""
    site = new_site(kind)
    site.cover()
    rows = some(3000)
    site.append(*map(login, rows))
    daemon = site.start()
    assert site.holds(*rows)
    daemon.send(signal.SIGKILL)
    daemon.end()
    with site.file.open("rb") as before:
        os.truncate(site.file, site.file.stat().st_size // 10 + 100)
        daemon = site.start()
        assert site.file.stat().st_ino != os.fstat(before.fileno()).st_ino, "a new file"
    assert site.holds(*rows)
    assert lines_with(site.said(), "is damaged .*its rows are lost, except those that the log explains")
    assert daemon.stop() == 0

"""Real journal files for the tests: written by systemd-journal-remote from entries, or by a journald of our own.

Both programs are those of the system; nothing of pbs-fast is imported.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from mta import unavailable, wait_for

MACHINE = "0123456789abcdef0123456789abcdef"
_BOOT = "a2f5bd8e8d1d4b7e9f0c1d2e3f4a5b6c"
_LIBRARIES = ("/usr/lib/systemd", "/lib/systemd")
#: By what journald learns a process's unit: the path of its control group below this directory.
_GROUPS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd")

Fields = Mapping[str, str | bytes]


def program(name: str) -> str:
    """A program of systemd; without it, or without journalctl, the test is skipped (or fails under CI)."""
    found = next((f"{place}/{name}" for place in _LIBRARIES if os.access(f"{place}/{name}", os.X_OK)), None)
    if found is None or shutil.which("journalctl") is None:
        unavailable(f"{name} or journalctl is not installed")
    return found


def message(ip: str, user: str = "ann", session: str = "9mVjWnQ7pQDLAHEF") -> str:
    """What Dovecot says of a login."""
    return (
        f"imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.10, mpid=71, TLS, session=<{session}>"
    )


#: A login line from Dovecot's log process, as journald stores it.
HONEST: Fields = {
    "_MACHINE_ID": MACHINE,
    "_HOSTNAME": "hub",
    "_TRANSPORT": "syslog",
    "_UID": "0",
    "_COMM": "log",
    "_PID": "71",
    "_SYSTEMD_UNIT": "dovecot.service",
    "SYSLOG_IDENTIFIER": "dovecot",
}
_tick = count(1)


def fields(text: str | bytes, at: float | None = None, **other: str | bytes | None) -> dict[str, str | bytes]:
    """An honest entry with this MESSAGE, stored at `at` (by default now); `other` changes fields, None leaves out."""
    stored = int((time.time() if at is None else at) * 1_000_000)
    changed = {**HONEST, "MESSAGE": text, "_SOURCE_REALTIME_TIMESTAMP": str(stored), **other}
    meta = {"__REALTIME_TIMESTAMP": str(stored), "__MONOTONIC_TIMESTAMP": str(next(_tick) * 1000), "_BOOT_ID": _BOOT}
    return {**meta, **{name: value for name, value in changed.items() if value is not None}}


def export(entries: Iterable[Fields]) -> bytes:
    """Entries in the export format; values that are no plain text in its binary form."""
    return b"".join(b"".join(_field(name, value) for name, value in entry.items()) + b"\n" for entry in entries)


def _field(name: str, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    if all(byte >= 0x20 for byte in data):
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)


def store(file: Path, *entries: Fields) -> None:
    """Append entries to a journal file; a new one where there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    remote = program("systemd-journal-remote")
    done = subprocess.run([remote, f"--output={file}", "-"], input=export(entries), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


class Journald:
    """A journald with a journal, sockets and units of its own. Needs root."""

    def __init__(self, name: str) -> None:
        self._program = program("systemd-journald")
        if os.geteuid() != 0:
            unavailable("a journald of our own needs root")
        machine = Path("/etc/machine-id").read_text().strip() if Path("/etc/machine-id").exists() else ""
        if not machine:
            unavailable("journald needs /etc/machine-id")
        if _group_root() is None:
            unavailable("units need control groups that can be made")
        self._name = name
        self._sockets = Path(f"/run/systemd/journal.{name}")
        self.directory = self._place(machine)
        self._groups: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _place(self, machine: str) -> Path:
        persistent = Path("/var/log/journal")
        return (persistent if persistent.is_dir() else Path("/run/log/journal")) / f"{machine}.{self._name}"

    def start(self) -> None:
        self._process = subprocess.Popen([self._program, self._name], stderr=subprocess.DEVNULL)
        wait_for("journald's socket", self._listens)
        wait_for("journald's file", lambda: list(self.directory.glob("system.journal")))

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return probe.connect_ex(str(self._sockets / "dev-log")) == 0

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(60)

    def rotate(self) -> None:
        """Close the file and begin another, as it does when one is full."""
        assert self._process is not None
        before = len(list(self.directory.glob("*.journal")))
        self._process.send_signal(signal.SIGUSR2)
        wait_for("rotation", lambda: len(list(self.directory.glob("*.journal"))) > before)

    def vacuum(self) -> None:
        """Remove all files but the one that is written to."""
        subprocess.run(
            ["journalctl", "-q", f"--directory={self.directory}", "--vacuum-files=1"], check=True, capture_output=True
        )

    def log(self, *texts: str, unit: str | None = "dovecot.service", uid: int = 0, tag: str = "dovecot") -> None:
        """Messages to its syslog socket from a process of the given unit and user."""
        group = None if unit is None else self._group(unit)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if group is not None:
                    (group / "cgroup.procs").write_text(str(os.getpid()))
                if uid:
                    os.setgroups([])
                    os.setresgid(uid, uid, uid)
                    os.setresuid(uid, uid, uid)
                sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                sender.connect(str(self._sockets / "dev-log"))
                for text in texts:
                    sender.send(f"<22>Nov 22 12:00:00 {tag}[71]: {text}".encode())
                # journald asks /proc who sent a message, when it gets to it: be there until it has asked.
                while any(fcntl.ioctl(sender, termios.TIOCOUTQ, bytes(4))):
                    time.sleep(0.01)
                time.sleep(0.3)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(ended) == 0

    def _group(self, unit: str) -> Path:
        root = _group_root()
        assert root is not None
        # journald skips slices; one of our own keeps two runs of the tests apart.
        group = root / f"{self._name}.slice" / unit
        for directory in (*reversed(group.parents), group):
            if not directory.exists():
                directory.mkdir()
                self._groups.append(directory)
        return group

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self._sockets, ignore_errors=True)
        for group in reversed(self._groups):
            with suppress(OSError):  # somebody else uses it by now
                group.rmdir()


def _group_root() -> Path | None:
    """Where the control groups are that journald reads, if groups can be made there."""
    for root in map(Path, _GROUPS):
        unified = (root / "cgroup.controllers").exists()
        if (root / "cgroup.procs").exists() and (unified or root.name == "systemd"):
            probe = root / f"pbs-fast-probe-{os.getpid()}"
            try:
                probe.mkdir()
                probe.rmdir()
            except OSError:
                return None
            return root
    return None

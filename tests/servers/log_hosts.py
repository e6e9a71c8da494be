"""Machines for the logging daemons of Debian 12 and 13: a root of each suite, unpacked, in namespaces of its own.

`LogHost` is one such machine; what runs in there ends with it, and its /dev/log is reached from outside.
scripts/unpack-log-daemons.sh unpacks the roots. Must not import `pbs_fast`.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mta import private_directory, require, unavailable, wait_for
from mta.first_process import start_first

UNPACKED = Path("/opt/pbs-fast-tests/log-daemons")
SUITES = ("bookworm", "trixie")
HOST = "hub"

# $1: an empty directory, $2: the unpacked root. The kernel's messages are those of the machine that runs the test.
_MOUNTS = f"""
set -e
cd "$1"
mount -t tmpfs -o mode=0755 tmpfs .
cd "$1"
mkdir upper work root
mount -t overlay overlay -o "lowerdir=$2,upperdir=upper,workdir=work" root
cd root
mkdir -p proc dev run tmp var/log var/spool/rsyslog var/lib/syslog-ng run/systemd/journal sys/fs/cgroup
mount -t proc proc proc
# journald asks for its own control group.
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind /dev/null proc/kmsg
mount -t tmpfs -o mode=0755 tmpfs dev
for name in null zero full random urandom tty; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
cp /etc/passwd /etc/group etc/
echo 127.0.0.1 localhost {HOST} >etc/hosts
echo 0123456789abcdef0123456789abcdef >etc/machine-id
hostname {HOST}
ip link set lo up
echo up
exec cat
"""


class LogHost:
    """One machine. AssertionError or a skip where it cannot be made."""

    def __init__(self, suite: str) -> None:
        for tool in ("unshare", "nsenter", "chroot", "ip", "hostname"):
            require(tool, f"a machine for a logging daemon ({tool})")
        if not (UNPACKED / suite / ".complete").exists():
            unavailable(f"the logging daemons of {suite} are not unpacked")
        self._place = private_directory("logd")
        words = ["--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation=private"]
        self._first = start_first(
            ["unshare", *words, "sh", "-c", _MOUNTS, "sh", self._place, UNPACKED / suite],
            "machine for a logging daemon",
            place=self._place,
        )
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children").read_text().split()
        self._pid = int(children[0])
        self._started: list[subprocess.Popen[bytes]] = []
        self.root = Path(f"/proc/{self._pid}/root{self._place}/root")
        """Its file system, as seen from outside."""

    def write(self, files: Mapping[str, str]) -> None:
        """Write files in there, by their absolute names."""
        for name, text in files.items():
            file = self.root / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def command(self, *words: str) -> list[str]:
        """What runs these words in there."""
        namespaces = ["--mount", "--net", "--uts", "--ipc", "--pid"]
        return ["nsenter", "-t", str(self._pid), *namespaces, "--", "chroot", f"{self._place}/root", *words]

    def start(self, *words: str, feeds: tuple[str, ...] | None = None) -> None:
        """Start a program that stays in the foreground; `feeds` is one that reads what it writes."""
        with (self._place / "said").open("ab") as said:
            pipe = subprocess.PIPE if feeds else said
            environ = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "TZ": "UTC", "UID": "0", "GID": "0"}
            first = subprocess.Popen(
                self.command(*words), stdin=subprocess.DEVNULL, stdout=pipe, stderr=said, env=environ
            )
            self._started.append(first)
            if feeds:
                second = self.command(*feeds)
                self._started.append(
                    subprocess.Popen(second, stdin=first.stdout, stdout=said, stderr=said, env=environ)
                )
                assert first.stdout is not None
                first.stdout.close()

    def run(self, *words: str) -> bytes:
        """The output of a command in there."""
        done = subprocess.run(self.command(*words), capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for_socket(self, name: str, kind: socket.SocketKind) -> None:
        """Wait until something takes what is sent to this socket."""

        def listens() -> bool:
            with socket.socket(socket.AF_UNIX, kind) as probe:
                return probe.connect_ex(str(self.root / name.lstrip("/"))) == 0

        try:
            wait_for(f"{name} of a logging daemon", listens)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from None

    def send(self, name: str, kind: socket.SocketKind, messages: list[bytes]) -> None:
        """Send these to its socket, each in a datagram; in a stream as they are, one after the other."""
        with socket.socket(socket.AF_UNIX, kind) as log:
            log.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            log.connect(str(self.root / name.lstrip("/")))
            for each in messages:
                log.sendall(each)
                time.sleep(0.02)

    def said(self) -> str:
        """What its programs complained of."""
        file = self._place / "said"
        return file.read_text(errors="replace") if file.exists() else ""

    def close(self) -> None:
        """End all that runs in there."""
        with suppress(BrokenPipeError):
            self._first.communicate()
        for each in self._started:
            each.wait()
        shutil.rmtree(self._place, ignore_errors=True)


@contextmanager
def log_host(suite: str) -> Iterator[LogHost]:
    """A machine, ended at the end."""
    made = LogHost(suite)
    try:
        yield made
    finally:
        made.close()

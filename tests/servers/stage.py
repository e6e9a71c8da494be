"""The surroundings of one server: a network, a file system, accounts and a /dev/log of its own.

A package that was unpacked into /opt/pbs-fast-tests/NAME is laid over /usr and /etc in a mount namespace, so its
programs find their own paths; the accounts written there exist nowhere else, and all processes in there end with it.
What a server says to /dev/log stands in a file as a syslog daemon writes it. Must not import `pbs_fast`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from mta import private_directory, require, unavailable, wait_for
from mta.netns import OTHER, OTHER6, Namespace
from mta.syslog import PRIVATE_DEV, Syslog

#: Name -> password of the accounts that have a mailbox, and of each server's own list of users. Servers lock mailboxes,
#: so each session of a test has one to itself.
USERS = {f"user{number:02}": f"Secret-{number}" for number in range(1, 41)}
#: Where a stage has a key and a certificate for TLS, in one file, and one after the other.
PEM = "/etc/test.pem"
#: Clients without a reverse name; those of `netns.ADDRESSES` have one.
UNNAMED = [f"198.51.100.{number}" for number in range(1, 25)] + [f"2001:db8:6::{number:x}" for number in range(1, 25)]

_UNPACKED = Path("/opt/pbs-fast-tests")

_LAY_OVER = f"""
set -e
{PRIVATE_DEV}
shift 2
hosts=$(cat /etc/hosts)
nsswitch=$(cat /etc/nsswitch.conf)
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/etc/over /run/etc/work /run/lock
lower=/etc
if [ $# -gt 0 ]; then
    mount -t overlay overlay -o "lowerdir=$1/usr:/usr" /usr
    [ ! -d "$1/etc" ] || lower=$1/etc:/etc
fi
mount -t overlay overlay -o "lowerdir=$lower,upperdir=/run/etc/over,workdir=/run/etc/work" /etc
printf '%s\\n' "$hosts" >/etc/hosts
printf '%s\\n' "$nsswitch" >/etc/nsswitch.conf
for each in lib mail spool tmp; do mount -t tmpfs -o mode=0755 tmpfs "/var/$each"; done
chmod 1777 /var/tmp /var/mail
mkdir /var/lib/home
ln -s /var/mail /var/spool/mail
# Nothing of the host's own PAM may ask for more than /etc/shadow.
printf 'auth required pam_unix.so nodelay\\n' >/etc/pam.d/common-auth
printf 'account required pam_unix.so\\n' >/etc/pam.d/common-account
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=mx.here.test -keyout /run/key -out /run/cert 2>/run/said ||
    {{ cat /run/said >&2; exit 1; }}
(umask 077; cat /run/key /run/cert >{PEM})
"""


class Stage:
    """One stage; `directory` is also seen from outside. Servers listen at their usual ports."""

    def __init__(self, unpacked: str | None) -> None:
        """`unpacked` names the directory of the package, None where it is installed."""
        require("openssl", "openssl")
        layer = [] if unpacked is None else [_UNPACKED / unpacked]
        for each in layer:
            if not (each / ".complete").exists():
                unavailable(f"{each.name} is not there")
        self._started: list[subprocess.Popen[bytes]] = []
        self._namespace = Namespace()
        self.directory = private_directory("stage")
        self.log = self.directory / "mail.log"
        self.log.touch()
        self._syslog = Syslog(self.directory / "dev-log", self.log)
        self._syslog.start()
        try:
            self._lay_over(layer)
        except BaseException:
            self.close()
            raise

    def _lay_over(self, layer: list[Path]) -> None:
        words = [self.directory / "dev", self._syslog.path, *layer]
        done = self._namespace.run("sh", "-c", _LAY_OVER, "sh", *words)
        if "mount" in done.stderr:
            unavailable(f"no file system can be laid over /usr and /etc here ({done.stderr.strip()})")
        assert done.returncode == 0, done.stderr
        self.sh("".join(f"ip address add {each}/{'128 nodad' if ':' in each else 32} dev lo\n" for each in UNNAMED))
        hashes = self.sh("openssl passwd -5 -salt salt -stdin", text="".join(f"{each}\n" for each in USERS.values()))
        self._accounts(dict(zip(USERS, hashes.split(), strict=True)), 7001)
        self.sh(f"for each in {' '.join(USERS)}; do install -o $each -g $each -m 0600 /dev/null /var/mail/$each; done")

    def account(self, name: str) -> None:
        """An account and a group of that name, known in here only, without a password."""
        self._accounts({name: "*"}, 7100)

    def sh(self, script: str, *, text: str = "") -> str:
        """Run a shell script in here, `text` as its input; what it wrote. AssertionError when a command of it fails."""
        done = self._namespace.run("sh", "-e", "-c", script, text=text)
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout

    def write(self, file: str, text: str) -> None:
        """Write a file in here."""
        self.sh(f"mkdir -p $(dirname {file}) && cat >{file}", text=text)

    def start(self, *words: str) -> None:
        """Start a program that stays in the foreground, or that leaves its daemon behind."""
        with (self.directory / "stderr").open("ab") as said:
            command = self._namespace.command(words)
            self._started.append(
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True)
            )

    def connect(self, source: str, port: int) -> socket.socket:
        """A connection to the server from this address. OSError when it is refused."""
        return self._namespace.connect(source, port)

    def wait_for_ports(self, *ports: int, v6: bool = True) -> None:
        """Wait until something listens there, for IPv4 and for IPv6."""
        for port in ports:
            for client in (OTHER, OTHER6) if v6 else (OTHER,):
                self._wait(f"port {port} for {client}", lambda port=port, client=client: self._open(client, port))  # type: ignore[misc]

    def wait_for_line(self, text: str) -> None:
        """Wait until the log holds this."""
        self._wait(f"{text!r} in the log", lambda: text in self.logged())

    def logged(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """End all that runs in here, and the stage."""
        for pid in self._inhabitants():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for each in self._started:
            each.wait()
        self._namespace.close()
        self._syslog.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _accounts(self, hashes: Mapping[str, str], number: int) -> None:
        files: dict[str, list[str]] = {"passwd": [], "group": [], "shadow": []}
        for each, (name, word) in enumerate(hashes.items(), number):
            files["passwd"].append(f"{name}:x:{each}:{each}::/var/lib/home/{name}:/bin/sh\n")
            files["group"].append(f"{name}:x:{each}:\n")
            files["shadow"].append(f"{name}:{word}:19000:0:99999:7:::\n")
        known = self.sh("cat /etc/passwd")
        assert not [name for name in hashes if f"\n{name}:" in known]
        for file, lines in files.items():
            self.sh(f"cat >>/etc/{file}", text="".join(lines))
        self.sh(f"for each in {' '.join(hashes)}; do install -d -o $each -g $each /var/lib/home/$each; done")

    def _open(self, client: str, port: int) -> bool:
        try:
            self.connect(client, port).close()
        except OSError:
            return False
        return True

    def _wait(self, what: str, probe: Callable[[], bool]) -> None:
        try:
            wait_for(what, probe)
        except AssertionError as error:
            said = self.directory / "stderr"
            raise AssertionError(f"{error}\n{said.read_text() if said.exists() else ''}{self.logged()}") from None

    def _inhabitants(self) -> list[int]:
        """The processes in the mount namespace, without the one that holds it."""
        here = Path(f"/proc/{self._namespace.pid}/ns/mnt").readlink()
        found = []
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if (each / "ns/mnt").readlink() == here and int(each.name) != self._namespace.pid:
                    found.append(int(each.name))
            except OSError:  # it has ended
                continue
        return found


@contextmanager
def stage(unpacked: str | None) -> Iterator[Stage]:
    """A stage, ended at the end."""
    made = Stage(unpacked)
    try:
        yield made
    finally:
        made.close()

"""The real `pbs-fast run` as a process of its own, with a log, a table and its own log in one directory.

Nothing of the daemon is imported: what it did is read from its table, its own log, its output and its exit status.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

import pbs_fast
from mta import PATIENCE, unavailable, wait_for
from pbs_fast.errors import TableError
from pbs_fast.tables import list_rows, parse
from pbs_fast.tables.locks import LONGEST_BUSY

PROGRAM = str(Path(sys.executable).with_name("pbs-fast"))


def timestamp(seconds: float | None = None) -> str:
    """A time, by default now, as RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() if seconds is None else seconds))


def login(ip: str, user: str = "ann", *, at: float | None = None, host: str = "hub", lip: str = "192.0.2.10") -> str:
    """The line of a login at Dovecot through syslog; `at` is its time, by default now."""
    return (
        f"{timestamp(at)} {host} dovecot: imap-login: Login: user=<{user}>, method=PLAIN, rip={ip}, lip={lip}, "
        "mpid=71, TLS, session=<9mVjWnQ7pQDLAHEF>"
    )


def noise(at: float | None = None, text: str = "systemd[1]: Started something.") -> str:
    """A line that is no login."""
    return f"{timestamp(at)} hub {text}"


def append(log: Path, *lines: str) -> None:
    """Write whole lines to the end of a log, in one write as syslog daemons do."""
    with log.open("ab", buffering=0) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def pbs(*arguments: str | os.PathLike[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run `pbs-fast ARGUMENTS` to its end."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False, **options
    )


class Site:
    """A directory with `mail.log`, a configuration, a deny list, a file of networks; daemons are started in it."""

    def __init__(self, place: Path, kind: str = "lmdb") -> None:
        self.place = place
        self.log = place / "mail.log"
        self.spec = f"{kind}:{place}/relay"
        self.own = place / "own.log"
        self.config = place / "pbs.toml"
        self.deny = place / "deny.toml"
        self.networks = place / "networks"
        self.pid_file = place / "pbs.pid"
        self.grace = 1800
        self.clocks: Clocks | None = None
        """The clocks of its daemons, when a test sets them (`set_clocks`)."""
        self.log_to_file = True
        """Whether daemons are told to log to `own`."""
        self.log.touch()
        self.networks.write_text("127.0.0.0/8\n")
        self.configure()
        self._daemons: list[Daemon] = []

    @property
    def file(self) -> Path:
        """The table's file."""
        file = parse(self.spec).file
        assert file is not None
        return file

    def configure(self, text: str = "") -> None:
        """Write the configuration: what keeps this machine's Postfix, /etc, /run and /var out, then `text`."""
        self.config.write_text(
            f'mynetworks = ["{self.networks}"]\ndeny = "{self.deny}"\n'
            f'control.directory = "{self.place}/run"\nstate_directory = "{self.place}"\n{text}'
        )

    def append(self, *lines: str) -> None:
        """More lines in the mail log."""
        append(self.log, *lines)

    def cover(self) -> None:
        """A line older than the window stands in the log, so a replay reaches back far enough."""
        self.append(noise(time.time() - self.grace - 600))

    def rows(self) -> list[str]:
        """The addresses in the table now."""
        return [key for key, _ in list_rows(self.spec)]

    def holds(self, *ips: str) -> bool:
        """The table holds exactly these; False also while there is no table."""
        try:
            return self.rows() == sorted(ips)
        except TableError:
            return False

    def wait_rows(self, *ips: str, seconds: float = PATIENCE) -> None:
        """Wait until the table holds exactly these."""
        try:
            wait_for("rows", lambda: self.holds(*ips), seconds=seconds)
        except AssertionError:
            raise AssertionError(f"the table holds {self.rows()}, not {sorted(ips)}\n{self.said()}") from None

    def said(self) -> str:
        """The daemons' own log."""
        return self.own.read_text(errors="replace") if self.own.exists() else ""

    def wait_said(self, text: str, count: int = 1, *, seconds: float = PATIENCE) -> None:
        """Wait until the own log holds `text`, at least `count` times."""
        try:
            wait_for(repr(text), lambda: self.said().count(text) >= count, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}") from None

    def arguments(self, *more: str) -> list[str]:
        """The options that point a daemon here."""
        return [
            f"--config={self.config}",
            f"--watchlog={self.log}",
            f"--dbfile={self.spec}",
            *([f"--logto={self.own}"] if self.log_to_file else []),
            f"--grace={self.grace}",
            *more,
        ]

    def start(
        self,
        *more: str,
        prefix: Sequence[str] = (),
        cwd: Path | None = None,
        listener: socket.socket | None = None,
    ) -> Daemon:
        """A daemon that has said it is ready."""
        before = self.said().count(READY)
        daemon = self.spawn(*more, prefix=prefix, cwd=cwd, listener=listener)
        daemon.wait_until("it is ready", lambda: self.said().count(READY) > before)
        return daemon

    def spawn(
        self,
        *more: str,
        prefix: Sequence[str] = (),
        cwd: Path | None = None,
        listener: socket.socket | None = None,
    ) -> Daemon:
        """A daemon that was just started; `prefix` is a command that starts it, `listener` handed over as systemd
        does."""
        prefix = prefix or (self.clocks.prefix if self.clocks else ())
        fds = [] if listener is None else [listener.fileno()]
        prefix = [*(f for fd in fds for f in (sys.executable, "-c", _HAND_OVER, str(fd))), *prefix]
        daemon = Daemon([*prefix, PROGRAM, "run", *self.arguments(*more)], self, cwd=cwd, fds=fds)
        self._daemons.append(daemon)
        return daemon

    def background(self, *more: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """`run --daemon` to the end of the parent; `pid` then knows the child."""
        return pbs("run", *self.arguments(f"--daemon={self.pid_file}", *more), cwd=cwd)

    def set_clocks(self, *, busy: float = LONGEST_BUSY) -> Clocks:
        """From now on its daemons go by clocks that the test sets, so that grace is over when the test says so.

        `busy`: seconds for which they wait for a lock of others.
        """
        self.clocks = Clocks(self.place / "steps", busy)
        return self.clocks

    def now(self) -> float:
        """What its daemons' wall clock shows."""
        return self.clocks.now() if self.clocks else time.time()

    def pid(self) -> int:
        """The process id in the pid file."""
        return int(self.pid_file.read_text())

    def close(self) -> None:
        """End what still runs."""
        for daemon in self._daemons:
            daemon.kill()
        if self.pid_file.exists() and self.pid_file.stat().st_size:
            end(self.pid(), signal.SIGKILL)


class Clocks:
    """What a daemon's clocks show beside this machine's (clocked.py)."""

    def __init__(self, file: Path, busy: float) -> None:
        self._file = file
        self._busy = busy
        self.wall = self.boot = 0.0
        self.set()

    def set(self, wall: float = 0.0, boot: float = 0.0) -> None:
        """Seconds ahead of the machine's."""
        self.wall, self.boot = wall, boot
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{wall} {boot}")
        fresh.replace(self._file)

    def advance(self, seconds: float) -> None:
        """Both go on by so many seconds at once, as over a suspension."""
        self.set(self.wall + seconds, self.boot + seconds)

    def now(self) -> float:
        """What timestamps are written by."""
        return time.time() + self.wall

    @property
    def prefix(self) -> list[str]:
        """What starts the program on them."""
        return [sys.executable, str(Path(__file__).with_name("clocked.py")), str(self._file), str(self._busy)]


READY = "ready:"
#: A program that becomes another one, to which it hands a socket (sd_listen_fds(3)).
_HAND_OVER = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='policy'); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class Daemon:
    """One process."""

    def __init__(
        self, command: Iterable[str], site: Site, *, cwd: Path | None = None, fds: Collection[int] = ()
    ) -> None:
        self._site = site
        self.output = ""
        """What it wrote, once it was killed."""
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            pass_fds=fds,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal; after SIGSTOP it has stopped, which the kernel only promises to do soon."""
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            stat = Path(f"/proc/{self.pid}/stat")
            wait_for("the stop", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        self.send(number)
        return self.end()[0]

    def kill(self) -> None:
        """kill -9, as a crash ends it."""
        if self.running:
            self._process.kill()
        if self._process.stdout is not None and not self._process.stdout.closed:
            self.output = "".join(self._process.communicate(timeout=PATIENCE))

    def end(self) -> tuple[int, str, str]:
        """Wait for its end: status, standard output, standard error."""
        out, err = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, out, err

    def reload(self, said: str = "reloaded ") -> None:
        """SIGHUP, and wait until its own log tells what came of it."""
        before = self._site.said().count(said)
        self.send(signal.SIGHUP)
        self._site.wait_said(said, before + 1)

    def wait_until(self, what: str, probe: Callable[[], bool]) -> None:
        """Wait for something; AssertionError with all it said when it does not come or the process ends."""
        try:
            wait_for(what, lambda: probe() or not self.running, seconds=PATIENCE)
            assert probe(), f"it ended before {what}"
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.output}{self._site.said()}") from None


#: What starts a command as a user that may do nothing here.
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def require_nobody() -> None:
    """Skip (or fail under CI) where the program cannot run as NOBODY."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        unavailable("becoming another user needs root and setpriv")
    done = subprocess.run([*NOBODY, PROGRAM, "version"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        unavailable(f"user nobody may not run this Python ({done.stderr.strip()})")


def readable_to_all() -> list[str]:
    """What starts a command so that it can read this Python also once it is another user.

    A Python below a home directory of mode 0700 cannot be read any more then. In a mount namespace of the command's own
    that directory shows nothing but this Python and this package, to everybody.
    """
    wanted = [Path(sys.base_prefix), Path(sys.prefix), Path(pbs_fast.__file__).parents[2]]
    closed = {up for path in wanted for up in path.resolve().parents if not up.stat().st_mode & 0o001}
    if not closed:
        return []
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        unavailable("a mount namespace needs root and unshare")
    script = []
    for top in (up for up in sorted(closed) if not closed & set(up.parents)):
        inside = [str(path.resolve()) for path in wanted if path.resolve().is_relative_to(top)]
        for number, path in enumerate(inside):
            script += [f"d{number}=$(mktemp -d)", f"mount --bind {shlex.quote(path)} $d{number}"]
        script.append(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(top))}")
        for number, path in enumerate(inside):
            script += [f"mkdir -p {shlex.quote(path)}", f"mount --bind $d{number} {shlex.quote(path)}"]
    script.append('exec "$@"')
    return ["unshare", "--mount", "--propagation=private", "sh", "-c", " && ".join(script), "sh"]


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def end(pid: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Signal a process that is not our child, and wait for its end."""
    if alive(pid):
        os.kill(pid, number)
        wait_for(f"the end of {pid}", lambda: not alive(pid), seconds=PATIENCE)


def lines_with(text: str, *patterns: str) -> list[str]:
    """The lines of a text in which all the patterns are found."""
    return [line for line in text.splitlines() if all(re.search(pattern, line) for pattern in patterns)]

"""Real hubs for the tests: a private valkey-server or redis-server in a directory of its own, with TLS and ACL users.

    with hubs() as make:                # ends them all, and removes their directories
        hub = make(tls=True)
        hub.url("pop1")                 # what goes into share.hubs; hub.password is PASSWORD
        hub.hang(); hub.resume(); hub.kill(); hub.start(); hub.flush(); hub.config("maxmemory", "1mb")

Where both are installed, hubs of a test are of one and the other in turn, and tests begin with different ones, so a run
needs no second one to try both. `PBS_FAST_HUB=redis-server` (or a path) has all of one kind.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any
from zlib import crc32

import valkey

from mta import PATIENCE, free_port, private_directory, unavailable, wait_for

PROGRAMS = ("valkey-server", "redis-server")
#: Where scripts/install-test-servers.sh unpacks one that the distribution has in its backports only.
UNPACKED = "/opt/pbs-fast-tests/valkey/usr/bin"
SITE = "test"
PASSWORD = "wachtwoord-of-a-node"  # noqa: S105 - of a server on loopback that lives for one test
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"  # noqa: S105 - likewise
#: What a node may do at a hub, as docs/SHARING.md has it (Redis 7.0 or newer).
ACL = (
    "user {node} on >{password} %W~pbs-fast:{{{site}}}:n:{node} %R~pbs-fast:{{{site}}}:n:*"
    " %RW~pbs-fast:{{{site}}}:nodes -@all +xadd +xread +xrange +xrevrange"
    " +sadd +smembers +time +ping +hello +auth +client|setname +acl|whoami"
)
NODES = ("pop1", "pop2", "pop3", "smtp1", "smtp2", "smtp3")


@cache
def programs() -> tuple[str, ...]:
    """The servers' programs; the test is skipped (or fails under CI) without one."""
    wanted = os.environ.get("PBS_FAST_HUB")
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), UNPACKED))
    found = [shutil.which(name, path=path) for name in ((wanted,) if wanted else PROGRAMS)]
    if not any(found):
        unavailable(f"no hub is installed (no {wanted or ' and no '.join(PROGRAMS)})")
    return tuple(filter(None, found))


def in_turn() -> Iterator[str]:
    """The programs, without end; another one is the first for half of the tests."""
    found = programs()
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    first = crc32(test.encode()) % len(found)
    return cycle(found[first:] + found[:first])


class Hub:
    """One server on 127.0.0.1; its administrator comes by a Unix socket."""

    def __init__(
        self,
        place: Path,
        *,
        tls: bool = False,
        nodes: tuple[str, ...] = NODES,
        acl: bool = True,
        site: str = SITE,
        prefix: tuple[str, ...] = (),
        bind: str = "127.0.0.1",
        names: str = "IP:127.0.0.1,DNS:localhost",
        options: tuple[str, ...] = (),
        program: str | None = None,
    ) -> None:
        """`names` are those in its certificate (subjectAltName); without `acl` every client may do all, without a
        password. `prefix` starts it (in a network namespace, on another clock), `bind` is where it listens; `program`
        is the server, by default the first of `programs`."""
        self.program = program or programs()[0]
        self.place, self.tls, self.prefix, self.bind = place, tls, prefix, bind
        self.port = free_port()
        self.socket = place / "hub.sock"
        self.log = place / "hub.log"
        self._acl = acl
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            f"bind {bind}",
            f"dir {place}",
            f"unixsocket {self.socket}",
            f"logfile {self.log}",
            "daemonize no",
            'save ""',
            "appendonly no",
            *options,
        ]
        if tls:
            self.ca = make_certificates(place, names)
            lines += [f"tls-port {self.port}", "port 0", f"tls-cert-file {place}/hub.crt"]
            lines += [f"tls-key-file {place}/hub.key", f"tls-ca-cert-file {self.ca}", "tls-auth-clients no"]
        else:
            lines += [f"port {self.port}"]
        if acl:
            users = [ACL.format(node=node, password=PASSWORD, site=site) for node in nodes]
            (place / "users.acl").write_text(
                "\n".join(["user default off", "user admin on nopass ~* &* +@all", *users]) + "\n"
            )
            lines.append(f"aclfile {place}/users.acl")
        else:
            lines.append("protected-mode no")
        (place / "hub.conf").write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [*self.prefix, self.program, str(self.place / "hub.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_for("the hub", self.answers, seconds=PATIENCE)

    def answers(self) -> bool:
        """Whether it serves now."""
        with suppress(valkey.exceptions.ValkeyError):
            return bool(self.admin.ping())
        return False

    @property
    def admin(self) -> Any:
        """A client that may do everything; a new one each time."""
        user = "admin" if self._acl else None
        return valkey.Valkey(
            unix_socket_path=str(self.socket), username=user, password="any" if user else None, socket_timeout=PATIENCE
        )

    def url(self, node: str | None = None, host: str | None = None) -> str:
        """As it goes into share.hubs, for a node's user."""
        user = f"{node}@" if node and self._acl else ""
        return f"{'valkeys' if self.tls else 'valkey'}://{user}{host or self.bind}:{self.port}"

    def stream(self, node: str, site: str = SITE) -> str:
        """The key of a node's stream."""
        return f"pbs-fast:{{{site}}}:n:{node}"

    def flush(self) -> None:
        """Remove everything in it."""
        with self.admin as client:
            client.flushall()

    def config(self, key: str, value: str) -> None:
        """Change its configuration."""
        with self.admin as client:
            client.config_set(key, value)

    def hang(self) -> None:
        """It answers nobody any more (SIGSTOP), and its connections stay."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # a stopped process too
            self._process.wait(PATIENCE)

    def restart(self) -> None:
        """kill -9 and a start: with nothing in it, as nothing is saved."""
        self.kill()
        self.start()


def make_certificates(place: Path, names: str) -> Path:
    """hub.crt and hub.key for these names, signed by the CA whose file is returned."""
    if shutil.which("openssl") is None:
        unavailable("openssl is not installed")
    ca, key = place / "ca.crt", place / "ca.key"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    # Both extensions are for Python 3.13, which verifies strictly.
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _openssl("req", "-x509", *new_key, *usage, "-keyout", str(key), "-out", str(ca), "-subj", "/CN=test CA")
    request = place / "hub.csr"
    _openssl("req", *new_key[:-2], "-keyout", str(place / "hub.key"), "-out", str(request), "-subj", "/CN=hub")
    extensions = place / "hub.ext"
    extensions.write_text(f"subjectAltName={names}\nauthorityKeyIdentifier=keyid\n")
    signed = ["-CA", str(ca), "-CAkey", str(key), "-CAcreateserial", "-days", "2", "-extfile", str(extensions)]
    _openssl("x509", "-req", "-in", str(request), *signed, "-out", str(place / "hub.crt"))
    return ca


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


NewHub = Callable[..., Hub]


@contextmanager
def hubs() -> Iterator[NewHub]:
    """Makes running hubs (the arguments are Hub's), each ended with the block."""
    turns = in_turn()
    with ExitStack() as stack:

        def make(**options: Any) -> Hub:
            place = private_directory("hub")
            stack.callback(shutil.rmtree, place, ignore_errors=True)
            options.setdefault("program", next(turns))
            hub = Hub(place, **options)
            stack.callback(hub.kill)
            hub.start()
            return hub

        yield make

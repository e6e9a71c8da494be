"""`socketmap:`: what is answered when, to clients of all kinds, and what real smtpds make of it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mta import free_port
from mta.postfix import LOCAL, require_postfix, running
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta
from pbs_fast.serving import server as serving
from pbs_fast.serving.netstring import Decoder, encode
from pbs_fast.serving.port import Port
from pbs_fast.serving.server import Server
from pbs_fast.tables import Table, TableOptions, list_rows, open_table
from tables.conftest import Opener, grant

A, B, SIX = "203.0.113.5", "203.0.113.6", "2001:db8::6"
NOT_FOUND, OK = b"NOTFOUND ", b"OK ok"


class Client:
    """One connection."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(os.fspath(path))
        self._decoder = Decoder(100_000)
        self._waiting: list[bytes] = []

    def ask(self, key: str, name: str = "pbs") -> bytes:
        self.send(encode(f"{name} {key}".encode()))
        return self.reply()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        while not self._waiting:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionResetError
            self._waiting += self._decoder.feed(data)
        return self._waiting.pop(0)

    def is_closed(self, seconds: float = 60) -> bool:
        """Whether the server closes the connection within that time."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True


@pytest.fixture
def connect(directory: Path) -> Iterator[Callable[[], Client]]:
    clients: list[Client] = []

    def connected() -> Client:
        clients.append(Client(directory / "relay.sock"))
        return clients[-1]

    yield connected
    for client in clients:
        client.socket.close()


Connect = Callable[[], Client]


def test_rows_come_and_go_for_a_client_that_stays(opened: Opener, connect: Connect) -> None:
    table = opened("socketmap")
    client = connect()
    table.rebuild({A: grant()})
    assert client.ask(A) == OK
    assert client.ask(SIX) == NOT_FOUND
    table.apply(Delta({SIX: grant()}, (A,)))
    assert client.ask(A) == NOT_FOUND
    assert client.ask(SIX) == OK
    for nothing in ("unknown", "203.0.113", "2001:db8::", "dsl-5.pool.example.com", "", "203.0.113.005", "\xff"):
        assert client.ask(nothing) == NOT_FOUND


def test_temporary_only_until_the_log_was_read(opened: Opener, connect: Connect) -> None:
    table = opened("socketmap")
    client = connect()
    assert client.ask(A).startswith(b"TEMP ")
    table.apply(Delta({A: grant()}))
    assert client.ask(A) == OK, "known already"
    assert client.ask(B).startswith(b"TEMP ")
    table.rebuild({A: grant()})
    assert client.ask(A) == OK
    assert client.ask(B) == NOT_FOUND


def test_a_row_ends_at_its_second(opened: Opener, connect: Connect) -> None:
    now = [1000.0]
    table = opened("socketmap", now=lambda: now[0])
    client = connect()
    table.rebuild({A: grant(1060)})
    now[0] = 1059.999
    assert client.ask(A) == OK
    now[0] = 1060.0
    assert client.ask(A) == NOT_FOUND
    table.apply(Delta({A: grant(1120, why="renewed")}))
    assert client.ask(A) == OK


def test_spellings_of_mtas(opened: Opener, connect: Connect) -> None:
    """Sendmail's IPv6_FULL and popauth's tag; IPv4 in IPv6; capitals."""
    table = opened("socketmap")
    table.rebuild({A: grant(), SIX: grant()})
    client = connect()
    for key in (f"pop:{A}", f"::ffff:{A}", "pop:ipv6:2001:db8:0:0:0:0:0:6", "IPv6:2001:DB8::6", "2001:0db8::0006"):
        assert client.ask(key) == OK
    assert client.ask("pop:ipv6:2001:db8:0:0:0:0:0:7") == NOT_FOUND


def test_another_map_is_refused(opened: Opener, connect: Connect) -> None:
    opened("socketmap").rebuild({A: grant()})
    client = connect()
    assert client.ask(A, "other").startswith(b"PERM ")
    client.send(encode(b"pbs"))
    assert client.reply() == NOT_FOUND
    client.send(encode(b""))
    assert client.reply().startswith(b"PERM ")
    assert client.ask(A) == OK


def test_values(opened: Opener, connect: Connect, directory: Path) -> None:
    table = opened("socketmap", value="ok {user} {expires}")
    table.rebuild({A: grant(2_000_000_000, "ann")})
    assert connect().ask(A) == b"OK ok ann 2000000000"
    assert stat.S_IMODE((directory / "relay.sock").stat().st_mode) == 0o660, "users are named"


def test_many_requests_in_one_piece_and_one_in_many(opened: Opener, connect: Connect) -> None:
    opened("socketmap").rebuild({A: grant()})
    client = connect()
    count = 20_000  # far more than the server holds unsent
    sender = threading.Thread(target=client.send, args=(encode(f"pbs {A}".encode()) * count,))
    sender.start()
    assert all(client.reply() == OK for _ in range(count))
    sender.join()
    for byte in encode(f"pbs {A}".encode()):
        client.send(bytes([byte]))
    assert client.reply() == OK


@pytest.mark.parametrize("junk", [b"GET / HTTP/1.0\r\n\r\n", b"10001:", b"5:pbs a;", b"99999999", b"\0"])
def test_a_client_that_breaks_the_rules_is_dropped_alone(junk: bytes, opened: Opener, connect: Connect) -> None:
    opened("socketmap").rebuild({A: grant()})
    good, bad = connect(), connect()
    assert good.ask(A) == OK
    bad.send(junk)
    assert bad.is_closed()
    assert good.ask(A) == OK


def test_clients_that_hang_hold_nobody_up_and_end(
    opened: Opener, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbs_fast.serving.port.STALLED", 0.3)
    monkeypatch.setattr(serving, "_SWEEP", 0.1)
    opened("socketmap").rebuild({A: grant()})
    good, half, deaf = connect(), connect(), connect()
    half.send(b"16:pbs 203")
    deaf.socket.settimeout(0.2)
    with pytest.raises(OSError, match=r"timed out|Broken pipe|reset"):
        _send_for_ever(deaf)
    start = time.monotonic()
    while time.monotonic() - start < 0.8:
        assert good.ask(A) == OK
    assert half.is_closed()
    assert deaf.is_closed()
    time.sleep(0.5)
    assert good.ask(A) == OK, "an idle one stays"


def _send_for_ever(client: Client) -> None:
    while True:
        client.send(encode(f"pbs {A}".encode()) * 1000)


def test_idle_clients_end(opened: Opener, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.serving.port.IDLE", 0.2)
    monkeypatch.setattr(serving, "_SWEEP", 0.05)
    opened("socketmap").rebuild({})
    client = connect()
    client.ask(A)
    assert client.is_closed()


def test_hundreds_of_clients(opened: Opener, connect: Connect) -> None:
    opened("socketmap").rebuild({A: grant()})
    clients = [connect() for _ in range(400)]
    for _ in range(3):
        for client in clients:
            client.send(encode(f"pbs {A}".encode()))
        assert all(client.reply() == OK for client in clients)


def test_one_client_too_many_pushes_out_the_longest_silent(directory: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(directory / "s"))
    listener.listen()
    listener.setblocking(False)
    port = Port(listener, lambda: Decoder(100), lambda _, request: encode(request), most=3)
    server = Server([port], name="test")
    server.start()
    try:
        clients = []
        for number in range(3):
            clients.append(Client(directory / "s"))
            assert clients[number].ask("x") == b"pbs x"
        assert clients[0].ask("y") == b"pbs y"
        clients.append(Client(directory / "s"))
        assert clients[3].ask("z") == b"pbs z"
        assert clients[1].is_closed()
        assert [clients[i].ask("a") for i in (0, 2, 3)] == [b"pbs a"] * 3
        for client in clients:
            client.socket.close()
    finally:
        server.close()


def test_a_stale_socket_is_replaced_and_a_file_is_not(opened: Opener, connect: Connect, directory: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(os.fspath(directory / "relay.sock"))
    stale.close()  # what kill -9 leaves
    table = opened("socketmap")
    table.rebuild({A: grant()})
    assert connect().ask(A) == OK
    table.close()
    assert not (directory / "relay.sock").exists()
    (directory / "relay.sock").write_text("notes")
    with pytest.raises(TableError, match="is not a socket; move it away"):
        opened("socketmap")
    assert (directory / "relay.sock").read_text() == "notes"


def test_a_second_daemon_is_refused_and_takes_nothing_away(opened: Opener, connect: Connect) -> None:
    opened("socketmap").rebuild({A: grant()})
    with pytest.raises(TableError, match="is given twice"):
        opened("socketmap")
    code = f"from pbs_fast.tables import open_table\nopen_table({opened.spec('socketmap')!r})"
    second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"another pbs-fast (pid {os.getpid()}) owns " in second.stderr
    assert connect().ask(A) == OK


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_vanished_socket_is_put_back(how: str, opened: Opener, connect: Connect, directory: Path) -> None:
    table = opened("socketmap")
    table.rebuild({A: grant()})
    (directory / "relay.sock").unlink()
    if how == "replaced":
        other = socket.socket(socket.AF_UNIX)
        other.bind(os.fspath(directory / "relay.sock"))
        other.close()
    table.heartbeat()
    assert connect().ask(A) == OK
    table.apply(Delta({B: grant()}))
    assert connect().ask(B) == OK


def test_mode_and_group(opened: Opener, directory: Path) -> None:
    table = opened("socketmap?mode=0620&group=mail")
    found = (directory / "relay.sock").stat()
    assert stat.S_IMODE(found.st_mode) == 0o620
    import grp

    assert grp.getgrgid(found.st_gid).gr_name == "mail"
    table.close()
    opened("socketmap")
    assert stat.S_IMODE((directory / "relay.sock").stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("socketmap:", "write socketmap:unix:PATH:MAP or"),
        ("socketmap:/x/sock", "write socketmap:unix:PATH:MAP or"),
        ("socketmap:unix:/x/sock", "write socketmap:unix:PATH:MAP or"),
        ("socketmap:inet:192.0.2.1:9998:pbs", "192.0.2.1 is not a loopback address"),
        ("socketmap:inet:0.0.0.0:9998:pbs", "is not a loopback address"),
        ("socketmap:inet:[::]:9998:pbs", "is not a loopback address"),
        ("socketmap:inet:127.0.0.1:0:pbs", "there is no port 0"),
        ("socketmap:inet:127.0.0.1:65536:pbs", "there is no port 65536"),
        ("socketmap:inet:127.0.0.1:9998:pbs?mode=0600", "are for unix: sockets"),
        ("socketmap:unix:/x/sock:pbs?mode=999", "needs three octal digits"),
        ("socketmap:unix:/x/sock:pbs?prefix6=55", "needs a number from 56 to 64"),
        ("socketmap:unix:/x/sock:pbs?prefix6=65", "needs a number from 56 to 64"),
        ("socketmap:unix:pbs/sock:pbs?queue=spool", "needs an absolute directory"),
        (f"socketmap:unix:/{'x' * 110}:pbs", "is too long for a socket"),
    ],
)
def test_bad_endpoints_are_named(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_table(spec)
    assert message in str(caught.value)


def test_places_that_cannot_be_used_are_named(directory: Path) -> None:
    with pytest.raises(TableError, match=r"/none/sock.*No such file or directory.*does not exist"):
        open_table(f"socketmap:unix:{directory}/none/sock:pbs")
    with pytest.raises(TableError, match="there is no group nosuchgroup"):
        open_table(f"socketmap:unix:{directory}/sock:pbs?group=nosuchgroup")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(TableError, match="give another port"):
        open_table(f"socketmap:inet:127.0.0.1:{taken.getsockname()[1]}:pbs")


def test_listing_says_where_the_rows_are(opened: Opener) -> None:
    table = opened("socketmap")
    with pytest.raises(TableError, match=f"in the daemon's memory; ask for one with: postmap -q ADDRESS {table.spec}"):
        list_rows(table.spec)


def test_tcp_and_postmap() -> None:
    require_postfix("socketmap")
    port = free_port()
    with opened_at(f"socketmap:inet:127.0.0.1:{port}:pbs") as table:
        table.rebuild({A: grant(), SIX: grant()})
        done = subprocess.run(
            ["postmap", "-q", "-", table.spec],
            input=f"{A}\n{B}\n{SIX}\nunknown\n" * 1000,
            capture_output=True,
            text=True,
            check=True,
        )
        assert not done.stderr
        assert done.stdout.splitlines() == [f"{A}\tok", f"{SIX}\tok"] * 1000


@contextmanager
def opened_at(spec: str, **options: object) -> Iterator[Table]:
    table = open_table(spec, options=TableOptions(**options))  # type: ignore[arg-type]
    try:
        yield table
    finally:
        table.close()


def test_below_the_queue_directory_of_a_chrooted_smtpd() -> None:
    require_postfix("socketmap")
    with running("socketmap:unix:pbs/sock:pbs", chroot=True) as postfix:
        queue = postfix.directory / "queue"
        (queue / "pbs").mkdir()
        with opened_at(f"socketmap:unix:pbs/sock:pbs?queue={queue}") as table:
            assert table.spec == "socketmap:unix:pbs/sock:pbs", "the same words for both"
            table.rebuild({A: grant()})
            assert postfix.rcpt(A).relayed
            assert postfix.rcpt(B).denied


def test_without_the_daemon_only_relay_attempts_wait(opened: Opener) -> None:
    """Gone, it is 451 to relay attempts and nothing to inbound mail; back, it serves the same session."""
    require_postfix("socketmap")
    table = opened("socketmap")
    table.rebuild({A: grant()})
    with running(table.spec) as postfix, postfix.session(A) as session:
        assert session.rcpt().relayed
        table.close()
        assert session.rcpt().code == 451
        assert session.rcpt(f"bob@{LOCAL}").code == 250
        again = opened("socketmap")
        assert session.rcpt().code == 451, "it does not know yet"
        again.rebuild({A: grant()})
        assert session.rcpt().relayed

"""`policy:`: what is answered when, what is counted, and what clients of all kinds meet. Real smtpds: the next file."""

from __future__ import annotations

import os
import re
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mta import wait_for
from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta, Grant
from pbs_fast.serving import server as serving
from pbs_fast.tables import TableOptions, open_table
from pbs_fast.tables.policy.table import PolicyTable
from pbs_fast.tables.registry import parse
from pbs_fast.tables.served import endpoint
from pbs_fast.tables.served.table import ServedTable
from tables.conftest import GROUP, Opener, grant
from tables.policy import Client, Limit, request

A, B, SIX = "203.0.113.5", "203.0.113.6", "2001:db8::6"
ANN = "ann@here.test"
Connect = Callable[[], Client]


@pytest.fixture
def connect(directory: Path) -> Iterator[Connect]:
    clients: list[Client] = []

    def connected() -> Client:
        clients.append(Client(directory / "relay.sock"))
        return clients[-1]

    yield connected
    for client in clients:
        client.socket.close()


def policy(opened: Opener, kind: str = "policy", rows: dict[str, Grant] | None = None, **options: Any) -> PolicyTable:
    """A table that has read its log."""
    table = opened(kind, **options)
    assert isinstance(table, PolicyTable)
    table.rebuild({A: grant(user=ANN)} if rows is None else rows)
    return table


@pytest.mark.parametrize("kind", ["policy", "policy?alone"])
def test_ok_is_for_a_live_row_only(kind: str, opened: Opener, connect: Connect) -> None:
    now = [1000.0]
    table = policy(opened, kind, {A: grant(1060)}, now=lambda: now[0])
    client = connect()
    assert [client.ask(each) for each in (A, B, SIX, "unknown", "", "203.0.113", "\xff")] == ["OK", *["DUNNO"] * 6]
    table.apply(Delta({SIX: grant(1060)}))
    assert client.ask(SIX) == "OK"
    now[0] = 1059.999
    assert client.ask(A) == "OK"
    now[0] = 1060.0
    assert [client.ask(A), client.ask(SIX)] == ["DUNNO", "DUNNO"]


def test_spellings_of_one_address(opened: Opener, connect: Connect) -> None:
    policy(opened, rows={A: grant(), SIX: grant()})
    client = connect()
    for same in (f"::ffff:{A}", "::FFFF:203.0.113.5", "2001:0db8:0:0:0:0:0:6", "2001:DB8::6", SIX):
        assert client.ask(same) == "OK", same
    for other in (f"::ffff:{B}", f"::{A}", "2001:db8::7"):
        assert client.ask(other) == "DUNNO", other


@pytest.mark.parametrize(("kind", "unread"), [("policy", "DUNNO"), ("policy?alone", "DEFER 4.3.0 the log is ")])
def test_before_the_log_was_read(kind: str, unread: str, opened: Opener, connect: Connect) -> None:
    table = opened(kind)
    client = connect()
    assert client.ask(A).startswith(unread)
    assert client.data(A) == "DUNNO", "nothing is decided there"
    assert client.ask(A, sasl_username="ann") == "DUNNO", "somebody who authenticated waits for nothing of ours"
    table.apply(Delta({A: grant()}))
    assert client.ask(A) == "OK", "known already"
    table.rebuild({A: grant()})
    assert client.ask(B) == "DUNNO"


def test_alone_a_start_is_a_wait(opened: Opener, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a refusal for now: of the clients that wait, those with a row get OK, in the order of their requests."""
    monkeypatch.setattr("pbs_fast.tables.policy.table.PATIENCE", 3600)
    caps = Limit()
    table = opened("policy?alone", caps=caps)
    assert isinstance(table, PolicyTable)
    first, second, gone = connect(), connect(), connect()
    first.send(request(A) + request(B) + request(A))
    second.send(request(B))
    gone.send(request(B))
    wait_for("requests", lambda: len(table._waiting) == 3)
    gone.socket.close()
    other = connect()
    assert other.ask(A, sasl_username="someone") == "DUNNO", "others are answered meanwhile"
    assert other.data(A) == "DUNNO"
    table.apply(Delta({SIX: grant()}))
    assert other.ask(SIX) == "OK"
    table.rebuild({A: grant()})
    assert [first.reply(), first.reply(), first.reply(), second.reply()] == ["OK", "DUNNO", "OK", "DUNNO"]
    assert other.ask(B) == "DUNNO"
    assert len(caps.counted) == 3
    assert table.asked == 8


def test_a_wait_ends_with_the_table_or_its_server(
    opened: Opener, connect: Connect, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    monkeypatch.setattr("pbs_fast.tables.policy.table.PATIENCE", 3600)
    table = opened("policy?alone")
    assert isinstance(table, PolicyTable)
    client = connect()
    client.send(request(A))
    wait_for("the request", lambda: len(table._waiting) == 1)
    (directory / "relay.sock").unlink()
    table.heartbeat()
    assert client.is_closed()
    again = connect()
    again.send(request(B))
    wait_for("the request", lambda: len(table._waiting) == 1)
    table.rebuild({A: grant()})
    assert again.reply() == "DUNNO", "it is not given the answer of the one before"
    table.close()
    assert again.is_closed()


def test_who_authenticated_is_never_ours(opened: Opener, connect: Connect) -> None:
    caps = Limit(0)
    table = policy(opened, caps=caps)
    client = connect()
    assert client.ask(A, sasl_username="someone") == "DUNNO"
    assert client.data(A, sasl_username="someone") == "DUNNO"
    assert (caps.counted, caps.noted, table.recipients, table.messages) == ([], [], 0, 0)


@pytest.mark.parametrize("state", ["CONNECT", "EHLO", "HELO", "MAIL", "VRFY", "ETRN", "END-OF-MESSAGE", "rcpt", ""])
def test_nothing_is_decided_or_counted_at_other_commands(state: str, opened: Opener, connect: Connect) -> None:
    caps = Limit(0)
    policy(opened, "policy?alone", caps=caps)
    assert connect().ask(A, protocol_state=state) == "DUNNO"
    assert caps.counted == []


def test_each_recipient_is_counted_once_and_each_message(opened: Opener, connect: Connect) -> None:
    caps = Limit()
    table = policy(opened, rows={A: grant(user=ANN), B: grant()}, caps=caps)
    one, other = connect(), connect()
    for client, address, instance, queue_id in (
        (one, A, "a.1", ""),
        (one, A, "a.1", "4ZpX1"),
        (other, B, "b.1", ""),
        (one, A, "a.1", "4ZpX1"),
        (one, A, "a.2", ""),
        (one, "198.51.100.1", "a.3", ""),
    ):
        client.ask(address, instance=instance, queue_id=queue_id)
    assert caps.counted == [
        (ANN, A, "a.1", "", True),
        (ANN, A, "a.1", "4ZpX1", False),
        (None, B, "b.1", "", True),
        (ANN, A, "a.1", "4ZpX1", False),
        (ANN, A, "a.2", "", True),
    ]
    assert (table.asked, table.recipients, table.messages) == (6, 5, 3)
    assert table.answers == {"ok": 5, "dunno": 1, "defer": 0, "hold": 0, "info": 0, "error": 0}
    assert table.requests == 6
    one.data(A, instance="a.1", queue_id="4ZpX1")
    one.data(A, instance="a.9", queue_id="4ZpX9")
    assert caps.noted == [(ANN, A, "a.1", "4ZpX1")], "the other one had no recipient of ours"


def test_over_a_cap_is_deferred_and_not_counted(opened: Opener, connect: Connect) -> None:
    caps = Limit(2)
    table = policy(opened, caps=caps)
    client = connect()
    answers = [client.ask(A, instance=instance) for instance in ("a.1", "a.1", "a.1", "a.2", "a.2")]
    assert answers == ["OK", "OK", *["DEFER 4.7.1 2 of 2 recipients in an hour"] * 3]
    assert (table.asked, table.recipients, table.messages) == (5, 2, 1)
    caps.counted.clear()
    assert client.ask(A, instance="a.2") == "OK", "the first accepted recipient of its message"
    assert caps.counted[-1] == (ANN, A, "a.2", "", True)


@pytest.mark.parametrize(("kind", "answer"), [("warn", "OK"), ("hold", "HOLD 1 of 1 recipients in an hour")])
def test_other_verdicts_accept_and_count(kind: str, answer: str, opened: Opener, connect: Connect) -> None:
    caps = Limit(1, kind)
    table = policy(opened, caps=caps)
    client = connect()
    assert [client.ask(A, instance="a.1"), client.ask(A, instance="a.2")] == ["OK", answer]
    assert (table.recipients, table.messages) == (2, 2)


def test_hold_needs_a_table_behind(opened: Opener, connect: Connect) -> None:
    with pytest.raises(UsageError, match=r'HOLD decides nothing.*caps.action = "defer"'):
        opened("policy?alone", caps=Limit(1, "hold"))
    caps = Limit(1, "hold")
    caps.holds = False  # and a reload changes it
    table = policy(opened, "policy?alone", caps=caps)
    client = connect()
    assert [client.ask(A), client.ask(A)] == ["OK", "DEFER 4.7.1 1 of 1 recipients in an hour"]
    assert table.recipients == 1


def test_a_network_is_charged_as_one(opened: Opener, connect: Connect) -> None:
    caps = Limit()
    policy(opened, "policy?prefix6=64", {SIX: grant()}, caps=caps)
    client = connect()
    assert [client.ask("2001:db8::a:b:c:d"), client.ask("2001:db8:0:1::6")] == ["OK", "DUNNO"]
    assert [address for _, address, *_ in caps.counted] == [SIX]


class Evening:
    """A clock that a test sets; grants of an hour."""

    def __init__(self, second: float = 1_700_000_000.0) -> None:
        self.second = second
        self.options: dict[str, Any] = {"clock": lambda: self.second, "now": lambda: self.second, "grace": 3600}

    def login(self, user: str | None) -> Grant:
        return grant(int(self.second) + 3600, user)

    @property
    def text(self) -> str:
        return time.strftime("%H:%M:%S", time.localtime(self.second))


def test_the_login_at_data(opened: Opener, connect: Connect) -> None:
    clock = Evening()
    table = policy(opened, rows={A: clock.login(ANN), B: clock.login(None)}, **clock.options)
    client = connect()
    first = clock.text
    assert client.data(A, queue_id="4ZpX1") == f"INFO pbs-fast: login={ANN} since={first}"
    assert client.data(B) == f"INFO pbs-fast: login=- since={first}"
    assert client.data("198.51.100.1") == "DUNNO"
    clock.second += 600
    table.apply(Delta({A: clock.login("bob")}))
    clock.second += 600
    table.apply(Delta({A: clock.login("cid")}))
    assert client.data(A) == f"INFO pbs-fast: login=cid (2 more) since={clock.text}"
    clock.second += 60
    table.apply(Delta({A: clock.login(ANN)}))
    assert client.data(A) == f"INFO pbs-fast: login={ANN} (2 more) since={clock.text}", "nobody is counted twice"
    last = clock.text
    clock.second += 3600 - 120
    assert client.data(A) == f"INFO pbs-fast: login={ANN} (1 more) since={last}", "bob was there over an hour ago"
    table.rebuild({A: clock.login(ANN)})
    assert client.data(A) == f"INFO pbs-fast: login={ANN} (1 more) since={clock.text}"


def test_a_clock_that_is_set_moves_no_login_before(opened: Opener, connect: Connect) -> None:
    clock, ahead = Evening(), 0
    clock.options |= {"clock": lambda: clock.second + ahead, "wall": lambda second: second + ahead}
    table = policy(opened, rows={A: (row := clock.login(ANN))}, **clock.options)
    assert table._rows.exact[A] is row, "nothing is made for a row that nobody asks for"
    before = clock.text
    ahead = 7200
    table.apply(Delta({B: clock.login("bob")}))
    client = connect()
    assert client.data(A) == f"INFO pbs-fast: login={ANN} since={before}"
    set_forward = time.strftime("%H:%M:%S", time.localtime(clock.second + ahead))
    assert client.data(B) == f"INFO pbs-fast: login=bob since={set_forward}"


def test_a_row_that_a_session_keeps_tells_when_it_was_heard_of(opened: Opener, connect: Connect) -> None:
    clock = Evening()
    table = policy(opened, rows={A: grant(int(clock.second) + 86_400, ANN, "session")}, **clock.options)
    heard = clock.text
    clock.second += 60
    table.apply(Delta({A: grant(int(clock.second) + 86_400, ANN, "session")}))
    assert connect().data(A) == f"INFO pbs-fast: login={ANN} since={heard}"


def test_at_data_the_login_is_the_one_that_was_counted(opened: Opener, connect: Connect) -> None:
    clock, caps = Evening(), Limit()
    table = policy(opened, rows={A: clock.login(ANN)}, caps=caps, **clock.options)
    client = connect()
    assert client.ask(A, instance="a.1") == "OK"
    table.apply(Delta({}, (A,)))
    assert client.data(A, instance="a.1", queue_id="4ZpX1").startswith(f"INFO pbs-fast: login={ANN} since=")
    assert caps.noted == [(ANN, A, "a.1", "4ZpX1")]
    assert client.data(A, instance="a.2") == "DUNNO"


@pytest.mark.parametrize("user", ["a\n\naction=OK", "ann\r\nx", "a b", "ä\u202e", "x" * 300, "(2 more) since=1"])
def test_a_user_cannot_forge_an_answer(user: str, opened: Opener, connect: Connect) -> None:
    caps = Limit(0)
    policy(opened, rows={A: grant(user=user)}, caps=caps)
    client = connect()
    answer = client.data(A)
    assert re.fullmatch(r"INFO pbs-fast: login=[!-~]{1,254} since=[0-9:]{8}", answer), answer
    assert client.ask(A).startswith("DEFER 4.7.1 ")
    assert client.ask(B) == "DUNNO", "the answers are still in step"


def test_messages_under_way_are_bounded(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.tables.policy.table._MESSAGES", 3)
    table = policy(opened)
    for number in range(10):
        table.answer(request(A, instance=f"a.{number}")[:-2])
    assert list(table._accepted) == ["a.7", "a.8", "a.9"]


@pytest.mark.parametrize("kind", ["policy", "policy?alone"])
def test_a_fault_of_ours_answers_nothing(
    kind: str, opened: Opener, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Postfix then takes the default action of the clause."""
    caps = Limit()
    table = policy(opened, kind, caps=caps)
    other = connect()
    assert other.ask(B) == "DUNNO"
    caps.fault = ZeroDivisionError("no\nluck")
    for _ in range(3):
        client = connect()
        client.send(request(A))
        assert client.is_closed()
    assert other.ask(B) == "DUNNO", "the thread goes on, and so do other clients"
    assert table.answers["error"] == 3
    assert table.recipients == 0
    assert len(caplog.records) == 1
    assert "ZeroDivisionError: no" in caplog.text
    caps.fault = None
    assert connect().ask(A) == "OK"


@pytest.mark.parametrize(
    "junk",
    [
        b"16:pbs 198.51.100.7,\n\n",
        b"GET / HTTP/1.0\r\nHost: x\n\n",
        b"protocol_state=RCPT\nclient_address=203.0.113.5\n\n",
        request(A, request="junk"),
        request(A, helo_name="x" * 20_000),
        b"x" * 20_000,
        b"\n\n",
    ],
)
@pytest.mark.parametrize("kind", ["policy", "policy?alone"])
def test_what_is_no_request_is_never_answered(kind: str, junk: bytes, opened: Opener, connect: Connect) -> None:
    policy(opened, kind)
    good, bad = connect(), connect()
    assert good.ask(A) == "OK"
    bad.send(junk)
    assert bad.is_closed()
    assert good.ask(A) == "OK"


def test_many_requests_in_one_piece_and_one_in_many(opened: Opener, connect: Connect) -> None:
    policy(opened)
    client = connect()
    count = 5_000
    sender = threading.Thread(target=client.send, args=(request(A) * count,))
    sender.start()
    assert all(client.reply() == "OK" for _ in range(count))
    sender.join()
    for byte in request(A):
        client.send(bytes([byte]))
    assert client.reply() == "OK"


def test_slow_and_silent_clients_hold_nobody_up_and_end(
    opened: Opener, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pbs_fast.serving.port.STALLED", 0.3)
    monkeypatch.setattr(serving, "_SWEEP", 0.1)
    table = policy(opened)
    good, half, deaf, silent = connect(), connect(), connect(), connect()
    half.send(request(A)[:40])
    deaf.socket.settimeout(0.2)
    with pytest.raises(OSError, match=r"timed out|Broken pipe|reset"):
        _send_for_ever(deaf)
    assert good.ask(A) == "OK"
    assert half.is_closed()
    deaf.socket.settimeout(60)
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        _send_for_ever(deaf)
    assert silent.ask(A) == "OK", "an idle one stays"
    assert table.clients == 2


def _send_for_ever(client: Client) -> None:
    while True:
        client.send(request(A) * 1000)


def test_clients_that_close_their_half_are_answered(opened: Opener, connect: Connect) -> None:
    policy(opened)
    client = connect()
    client.send(request(A))
    client.socket.shutdown(socket.SHUT_WR)
    assert client.reply() == "OK"
    assert client.is_closed()


def test_hundreds_of_clients(opened: Opener, connect: Connect) -> None:
    policy(opened)
    clients = [connect() for _ in range(300)]
    for client in clients:
        client.send(request(A))
    assert all(client.reply() == "OK" for client in clients)


def test_only_postfix_may_ask(opened: Opener, directory: Path) -> None:
    """The answers name users, and whoever asks counts."""
    import grp

    policy(opened)
    found = (directory / "relay.sock").stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert grp.getgrgid(found.st_gid).gr_name == GROUP
    opened.close()
    opened("policy?mode=0600&group=mail")
    found = (directory / "relay.sock").stat()
    assert (stat.S_IMODE(found.st_mode), grp.getgrgid(found.st_gid).gr_name) == (0o600, "mail")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("policy:", "write policy:unix:PATH or policy:inet:HOST:PORT"),
        ("policy:pbs/policy", "write policy:unix:PATH or policy:inet:HOST:PORT"),
        ("policy:unix:pbs/policy:pbs", "write policy:unix:PATH or policy:inet:HOST:PORT"),
        ("policy:unix:/x/a b", "write policy:unix:PATH or policy:inet:HOST:PORT"),
        ("policy:unix:/x/a,b", "write policy:unix:PATH or policy:inet:HOST:PORT"),
        ("policy:inet:192.0.2.1:9998", "192.0.2.1 is not a loopback address"),
        ("policy:inet:127.0.0.1:0", "there is no port 0"),
        ("policy:inet:127.0.0.1:9998?mode=0600", "are for unix: sockets"),
        ("policy:unix:/x/sock?prefix6=65", "needs a number from 56 to 64"),
        ("policy:unix:/x/sock?alone=yes", "write the option alone once, as alone"),
        ("policy:unix:/x/sock?alone&alone", "write the option alone once, as alone"),
        ("policy:unix:/x/sock?mode", "write the option mode once, as mode=VALUE"),
        ("socketmap:unix:/x/sock:pbs?alone", "has no option 'alone'"),
    ],
)
def test_bad_endpoints_are_named(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_table(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["policy", "socketmap"])
def test_a_socket_that_another_program_listens_on_is_left(kind: str, opened: Opener, directory: Path) -> None:
    path = directory / "relay.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(os.fspath(path))
        other.listen(0)
        with pytest.raises(TableError, match=f"another program listens on {path}"):
            opened(kind)
        full = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for each in full:
            each.setblocking(False)
            each.connect_ex(os.fspath(path))
        with pytest.raises(TableError, match=f"another program listens on {path}"):
            opened(kind)
        for each in full:
            each.close()
    assert [each.name for each in directory.iterdir() if each.name != "relay.sock.owner"] == ["relay.sock"]
    opened(kind)


def test_a_socket_from_systemd_is_found_by_its_place(directory: Path) -> None:
    (directory / "link").symlink_to(directory)
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        unix.bind(os.fspath(directory / "relay.sock"))
        handed = {"4": four, "6": six, "u": unix}
        port4, port6 = four.getsockname()[1], six.getsockname()[1]
        for spec, name in (
            (f"policy:unix:{directory}/relay.sock", "u"),
            (f"policy:unix:relay.sock?queue={directory}/link", "u"),
            (f"socketmap:unix:{directory}/relay.sock:pbs", "u"),
            (f"policy:inet:127.0.0.1:{port4}", "4"),
            (f"socketmap:inet:[::1]:{port6}:pbs", "6"),
            (f"policy:inet:127.0.0.2:{port4}", None),
            (f"policy:inet:127.0.0.1:{port4 - 1}", None),
            (f"policy:unix:{directory}/other.sock", None),
        ):
            assert endpoint.parse(parse(spec)).find(handed) == name, spec


@pytest.mark.parametrize("kind", ["policy", "socketmap"])
def test_a_socket_from_systemd_stays_and_its_clients_wait(kind: str, directory: Path, opened: Opener) -> None:
    path, asked = directory / "relay.sock", request(A) if kind == "policy" else b"15:pbs 203.0.113.5,"
    with socket.socket(socket.AF_UNIX) as given:
        given.bind(os.fspath(path))
        given.listen()
        for _ in range(2):
            table = open_table(opened.spec(kind), options=TableOptions(listener=given.dup()))
            try:
                waiting = socket.socket(socket.AF_UNIX)
                waiting.connect(os.fspath(path))
                table.rebuild({A: grant()})
                for _ in range(2):
                    waiting.sendall(asked)
                    assert b"OK" in waiting.recv(100)
                    table.heartbeat()
                waiting.close()
                assert isinstance(table, ServedTable)
                table._server.close()  # as if its thread had ended
                table.heartbeat()
                again = Client(path)
                again.send(asked)
                assert b"OK" in again.socket.recv(100)
                again.socket.close()
            finally:
                table.close()
            assert path.exists()
        early = Client(path)
        early.send(asked)
        table = open_table(opened.spec(kind), options=TableOptions(listener=given.dup()))
        try:
            table.rebuild({A: grant()})
            assert early.socket.recv(100)
        finally:
            table.close()
            early.socket.close()
    assert [each.name for each in directory.iterdir()] == ["relay.sock"], "no lock either: it is systemd's"

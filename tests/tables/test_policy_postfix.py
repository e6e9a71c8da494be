"""`policy:` asked by real smtpds, in front of a table (way A) and alone (way B), the daemon in every state."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.running import Site, login
from mta import wait_for
from mta.postfix import ELSEWHERE, LOCAL, Postfix, Reply, Session, asks, require_postfix, running
from pbs_fast.events import Delta
from pbs_fast.tables import TableOptions, open_table
from tables.conftest import Opener, grant
from tables.policy import Limit

A, B, OTHER = "203.0.113.5", "203.0.113.6", "203.0.113.99"
ANN = "ann@here.test"
#: Seconds in the clause; Postfix tries twice, a second apart (smtpd_policy_service_try_limit, _retry_delay).
TIMEOUT = 2
DEFAULTS = {"A": "default_action=DUNNO", "B": "{ default_action = 451 4.3.0 relay check is not available }"}
ways = pytest.mark.parametrize("way", ["A", "B"])


class Asked:
    """The real daemon, and the Postfix that asks it as the guide says."""

    def __init__(self, directory: Path, way: str, timeout: int = TIMEOUT, **options: object) -> None:
        require_postfix("lmdb")
        self.way = way
        self.site = Site(directory)
        self.path = directory / "policy"
        if way == "B":
            self.site.spec = f"policy:unix:{self.path}?alone"
        clause = asks(f"policy:unix:{self.path}", DEFAULTS[way]).replace("timeout=5s", f"timeout={timeout}s")
        data = f"smtpd_data_restrictions = {asks(f'policy:unix:{self.path}', DEFAULTS['A'])}"
        table = f"check_client_access lmdb:{directory}/relay, " if way == "A" else ""
        relay = f"permit_auth_destination, {clause}, {table}reject_unauth_destination"
        self.postfix = Postfix("", restrictions=relay, main_cf=[data], smtpd_limit=4, **options)  # type: ignore[arg-type]

    def start(self, listener: socket.socket | None = None) -> None:
        """The daemon, ready."""
        self.daemon = self.site.start(*self.options, listener=listener)

    @property
    def options(self) -> list[str]:
        return [f"--table=policy:unix:{self.path}"] if self.way == "A" else []

    def log_in(self, client: str, user: str = ANN) -> None:
        """And wait until they may relay."""
        self.site.append(login(client, user))
        wait_for(f"{client} may relay", lambda: self.postfix.rcpt(client).relayed)

    def asks_failed(self) -> int:
        """How often an smtpd had no answer so far."""
        return self.postfix.logged().count("problem talking to server")

    def refused(self, reply: Reply) -> bool:
        """Whether a client without row gets what it should while the daemon does not answer."""
        return reply.denied if self.way == "A" else reply.code == 451

    def kept(self, reply: Reply) -> bool:
        """Whether a client with row gets what it should then."""
        return reply.relayed if self.way == "A" else reply.code == 451

    def close(self) -> None:
        self.site.close()
        self.postfix.stop()
        self.postfix.remove()


@pytest.fixture
def asked(way: str, directory: Path) -> Iterator[Asked]:
    asked = Asked(directory, way)
    try:
        asked.start()
        asked.postfix.start()
        yield asked
    finally:
        asked.close()


def timed(session: Session, recipient: str = ELSEWHERE) -> tuple[Reply, float]:
    begun = time.monotonic()
    reply = session.rcpt(recipient)
    return reply, time.monotonic() - begun


@ways
def test_alive(asked: Asked) -> None:
    assert asked.postfix.rcpt(A).denied
    asked.log_in(A)
    assert asked.postfix.rcpt(OTHER).denied
    asked.site.append(login("2001:db8::6", "six"))
    wait_for("IPv6", lambda: asked.postfix.rcpt("2001:db8::6").relayed)
    assert asked.postfix.rcpt("2001:db8::7").denied
    with asked.postfix.session(OTHER) as session:
        assert session.rcpt(f"bob@{LOCAL}").code == 250
        assert session.data().code == 250
    assert asked.asks_failed() == 0


@ways
def test_the_login_is_in_the_log_beside_the_queue_id(asked: Asked) -> None:
    asked.log_in(A)
    with asked.postfix.session(A) as session:
        assert session.rcpt().relayed
        assert session.rcpt(f"bob@{LOCAL}").relayed
        queue_id = session.data().text.rpartition("queued as ")[2].strip()
    with asked.postfix.session(OTHER) as session:
        assert session.rcpt(f"bob@{LOCAL}").relayed
        other = session.data().text.rpartition("queued as ")[2].strip()
    pattern = rf"{queue_id}: info: DATA from \S*\[{A}\]: pbs-fast: login={ANN} since=[0-9:]{{8}}; from=<"
    wait_for("the line", lambda: re.search(pattern, asked.postfix.logged()))
    assert f"{other}: info" not in asked.postfix.logged()


@ways
def test_dead(asked: Asked) -> None:
    """A second, then the table decides, or a temporary refusal; mail to own domains waits for nothing."""
    asked.log_in(A)
    with asked.postfix.session(A) as session:
        asked.daemon.kill()
        assert session.rcpt(f"bob@{LOCAL}").code == 250
        assert asked.asks_failed() == 0
        reply, seconds = timed(session)
        assert asked.kept(reply), reply
        assert 0.9 <= seconds < 30
        assert asked.asks_failed() > 0
    with asked.postfix.session(OTHER) as session:
        assert asked.refused(session.rcpt())
        before = asked.asks_failed()
        assert session.rcpt(f"bob@{LOCAL}").code == 250
        assert asked.asks_failed() == before
        assert session.data().code == 250, "asked about, and taken in any case"
        assert asked.asks_failed() > before
    asked.start()
    assert asked.postfix.rcpt(A).relayed
    assert asked.postfix.rcpt(OTHER).denied


@pytest.mark.parametrize("way", ["B"])
def test_dead_and_asked_about_fewer_messages_at_data(asked: Asked) -> None:
    """As the guide says: a message with one recipient in our own domains is not asked about."""
    config = asked.postfix.config / "main.cf"
    lines = config.read_text().splitlines(keepends=True)
    fewer = "permit_mynetworks, permit_sasl_authenticated, permit_auth_destination, check_policy_service"
    config.write_text(
        "".join(
            line.replace("check_policy_service", fewer) if line.startswith("smtpd_data_restrictions") else line
            for line in lines
        )
    )
    asked.postfix.forget_changes()
    asked.postfix.reload()
    asked.log_in(A)
    wait_for("the login at DATA", lambda: _sent(asked, A, ELSEWHERE) and "info: DATA" in asked.postfix.logged())
    asked.daemon.kill()
    before = asked.asks_failed()
    assert _sent(asked, OTHER, f"bob@{LOCAL}")
    assert asked.asks_failed() == before


def _sent(asked: Asked, client: str, recipient: str) -> bool:
    with asked.postfix.session(client) as session:
        return session.rcpt(recipient).code == 250 and session.data().code == 250


@ways
def test_hung(asked: Asked) -> None:
    """Twice the time limit of the clause and a second (smtpd_policy_service_retry_delay), then as if it were dead."""
    asked.log_in(A)
    with asked.postfix.session(A) as session:
        assert session.rcpt().relayed
        asked.daemon.send(signal.SIGSTOP)
        try:
            assert session.rcpt(f"bob@{LOCAL}").code == 250
            assert asked.asks_failed() == 0
            reply, seconds = timed(session)
            assert asked.kept(reply), reply
            assert 2 * TIMEOUT <= seconds < 2 * TIMEOUT + 30
        finally:
            asked.daemon.send(signal.SIGCONT)
        wait_for("answers again", lambda: session.rcpt().relayed)


@ways
def test_restarted(asked: Asked) -> None:
    """In the middle of a session, whose connection to us ends: the next question is answered as before."""
    asked.log_in(A)
    with asked.postfix.session(A) as session, asked.postfix.session(OTHER) as stranger:
        assert session.rcpt().relayed
        assert stranger.rcpt().denied
        assert asked.daemon.stop() == 0
        asked.start()
        assert session.rcpt().relayed
        assert stranger.rcpt().denied


@ways
def test_restarted_under_socket_activation(way: str, directory: Path) -> None:
    """The listener is systemd's, so the question waits for the daemon, and is answered."""
    asked = Asked(directory, way, timeout=30)  # a busy machine starts the daemon in some seconds
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(asked.path))
        listener.listen()
        asked.path.chmod(0o666)
        try:
            asked.start(listener)
            assert "served on the socket policy from systemd" in asked.site.said()
            asked.postfix.start()
            asked.log_in(A)
            with asked.postfix.session(A) as session, ThreadPoolExecutor(1) as pool:
                assert session.rcpt().relayed
                assert asked.daemon.stop() == 0
                assert asked.path.exists(), "it is systemd's"
                reply = pool.submit(session.rcpt)
                time.sleep(0.5)
                assert not reply.done()
                asked.start(listener)
                assert reply.result(60).relayed
            assert asked.postfix.rcpt(OTHER).denied
            assert sorted(each.name for each in directory.glob("policy*")) == ["policy"], "it needs no lock"
        finally:
            asked.close()


@pytest.mark.parametrize("limit", [1, 20])
def test_of_300_recipients_exactly_200_are_accepted(limit: int, opened: Opener) -> None:
    """By one smtpd and by 20 at once; the others are deferred, and mail to own domains is not counted."""
    require_postfix("lmdb")
    caps = Limit(200)
    table = opened("policy", caps=caps)
    table.rebuild({A: grant(user=ANN)})
    with running(table.spec, smtpd_limit=limit) as postfix:

        def send(recipients: int) -> list[int]:
            with postfix.session(A) as session:
                codes = []
                for number in range(recipients):
                    codes.append(session.rcpt(f"friend{number}@elsewhere.test").code)
                    assert session.rcpt(f"bob@{LOCAL}").code == 250
                return codes

        with ThreadPoolExecutor(limit) as pool:
            found = list(pool.map(send, [300 // limit] * limit))
        codes = [code for codes in found for code in codes]
        assert codes.count(250) == 200
        assert codes.count(450) == 100
        if limit == 1:
            assert codes == [250] * 200 + [450] * 100
            assert len(set(postfix.smtpd_pids())) == 1
        assert sum(new for *_, new in caps.counted) == len([codes for codes in found if 250 in codes])
        with postfix.session(A) as session:
            reply = session.rcpt()
            assert (reply.code, reply.text) == (
                450,
                f"4.7.1 <{ELSEWHERE}>: Recipient address rejected: 200 of 200 recipients in an hour",
            )


def test_who_authenticated_is_not_asked_about(opened: Opener) -> None:
    """Behind permit_sasl_authenticated not at all; before it the answer leaves them to it."""
    caps = Limit(0)
    table = opened("policy?alone", caps=caps)
    require_postfix("lmdb")
    table.rebuild({A: grant()})
    for order in ("permit_sasl_authenticated, {}", "{}, permit_sasl_authenticated"):
        restrictions = f"permit_auth_destination, {order.format(asks(table.spec))}, reject_unauth_destination"
        with running("", restrictions=restrictions, main_cf=["smtpd_sasl_auth_enable = yes"]) as postfix:
            assert postfix.rcpt(A).code == 450
            with postfix.session(A, login="ann") as session:
                assert session.rcpt().relayed
    assert caps.counted == []


def test_hold_keeps_the_message_and_the_table_decides(opened: Opener) -> None:
    require_postfix("lmdb")
    caps = Limit(1, "hold")
    table, behind = opened("policy", caps=caps), opened("lmdb")
    for each in (table, behind):
        each.rebuild({A: grant(user=ANN)})
    relay = f"permit_auth_destination, {asks(table.spec)}, {asks(behind.spec)}, reject_unauth_destination"
    with running("", restrictions=relay) as postfix:
        with postfix.session(A) as session:
            assert session.rcpt().relayed
            assert session.rcpt("second@elsewhere.test").relayed
            queue_id = session.data().text.rpartition("queued as ")[2].strip()
        assert (postfix.directory / "queue" / "hold" / queue_id).exists()
        assert f"{queue_id}: hold: RCPT from" in postfix.logged()
        assert postfix.rcpt(OTHER).denied


def test_from_within_a_chroot_below_the_queue_directory() -> None:
    require_postfix("lmdb")
    with running("policy:unix:pbs/policy", chroot=True) as postfix:
        queue = postfix.directory / "queue"
        (queue / "pbs").mkdir()
        table = open_table(f"policy:unix:pbs/policy?alone&queue={queue}", options=TableOptions())
        try:
            assert table.spec == "policy:unix:pbs/policy", "the same words for both"
            table.rebuild({A: grant()})
            assert postfix.rcpt(A).relayed
            table.apply(Delta({}, (A,)))
            assert postfix.rcpt(A).denied
        finally:
            table.close()

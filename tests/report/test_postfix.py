"""A real Postfix's own log: several recipients, deferred and bounced ones, AUTH, the policy service's words."""

from __future__ import annotations

import smtplib
import socket
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mta import free_port, require, wait_for
from mta.postfix import LOCAL, Postfix, require_postfix, running
from pbs_fast.matching.backends import load_backend
from report.conftest import look

pytestmark = pytest.mark.system

CLIENT = "203.0.113.77"


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, str]]:
    """Two other hosts, one that takes mail and one that refuses each recipient: sinks on an address of this machine
    that is not the loopback's, as Postfix writes it."""
    sink = require("smtp-sink", "Postfix's smtp-sink")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the system says which of its addresses it would use.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but the loopback's")
        address = probe.getsockname()[0]
    ports = free_port(), free_port()
    command = [sink, "-u", "nobody"]
    with (
        subprocess.Popen([*command, f"{address}:{ports[0]}", "10"]) as taking,
        subprocess.Popen([*command, "-f", "RCPT", f"{address}:{ports[1]}", "10"]) as refusing,
    ):
        try:
            yield f"[{address}]:{ports[0]}", f"[{address}]:{ports[1]}"
        finally:
            taking.terminate()
            refusing.terminate()


def start(postfix: Postfix, elsewhere: tuple[str, str]) -> int:
    """Give it a client for other hosts and a submission service, whose port is returned, and start it."""
    port = free_port()
    main, master = postfix.config / "main.cf", postfix.config / "master.cf"
    transports = postfix.config / "transport"
    dead = f"dead.test smtp:[127.0.0.2]:{free_port()}"
    transports.write_text(f"far.test smtp:{elsewhere[0]}\n{dead}\nbad.test smtp:{elsewhere[1]}\n")
    main.write_text(main.read_text() + f"transport_maps = texthash:{transports}\n")
    master.write_text(
        master.read_text()
        + "smtp unix - - n - - smtp\nerror unix - - n - - error\nretry unix - - n - - error\n"
        + f"127.0.0.1:{port} inet n - n - - smtpd -o syslog_name=postfix/submission\n"
    )
    postfix.start()
    return port


def submit(port: int, client: str, recipients: list[str], *, login: str = "", helo: str = "scanner.test") -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
        smtp.ehlo(helo)
        attributes = f"ADDR={client} NAME=[UNAVAILABLE] HELO={helo}" + (f" LOGIN={login}" if login else "")
        assert smtp.docmd("XCLIENT", attributes)[0] == 220
        smtp.ehlo(helo)
        smtp.mail("me@here.test")
        for recipient in recipients:
            assert smtp.rcpt(recipient)[0] == 250
        assert smtp.data("Subject: x\r\n\r\nx\r\n")[0] == 250


@pytest.mark.parametrize("long_ids", ["yes", "no"])
def test_what_a_real_postfix_writes(tmp_path: Path, elsewhere: tuple[str, str], long_ids: str) -> None:
    require_postfix("lmdb")
    settings = [
        f"enable_long_queue_ids = {long_ids}",
        "smtpd_data_restrictions = check_client_access static:{INFO pbs-fast: login=anna@example.org since=10:12:17}",
        "smtp_connect_timeout = 5s",
        "minimal_backoff_time = 1h",
    ]
    with running("static:OK", start=False, main_cf=settings, smtpd_limit=10) as postfix:
        submission = start(postfix, elsewhere)
        submit(postfix.port, CLIENT, ["a@far.test", "b@far.test", f"c@{LOCAL}"])
        submit(postfix.port, CLIENT, ["a@dead.test", "b@dead.test"])
        submit(postfix.port, CLIENT, [f"d@{LOCAL}"])
        submit(postfix.port, CLIENT, ["e@bad.test"])
        submit(submission, CLIENT, ["a@far.test"], login="anna@example.org")
        submit(postfix.port, "203.0.113.99", ["a@far.test"])

        def done() -> bool:
            log = postfix.logged()
            # The message of who authenticated is one of three to this address, in any order.
            far = log.count("to=<a@far.test>, ") >= 3
            return (
                far and log.count("status=sent") >= 6 and log.count("status=deferred") >= 2 and "status=bounced" in log
            )

        wait_for("the deliveries", done, seconds=60)
        log = postfix.logged()
    when = datetime.fromtimestamp(time.time() - 120, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mail, pop = tmp_path / "mail.log", tmp_path / "pop.log"
    mail.write_text(log)
    said = f"imap-login: Login: user=<anna@example.org>, method=PLAIN, rip={CLIENT}, lip=192.0.2.1, TLS"
    pop.write_text(f"{when} hub dovecot: {said}\n")
    found = look(load_backend(), [mail, pop], now=int(time.time()), zone=None)
    anna = next(login for login in found.logins if login.name == "anna@example.org")
    assert (found.ways["grant"], found.ways["auth"], found.ways["mynetworks"]) == (3, 1, 0), log
    assert (anna.messages, anna.certain, anna.recipients, anna.verdict) == (3, 3, 5, "can"), log
    assert anna.hosts == ("scanner.test",)
    assert 100 < anna.longest < 400

"""The commands that ask the real daemon: `status`, `why`, `list`, `revoke`, `grant`, `queue`, `reload`."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from control.test_status_schema import SCHEMA, faults
from daemon.conftest import a_place
from daemon.running import PATIENCE, PROGRAM, Site, login, noise, pbs
from mta import wait_for
from mta.postfix import require_postfix, running
from pbs_fast.cli import main
from pbs_fast.control import client

A, B, C, D = "203.0.113.1", "203.0.113.2", "2001:db8::3", "203.0.113.4"


def ask(site: Site, *words: str, code: int = 0) -> str:
    """What a command prints; it must end with this status and, but for 1, say nothing on standard error."""
    done = pbs(words[0], f"--config={site.config}", *words[1:])
    assert done.returncode == code, (words, done.stdout, done.stderr)
    assert code == 1 or done.stderr == "", done.stderr
    return done.stdout


def test_an_address_from_login_to_revoke(site: Site) -> None:
    now = time.time()
    site.cover()
    old = Path(f"{site.log}.1.gz")
    # The login is in a compressed file, which the daemon and the command read at different times.
    old.write_bytes(gzip.compress(f"{noise(now - 1000)}\n{login(A, 'anna@example.org', at=now - 900)}\n".encode()))
    site.log.write_text(f"{noise(now - 800)}\n{login(B, 'bert', at=now - 700)}\n")
    os.utime(old, (now - 800, now - 800))
    daemon = site.start(f"--watchlog={site.log}")
    site.append(login(C, "anna@example.org"))
    site.wait_rows(A, B, C)

    text = ask(site, "status")
    assert f"pid {daemon.pid}" in text
    assert "3 addresses may relay: 3 by our logs" in text
    assert f"{site.log} " in text
    assert faults(json.loads(ask(site, "status", "--json")), SCHEMA) == []

    text = ask(site, "why", A)
    assert f"\n            {old}:2\n" in text
    assert "anna@example.org logged in at" in text
    assert f'tables    {site.spec} "ok"' in text
    assert f"({site.log}:3)" in ask(site, "why", "ANNA@example.org")
    assert f"{D} may not relay: no row, no refusal, and no login in the logs since" in ask(site, "why", D, code=3)

    rows = [json.loads(line) for line in ask(site, "list", "--json", "--sort=since").splitlines()]
    assert [(row["ip"], row["user"]) for row in rows] == [(A, "anna@example.org"), (B, "bert"), (C, "anna@example.org")]
    assert [line.split()[0] for line in ask(site, "list").splitlines()] == ["ADDRESS", A, B, C]

    assert ask(site, "revoke", "anna@example.org", "--for=1h").startswith("revoked 2 addresses of anna@example.org: ")
    site.wait_rows(B)
    text = ask(site, "why", A, code=3)
    assert text.startswith(f"{A} may not relay\n")
    assert f"to end it: pbs-fast revoke --config={site.config} --undo anna@example.org" in text
    text = ask(site, "why", "anna@example.org", code=3)
    assert f"to end it: pbs-fast revoke --config={site.config} --undo anna@example.org" in text
    assert "\n  revoked   " in text
    done = pbs("revoke", f"--config={site.config}", "bart")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "knows no login of bart; the denial holds all the same; nearest: bert" in done.stderr
    ask(site, "revoke", "--undo", "bart")
    site.append(login(D, "Anna@example.org"))
    wait_for("the refusal", lambda: "by the guard deny" in ask(site, "why", D, code=3), seconds=PATIENCE)
    text = ask(site, "why", D, code=3)
    assert "nothing denies it any more" not in text
    assert "denied    anna@example.org until " in text
    ask(site, "revoke", "--undo", "anna@example.org")
    assert ask(site, "grant", D, "--for=10m", "--reason=ticket 4711").startswith(f"{D} may relay until ")
    site.wait_rows(B, D)
    assert "(uid=" in (text := ask(site, "why", D))
    assert "): ticket 4711\n" in text
    assert '"reason": "ticket 4711"' in ask(site, "list", "--json")
    text = ask(site, "why", "anna@example.org", code=3)
    assert "--undo" not in text
    assert "nothing denies it any more" in text
    assert "1 granted by hand" in ask(site, "status")
    ask(site, "reload")
    assert "reload" not in ask(site, "status")
    site.deny.write_text("x = 1")
    text = ask(site, "reload", code=1)
    assert text.startswith("reload failed, the previous settings stay in force: ")
    assert text.count("\n") == 1
    for words in (("status",), ("why", "192.0.2.99")):
        assert "reload failed, the previous settings stay in force: " in ask(site, *words, code=3)
    site.deny.write_text("")
    ask(site, "reload")
    assert "reload" not in ask(site, "status")

    shutil.move(site.log, site.place / "elsewhere")

    def missing() -> bool:
        said = pbs("status", f"--config={site.config}").stdout
        return "MISSING" in said and "does not exist" in said

    wait_for("the missing log", missing, seconds=PATIENCE)
    ask(site, "status", code=3)
    daemon.stop()
    assert "the daemon was not asked" in ask(site, "why", B, code=1)
    assert ask(site, "status", code=1) == ""


def test_a_grant_that_cannot_be_written(site: Site) -> None:
    """Not in the table is no right to relay, whether an address or its user is asked about; what is in it stays."""
    site.start()
    site.append(login(A, "anna"))
    site.wait_rows(A)
    with site.file.open("r+b") as reader:
        fcntl.lockf(reader, fcntl.LOCK_SH)  # a reader that hangs
        site.append(login(B, "bert"))
        wait_for("the failure", lambda: "FAILING" in pbs("why", f"--config={site.config}", B).stdout, seconds=PATIENCE)
        for who in (B, "bert"):
            text = ask(site, "why", who, code=3)
            assert f"but the MTA may not know: {site.spec} cannot be written\n" in text
            assert "FAILING: " in text
        for who in (A, "anna"):
            assert "may not know" not in ask(site, "why", who)
    for who in (B, "bert"):
        wait_for("the row", lambda who=who: not pbs("why", f"--config={site.config}", who).returncode, seconds=PATIENCE)  # type: ignore[misc]


def test_a_daemon_that_hangs(site: Site, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    # A stopped process answers never, so ten seconds tell no more than half a second.
    monkeypatch.setattr(client.ask, "__kwdefaults__", {"patience": 0.5})
    daemon = site.start()
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        status = main(["status", f"--config={site.config}"])
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    out, err = capfd.readouterr()
    assert (status, out) == (4, "")
    assert err.count("\n") == 1
    assert err.endswith("; the whole process is stopped or hangs\n")


def test_list_of_a_table_in_memory(site: Site) -> None:
    memory = f"socketmap:unix:{site.place}/sock:pbs"
    site.configure(f'dbfile = "{memory}"\n')
    site.spec = memory
    site.start()
    site.append(login(A, "anna"))
    wait_for("the row", lambda: A in pbs("list", f"--config={site.config}").stdout, seconds=PATIENCE)
    assert A in ask(site, "list", f"--dbfile={memory}")


@pytest.mark.parametrize("option", ["--dbfile", "--table"])
def test_list_reads_the_table_that_is_named(site: Site, option: str) -> None:
    site.start()
    site.append(login(A))
    site.wait_rows(A)
    done = pbs("list", f"--config={site.config}", f"{option}={site.spec}", "--dbfile=" + site.spec)
    assert done.stdout.count(f"\t{A}\n") >= 1


def test_the_queue_of_a_user_at_a_real_postfix() -> None:
    require_postfix("lmdb")
    with a_place("lmdb") as site:
        site.start().stop()
        with running(site.spec, main_cf=["defer_transports = discard", "in_flow_delay = 0"]) as postfix:
            site.configure(f'watchlog = ["{site.log}", "{postfix.log}"]\npostconf = "postconf -c {postfix.config}"\n')
            daemon = site.start(f"--watchlog={postfix.log}")
            for ip, user in [(A, "mallory"), (B, "bert")]:
                site.append(login(ip, user))
                site.wait_rows(*([A] if ip == A else [A, B]))
                with postfix.session(ip) as client:
                    assert client.rcpt().relayed
                    assert client.data().code == 250
            done = pbs("queue", f"--config={site.config}", "MALLORY", "--since=1h")
            assert done.returncode == 0, done.stderr
            (queue_id,) = done.stdout.split()
            assert f"{queue_id}: client=unknown[{A}]" in postfix.log.read_text()
            assert done.stderr.endswith("1 message of MALLORY, 1 of them still queued\n")
            assert "1 message since" in pbs("why", f"--config={site.config}", A).stdout
            daemon.kill()
            postsuper = ["postsuper", "-c", str(postfix.config), "-d", "-"]
            subprocess.run(postsuper, input=done.stdout, text=True, check=True, capture_output=True)
            done = pbs("queue", f"--config={site.config}", A)
            assert (done.stdout, done.returncode) == ("", 0)


def test_watch_and_its_program(site: Site) -> None:
    daemon = site.start()
    program = site.place / "alarm"
    program.write_text(f"#!/bin/sh\ncat >> {site.place}/heard\n")
    program.chmod(0o755)
    words = [PROGRAM, "watch", f"--config={site.config}"]
    with (
        subprocess.Popen([*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as all_of_it,
        subprocess.Popen([*words, "--alarms", f"--run={program}"], stdout=subprocess.PIPE, text=True) as alarms,
    ):
        assert all_of_it.stdout is not None
        assert all_of_it.stderr is not None
        try:
            heard = site.place / "heard"
            # The first events may come before the watchers are there.
            for attempt in range(60):
                ask(site, "grant", f"198.51.100.{attempt}", "--for=10m")
                ask(site, "revoke", f"198.51.100.{attempt}", "--for=10m")
                time.sleep(0.5)
                if heard.exists() and select.select([all_of_it.stdout], [], [], 0)[0]:
                    break
            assert json.loads(all_of_it.stdout.readline())["kind"] in ("granted", "revoked")
            wait_for("the alarm", lambda: '"revoked"' in heard.read_text(), seconds=PATIENCE)
            daemon.stop()
            assert all_of_it.wait(PATIENCE) == alarms.wait(PATIENCE) == 1
            assert all_of_it.stderr.read() == "pbs-fast watch: the daemon has ended\n"
        finally:
            all_of_it.kill()
            alarms.kill()

"""`count_sessions` where no logout comes: what Dovecot says of its start, of killed processes and of errors, and what a
site's `mail_log_prefix` hides. The lines are those that Dovecot 2.3 and 2.4 wrote."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from daemon.running import Clocks, Site, noise, timestamp
from mta import dovecot, wait_for
from mta.dovecot import Layout, require_dovecot

A, B, C, MARK = "203.0.113.1", "203.0.113.2", "2001:db8::3", "203.0.113.9"


def said(text: str, at: float | None = None) -> str:
    return f"{timestamp(at)} hub dovecot: {text}"


def opened(ip: str, session: str, pid: int, at: float | None = None, user: str = "ann", log_in: str = "Login") -> str:
    elements = f"user=<{user}>, method=PLAIN, rip={ip}, lip=192.0.2.10, mpid={pid}, TLS, session=<{session}>"
    return said(f"imap-login: {log_in}: {elements}", at)


@pytest.fixture
def counting(site: Site) -> Site:
    site.grace = 2
    site.configure(f'count_sessions = true\nmax_session = 7200\ncheckpoint = "{site.place}/sessions"\n')
    site.append(noise(time.time() - 8000))
    return site


def with_clocks(site: Site) -> Clocks:
    """A grace that is over when the test says so."""
    site.grace = 600
    return site.set_clocks()


def past_grace(site: Site, server: dovecot.Dovecot) -> None:
    """Until the grace of a login from now, whose session is over, has ended: so has that of each login before."""
    removed = site.said().count(f"removed {MARK}")
    assert server.login("imap", MARK, "ann@here.test", "secret")
    site.wait_said(f"removed {MARK}", removed + 1)


RESTARTS = [
    "master: Dovecot v2.3.19.1 (9b53102964) starting up for imap, pop3 (core dumps disabled)",
    "master: Warning: Killed with signal 15 (by pid=3206 uid=0 code=kill)",
    "log: Warning: Shutting down logging for 'imap: ' with 1 clients",
]


@pytest.mark.parametrize("words", RESTARTS)
def test_a_restart_of_the_server_ends_its_sessions(counting: Site, words: str) -> None:
    site = counting
    clocks = with_clocks(site)
    site.start()
    site.append(opened(A, "one", 7), opened(B, "two", 8), opened(C, "three", 9).replace(" hub ", " other "))
    site.wait_rows(A, B, C)
    site.append(said(words), opened(B, "four", 8), opened(MARK, "five", 10))
    site.wait_rows(A, B, C, MARK)  # not before the grace of its login
    clocks.advance(site.grace + 1)
    site.wait_rows(B, C, MARK)


@pytest.mark.parametrize(
    "words",
    [
        "imap(ann)<7><one>: Fatal: master: service(imap): child 7 killed with signal 9",
        "imap: Fatal: master: service(imap): child 7 killed with signal 11 (core dumped)",
        "imap(ann)<7><one>: Panic: file mail.c: line 12 (mail_open): assertion failed: (box != NULL)",
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_killed_process_ends_its_sessions(counting: Site, words: str, restarted: bool) -> None:
    """Also where a run before saw the login, and the checkpoint has the process."""
    site = counting
    daemon = site.start()
    now = time.time()
    site.append(opened(A, "one", 7, now - 60), opened(B, "two", 8, now - 60))
    site.wait_rows(A, B)
    if restarted:
        assert daemon.stop() == 0
        site.start()
        assert "continued from the checkpoint" in site.said()
    site.append(said(words))
    site.wait_rows(B)


def test_errors_right_after_the_login_end_it(counting: Site) -> None:
    """Six logins at Dovecot 2.4, each refused by a setting; nothing more is ever written of them."""
    site = counting
    clocks = with_clocks(site)
    site.start()
    error = (
        "Mail access for users with UID 990 not permitted (see first_valid_uid in config file, uid from userdb lookup)."
    )
    for number, (user, ip) in enumerate([("ann", A), ("otto", B), ("ann", C)] * 2):
        site.append(
            opened(ip, f"s{number}", 6046 + number, None, user, "Logged in"), said(f"imap({user}): Error: {error}")
        )
    site.append(opened(MARK, "good", 7000, None, "lena", "Logged in"))
    site.wait_rows(A, B, C, MARK)
    clocks.advance(site.grace + 1)
    site.wait_rows(MARK)


def test_a_replay_knows_of_a_restart(counting: Site) -> None:
    site = counting
    now = time.time()
    site.append(opened(A, "one", 7, now - 900), said(RESTARTS[0], now - 600), opened(B, "two", 8, now - 300))
    site.start()
    site.wait_rows(B)


@pytest.mark.parametrize("prefix", ["imap(ann): ", "S=one P=7 imap(ann): "])
def test_a_server_whose_ends_have_another_prefix_is_not_counted(counting: Site, prefix: str) -> None:
    site = counting
    clocks = with_clocks(site)
    now = time.time()
    for number in range(25):
        site.append(opened(f"198.51.100.{number + 1}", f"s{number}", number, now - 3600))
        site.append(said(f"{prefix}Disconnected: Logged out in=12 out=525", now - 3500))
    site.start()
    site.wait_said("dovecot at hub: the ends of its sessions are not recognised")
    site.wait_rows()
    site.append(opened(A, "one", 7))
    site.wait_rows(A)
    clocks.advance(site.grace + 1)
    site.wait_rows()
    site.append(opened(A, "three", 9, site.now()), said(RESTARTS[0], site.now()), opened(B, "two", 7, site.now()))
    site.wait_rows(A, B)
    clocks.advance(site.grace + 1)
    site.wait_rows(B)  # a start begins the counting anew


@pytest.fixture(params=["syslog", "own"])
def server(request: pytest.FixtureRequest, counting: Site) -> Iterator[dovecot.Dovecot]:
    require_dovecot()
    layout: Layout = request.param
    if layout == "own":
        counting.log.unlink()
    with dovecot.running(layout=layout, log=counting.log) as instance:
        counting.start()
        yield instance


@pytest.fixture
def stay(counting: Site, server: dovecot.Dovecot) -> Iterator[Callable[..., None]]:
    """Logs clients in that stay; past grace the sessions alone keep the rows."""
    with ExitStack() as leaving:

        def log_in(*addresses: str) -> None:
            for each in addresses:
                client = server.client("imap", each)
                leaving.callback(client.close)
                assert client.login("ann@here.test", "secret")
            counting.wait_rows(*addresses)
            past_grace(counting, server)
            assert counting.holds(*addresses)

        yield log_in


@pytest.mark.parametrize("crash", [True, False])
def test_dovecot_is_restarted(
    counting: Site, server: dovecot.Dovecot, stay: Callable[..., None], *, crash: bool
) -> None:
    stay(A, B)
    server.restart(crash=crash)
    counting.wait_rows()
    stay(C)


def test_a_mail_process_of_dovecot_is_killed(
    counting: Site, server: dovecot.Dovecot, stay: Callable[..., None]
) -> None:
    stay(A, B)
    (pid,) = re.findall(rf"rip={re.escape(A)}, .*mpid=([0-9]+)", server.logged())
    os.kill(int(pid), signal.SIGKILL)
    counting.wait_rows(B)
    past_grace(counting, server)
    assert counting.holds(B)


@pytest.mark.parametrize("layout", ["syslog", "own"])
def test_dovecot_refuses_the_user_after_the_login(counting: Site, layout: Layout) -> None:
    require_dovecot()
    if layout == "own":
        counting.log.unlink()
    with dovecot.running(layout=layout, log=counting.log, settings="first_valid_uid = 4000000000") as server:
        counting.start()
        client = server.client("imap", A)
        with closing(client), suppress(AssertionError):
            client.login("ann@here.test", "secret")
        wait_for("Dovecot's error", lambda: "not permitted" in server.logged())
        counting.wait_said(f"added {A}")
        counting.wait_said(f"removed {A}")
        counting.wait_rows()


def test_words_of_others_end_nothing(counting: Site) -> None:
    """What a client says of itself, another program's lines, and a mailbox's errors."""
    site = counting
    clocks = with_clocks(site)
    site.start()
    lines: list[Callable[[], str]] = [
        lambda: said(f"imap-login: ID sent: name={RESTARTS[0]}: user=<>, rip={B}, lip=192.0.2.10"),
        lambda: said(RESTARTS[0]).replace("dovecot:", "postfix/cleanup[7]:"),
        lambda: said("imap(ann)<7><one>: Error: mkdir(/proc/nope/otto) failed: No such file or directory"),
        lambda: said("auth: Error: passwd-file(imap(ann): Error: x,203.0.113.41): unknown user"),
        lambda: said("master: Warning: SIGHUP received - reloading configuration"),
        lambda: said("lmtp(71): Fatal: master: service(lmtp): child 7 killed with signal 9"),
    ]
    site.append(opened(A, "one", 7))
    site.wait_rows(A)
    site.append(*(line() for line in lines))
    site.append(opened(MARK, "two", 90), said("imap(ann)<90><two>: Disconnected: Logged out in=9 out=99 deleted=0"))
    site.wait_rows(A, MARK)
    clocks.advance(site.grace + 1)
    site.wait_rows(A)

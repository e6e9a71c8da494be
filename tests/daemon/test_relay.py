"""The main job with real Postfix: a login in the log opens the relay, grace later it is shut.

Judged by the replies of one smtpd that stays alive; clients come by XCLIENT; all guards are on. The daemon goes by
clocks that the test sets, so grace is over when the test says so.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from daemon.conftest import a_place
from daemon.running import Daemon, Site, login
from mta import wait_for
from mta.postfix import LOCAL, Postfix, require_postfix, running

A, B, C, SIX = "203.0.113.5", "203.0.113.6", "203.0.113.7", "2001:db8::5"
#: A machine that stalls for half of it changes nothing.
GRACE = 600


class Hub:
    """Mail log, daemon, table, Postfix."""

    def __init__(self, site: Site, daemon: Daemon, postfix: Postfix) -> None:
        self.site = site
        self.daemon = daemon
        self.postfix = postfix

    def relays(self, client: str) -> bool:
        """Whether a new session may relay; anything but yes and the permanent no is an error."""
        reply = self.postfix.rcpt(client)
        assert reply.relayed or reply.denied, reply
        return reply.relayed

    def wait(self, client: str, relays: bool) -> None:
        """Wait for the answer."""
        try:
            wait_for(f"{client}: {relays}", lambda: self.relays(client) == relays)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.site.said()}") from None

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at the daemon's clocks."""
        assert self.site.clocks is not None
        self.site.clocks.advance(seconds)

    def log_in(self, *clients: str) -> None:
        """Logins now, and wait until they may relay. Whose grace is over meanwhile may not: expiry comes first."""
        self.site.append(*(login(client, at=self.site.now()) for client in clients))
        for client in clients:
            self.wait(client, True)


@contextmanager
def hub_of(site: Site, postfix: Postfix) -> Iterator[Hub]:
    """A daemon for a Postfix that runs already."""
    site.grace = GRACE
    site.set_clocks()
    daemon = site.start()
    try:
        yield Hub(site, daemon, postfix)
    finally:
        daemon.kill()


def postfix_of(site: Site) -> AbstractContextManager[Postfix]:
    """A Postfix that looks clients up in the site's table.

    Its smtpd may serve for ever, so one that is replaced was made to restart by its table; and it does not slow down
    clients that ask more often than mail is delivered.
    """
    site.start().stop()  # the (empty) table is there before Postfix looks for it
    return running(site.spec, main_cf=["max_use = 100000", "in_flow_delay = 0"])


@pytest.fixture(scope="module", params=["hash", "lmdb"])
def mta(request: pytest.FixtureRequest) -> Iterator[tuple[Site, Postfix]]:
    """One Postfix a table type for all tests here."""
    require_postfix(request.param)
    with a_place(request.param) as site, postfix_of(site) as postfix:
        yield site, postfix


@pytest.fixture
def hub(mta: tuple[Site, Postfix]) -> Iterator[Hub]:
    site, postfix = mta
    site.log.write_text("")
    site.cover()  # so what the test before left in the table goes
    with hub_of(site, postfix) as hub:
        yield hub


def open_and_shut(hub: Hub) -> None:
    for client in (A, SIX):
        reply = hub.postfix.rcpt(client)
        assert (reply.code, reply.denied) == (554, True), reply
    hub.log_in(A, SIX)
    assert not hub.relays(B)
    assert not hub.relays("2001:db8::6")
    assert hub.postfix.rcpt(B, f"bob@{LOCAL}").code == 250, "mail for this site is never touched"
    hub.advance(GRACE / 2)
    hub.log_in(B)
    assert hub.relays(A), "not early"
    assert hub.relays(SIX)
    hub.advance(GRACE / 2)
    hub.wait(A, False)
    hub.wait(SIX, False)
    assert hub.relays(B)


def test_a_login_opens_the_relay_and_grace_shuts_it(hub: Hub) -> None:
    before = len(hub.postfix.smtpd_pids())
    open_and_shut(hub)
    pids = set(hub.postfix.smtpd_pids()[before:])
    if hub.site.spec.startswith("lmdb:"):
        assert len(pids) == 1, "one smtpd saw it all"


def test_btree_too(new_site: Callable[[str], Site]) -> None:
    require_postfix("btree")
    site = new_site("btree")
    with postfix_of(site) as postfix, hub_of(site, postfix) as hub:
        open_and_shut(hub)


def test_a_renewal_keeps_it_open(hub: Hub) -> None:
    hub.log_in(A, B)
    for _ in range(3):
        hub.advance(GRACE * 0.4)
        assert hub.relays(A), "renewed all the while"
        hub.site.append(login(A, at=hub.site.now()))
        hub.log_in(C)  # which was seen after A
    assert hub.relays(A)
    hub.wait(B, False)  # was not renewed
    hub.advance(GRACE)
    hub.wait(A, False)


def test_five_changes_within_one_second(hub: Hub) -> None:
    """Additions and removals; each is seen by the next session although the file's time has whole seconds only."""
    # Each try asserts what is seen; on a busy machine none may fall within a second.
    end = time.monotonic() + 60
    while five_changes(hub) >= 1 and time.monotonic() < end:
        pass


def five_changes(hub: Hub) -> float:
    """Expiry, three logins, the administrator's deny; the seconds from first to last."""
    hub.site.deny.write_text("")
    hub.daemon.reload()
    hub.log_in(A)
    hub.wait(B, False)
    hub.advance(GRACE + 1)
    start = time.monotonic()
    hub.wait(A, False)
    for client in (B, C, SIX):
        assert not hub.relays(client)
        hub.log_in(client)
    hub.site.deny.write_text(f'[[deny]]\naddresses = ["{B}", "{C}", "{SIX}"]\n')
    hub.daemon.send(signal.SIGHUP)
    hub.wait(B, False)
    took = time.monotonic() - start
    assert [hub.relays(client) for client in (A, B, C, SIX)] == [False] * 4
    return took

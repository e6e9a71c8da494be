"""Caps with real Postfix: what its clients meet, and what is left in its queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.conftest import a_place
from daemon.controlled import status, why
from daemon.running import Site, pbs
from daemon.test_caps import log_in
from mta import GROUP, wait_for
from mta.postfix import LOCAL, Postfix, Session, asks, require_postfix

ANNA, OTTO, SMALL = "203.0.113.1", "203.0.113.2", "203.0.113.3"


@contextmanager
def hub(caps: str) -> Iterator[tuple[Site, Postfix]]:
    """A daemon in front of its table (way A), and the Postfix that asks it."""
    require_postfix("lmdb")
    with a_place("lmdb") as site:
        clause = asks(f"policy:unix:{site.place}/policy", "default_action=DUNNO")
        relay = f"permit_auth_destination, {clause}, check_client_access {site.spec}, reject_unauth_destination"
        postfix = Postfix("", restrictions=relay, main_cf=[f"smtpd_data_restrictions = {clause}"], smtpd_limit=20)
        try:
            site.configure(
                f'table = ["policy:unix:{site.place}/policy"]\npostconf = "postconf -c {postfix.config}"\n{caps}'
            )
            site.cover()
            site.set_clocks()
            site.start()  # an smtpd that finds no table answers 451 for its whole life
            postfix.start()
            yield site, postfix
        finally:
            postfix.stop()
            postfix.remove()


def codes(session: Session, recipients: int) -> list[int]:
    return [session.rcpt(f"r{number}@elsewhere.test").code for number in range(recipients)]


def test_two_hundred_of_three_hundred_are_accepted_and_an_hour_later_it_goes_on() -> None:
    with hub('[caps]\nuser = ["200/1h"]\naddress = ["230/1h"]\n') as (site, postfix):
        log_in(site, ANNA, "anna@here.test")
        with postfix.session(ANNA) as session:
            assert codes(session, 200) == [250] * 200
            reply = session.rcpt("r200@elsewhere.test")
            assert (reply.code, "4.7.1" in reply.text) == (450, True)
            assert "200 of 200 recipients in an hour" in reply.text
            assert codes(session, 99) == [450] * 99
            assert session.rcpt(f"bob@{LOCAL}").code == 250, "mail for this site is not counted"
            assert "queued as" in session.data().text
        with postfix.session("203.0.113.99") as stranger:
            assert stranger.rcpt("r0@elsewhere.test").denied
        # Another user behind the same address has a cap of their own, and the address has one.
        assert site.clocks is not None
        site.clocks.advance(2)  # within one second the first login stays the newest
        log_in(site, ANNA, "otto@here.test")
        with postfix.session(ANNA) as session:
            assert codes(session, 40) == [250] * 30 + [450] * 10
        reply_ = status(site)["caps"]
        assert reply_ is not None
        assert reply_["exceeded"] == {"user 200/1h": 100, "address 230/1h": 10}
        site.clocks.advance(3_600)
        log_in(site, ANNA, "anna@here.test")
        with postfix.session(ANNA) as session:
            assert codes(session, 1) == [250]


def test_a_message_over_the_cap_is_held_and_queue_names_it() -> None:
    with hub('[caps]\nuser = ["3/1h"]\naction = "hold"\n') as (site, postfix):
        log_in(site, ANNA, "anna@here.test")
        with postfix.session(ANNA) as session:
            assert codes(session, 5) == [250] * 5
            queue_id = session.data().text.rpartition("queued as ")[2].strip()
        held = postfix.directory / "queue" / "hold"
        wait_for("the held message", lambda: [each.name for each in held.rglob("*") if each.is_file()] == [queue_id])
        (use,) = why(site, ANNA)["caps"]
        assert (use["used"], use["refused"]) == (3, 2), "what is held counts apart"
        found = pbs("queue", f"--config={site.config}", f"--watchlog={site.log}", "ANNA@here.test")
        assert (found.stdout, found.returncode) == (f"{queue_id}\n", 0), found.stderr
        shown = pbs("revoke", f"--config={site.config}", "anna@here.test").stdout
        assert "its mail of the last hour: 1 message, 1 of them still queued" in shown


@pytest.mark.parametrize("action", ["hold", "defer"])
def test_hold_needs_a_table_behind(action: str) -> None:
    """HOLD decides nothing, so a service that stands alone cannot carry it out: that is said at the start."""
    with a_place("lmdb") as site:
        site.spec = f"policy:unix:{site.place}/policy?alone&group={GROUP}"
        site.configure(f'[caps]\nuser = ["3/1h"]\naction = "{action}"\n')
        if action == "defer":
            site.start()
            return
        daemon = site.spawn()
        code, _, error = daemon.end()
        assert (code, error.count("\n")) == (2, 1)
        assert "caps.action = hold needs a table behind the policy service" in error


def test_twenty_smtpds_at_once_accept_exactly_what_the_cap_allows() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with hub('[caps]\nuser = ["100/1h"]\n') as (site, postfix):
        log_in(site, ANNA, "anna")

        def send(_: int) -> list[int]:
            with postfix.session(ANNA) as session:
                return codes(session, 10)

        with ThreadPoolExecutor(20) as pool:
            found = [code for some in pool.map(send, range(20)) for code in some]
        assert (found.count(250), found.count(450)) == (100, 100)
        assert site.said().count("over a cap: user=anna") == 1

"""Caps in the real daemon, asked as Postfix asks: over a restart, a kill -9 and clocks that are set; what they show."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from daemon.controlled import asked, status, why
from daemon.running import Site, lines_with, login, pbs
from mta import GROUP, wait_for
from pbs_fast.control.client import Lost, socket_of, watch
from pbs_fast.control.protocol import Metrics, Reload, Watch, Why
from pbs_fast.control.replies import Event
from tables.policy import Client

A, B = "203.0.113.1", "203.0.113.2"
CAPS = '[caps]\nuser = ["20/1h"]\naddress = ["30/1h"]\n'


@pytest.fixture
def capped(site: Site) -> Site:
    site.configure(f'table = ["policy:unix:{site.place}/policy?mode=0666&group={GROUP}"]\n{CAPS}')
    site.cover()
    return site


def send(site: Site, ip: str, recipients: int, message: str = "1", queue_id: str = "") -> list[str]:
    """The answers to the recipients of a message, in one word each."""
    with closing(Client(site.place / "policy").socket) as _, closing((client := Client(site.place / "policy")).socket):
        found = [client.ask(ip, instance=message).split()[0] for _ in range(recipients)]
        if queue_id:
            client.data(ip, instance=message, queue_id=queue_id)
    return found


def log_in(site: Site, ip: str, user: str) -> None:
    site.append(login(ip, user, at=site.now()))
    wait_for("the row", lambda: any(row["user"] == user for row in why(site, ip)["rows"]))


def counted(site: Site, ip: str) -> dict[str, int]:
    """What the login and the address have used."""
    return {use["of"]: use["used"] for use in why(site, ip).get("caps", [])}


def events_of(site: Site, kind: str, found: list[Event]) -> threading.Thread:
    """Watches in a thread until one event has come."""
    request = Watch(kinds=(kind,))

    def run() -> None:
        events: Iterator[Event | Lost] = watch(socket_of(site.place / "run", request), request)
        found.append(next(each for each in events if not isinstance(each, Lost)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_for("the watcher", lambda: "\npbs_fast_watchers 1.0" in asked(site, Metrics())["text"])
    return thread


def test_a_login_over_its_cap_is_seen_everywhere(capped: Site) -> None:
    site = capped
    site.start()
    assert "caps: user 20/1h, address 30/1h; over one: defer" in site.said()
    log_in(site, A, "mallory@example.org")
    found: list[Event] = []
    thread = events_of(site, "cap", found)
    answers = send(site, A, 25, queue_id="4ZpX1c2Jz7")
    assert answers == ["OK"] * 20 + ["DEFER"] * 5
    thread.join(timeout=60)
    (event,) = found
    assert (event["user"], event["ip"], event["cap"], event["count"]) == ("mallory@example.org", A, "user 20/1h", 20)
    assert (event["addresses"], event["messages"]) == ([A], 1)
    assert len(lines_with(site.said(), "over a cap: user=mallory@example.org cap=20/1h count=20 refused=1")) == 1

    reply = status(site)
    assert reply["caps"] == {"users_over": 1, "addresses_over": 0, "exceeded": {"user 20/1h": 5, "address 30/1h": 0}}
    (notice,) = [each for each in reply["notices"] if each["code"] == "cap"]
    assert "mallory@example.org reached its cap 20/1h (20 of 20 recipients in an hour)" in notice["text"]
    exceeded = 'pbs_fast_cap_exceeded_total{cap="user 20/1h"} 5.0'
    wait_for("the numbers", lambda: exceeded in asked(site, Metrics())["text"])
    text = asked(site, Metrics())["text"]
    assert 'pbs_fast_cap_over{cap="user 20/1h"} 1.0' in text
    assert 'pbs_fast_cap_highest_ratio{cap="address 30/1h"} 0.6667' in text
    assert "mallory" not in text

    known = asked(site, Why(ip=A))
    assert [(each["what"], each["text"], each["refused"]) for each in known["caps"]] == [
        ("mallory@example.org", "20 of 20 recipients in an hour", 5),
        (A, "20 of 30 recipients in an hour", 0),
    ]
    assert [(each["queue_id"], each["recipients"]) for each in known["mail"]] == [("4ZpX1c2Jz7", 20)]
    assert asked(site, Why(user="MALLORY@example.org"))["mail"] == known["mail"]
    shown = pbs("why", f"--config={site.config}", f"--watchlog={site.log}", A).stdout
    assert "mallory@example.org 20 of 20 recipients in an hour, 5 refused; this address 20 of 30" in shown
    assert "4ZpX1c2Jz7" in shown
    shown = pbs("status", f"--config={site.config}").stdout
    assert "over a cap in the last hour: 1 login" in shown
    shown = pbs("revoke", f"--config={site.config}", "mallory@example.org").stdout
    assert "its mail of the last hour: 1 message" in shown


def test_a_kill_in_the_middle_of_a_cap_costs_a_minute_at_most_and_a_stop_nothing(capped: Site) -> None:
    site = capped
    clocks = site.set_clocks()
    daemon = site.start()
    log_in(site, A, "anna")
    send(site, A, 15)
    assert daemon.stop() == 0
    daemon = site.start()
    wait_for("the row", lambda: bool(why(site, A)["rows"]))
    assert counted(site, A) == {"user": 15, "address": 15}
    assert "did not end by itself" not in site.said()
    state = site.place / "caps.json"
    wait_for("the first state of this run", lambda: not json.loads(state.read_text())["final"])
    assert send(site, A, 3, "2") == ["OK"] * 3
    # What was counted since the last state is what a kill costs: the 3.
    daemon.kill()
    clocks.set(wall=-7_200.0, boot=30.0)
    daemon = site.start()
    assert len(lines_with(site.said(), "the last run did not end by itself: what was sent in the up to 60 s")) == 1
    time.sleep(1.1)  # only a login of a later second replaces the row that was found in the table
    log_in(site, A, "anna")
    assert counted(site, A) == {"user": 15, "address": 15}, "a wall clock that is set back gives nothing back"
    assert send(site, A, 7, "3") == ["OK"] * 5 + ["DEFER"] * 2
    clocks.advance(3_700)
    log_in(site, A, "anna")
    assert send(site, A, 1, "4") == ["OK"], "the window is over on the test's clock"
    daemon.kill()
    state.write_text("{")
    site.start()
    assert len(lines_with(site.said(), r"caps\.json is damaged \(JSONDecodeError\); the caps begin to count anew")) == 1


def test_a_login_that_is_over_again_and_again_is_revoked(capped: Site) -> None:
    site = capped
    site.configure(f'table = ["policy:unix:{site.place}/policy?mode=0666&group={GROUP}"]\n{CAPS}revoke_after = 2\n')
    daemon = site.start()
    log_in(site, A, "Mallory")
    log_in(site, B, "mallory")
    answers = send(site, A, 70)
    assert answers[:20] == ["OK"] * 20
    site.wait_rows()
    assert send(site, B, 1, "2") == ["DUNNO"]
    (denial,) = status(site)["denials"]
    assert denial["what"] == "mallory"
    assert denial["reason"] == "over the cap user 20/1h: 40 recipients refused within an hour"
    assert lines_with(site.said(), f"removed {B} from DB user=mallory", r"\(cap: over the cap user 20/1h")
    wait_for("the count", lambda: 'rows_revoked_total{cause="cap"} 2.0' in asked(site, Metrics())["text"])
    site.append(login(B, "MALLORY", at=site.now()))
    site.wait_said("refused ip=203.0.113.2 by the guard deny")
    assert daemon.stop() == 0
    assert json.loads((site.place / "manual.json").read_text())["denials"][0]["what"] == "Mallory"


def test_a_reload_takes_other_caps_and_keeps_what_was_counted(capped: Site) -> None:
    site = capped
    site.start()
    log_in(site, A, "anna")
    send(site, A, 12)
    site.configure('[caps]\nuser = ["10/1h"]\n')
    assert asked(site, Reload())["reloaded"]
    assert send(site, A, 1, "2") == ["DEFER"]
    site.configure('[caps]\naddress = ["10/1h"]\nrevoke_after = 3\n')
    reply = asked(site, Reload())
    assert not reply["reloaded"]
    assert "pbs.toml:7: caps.revoke_after needs a cap of a login" in reply["warnings"][0]
    assert send(site, A, 1, "2") == ["DEFER"]


def test_caps_that_nobody_asks_about_are_warned_of(site: Site) -> None:
    site.configure(f"{CAPS}")
    site.cover()
    site.start()
    assert "[caps] has no effect without a table policy:" in site.said()
    assert not (site.place / "caps.json").exists()

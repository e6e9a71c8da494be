"""Nodes that share over real hubs: a login on one opens the relay on all; starts and stops; revocations; refusals."""

from __future__ import annotations

import signal
import time

import pytest

from daemon.controlled import asked, listed, why
from daemon.running import login, pbs
from pbs_fast.control.protocol import Revoke, Undo
from share.hubs import NewHub
from share.nodes import NewNode

A, B, C = "203.0.113.5", "203.0.113.6", "203.0.113.7"

pytestmark = pytest.mark.system


def test_a_login_on_one_node_opens_the_relay_on_another(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub(tls=True)
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop.append(login(A, "anna@example.org"))
    pop.start()
    smtp.start()
    pop.append(login(B, "otto@example.org"))
    smtp.wait_rows(A, B)
    state = smtp.status()
    assert state["rows"]["hub"] == 2
    assert (state["node"], state["logs"]) == ("smtp1", [])
    row = listed(smtp)[A]
    assert (row["node"], row["user"], row["host"], row["origin"]) == ("pop1", "anna@example.org", "hub", "hub")
    assert abs(int(row["until"][14:16]) - int(listed(pop)[A]["until"][14:16])) % 59 <= 1  # type: ignore[index]
    answer = pbs("why", f"--config={smtp.config}", A)
    assert "at the node pop1, host hub; ask there for the log line" in " ".join(answer.stdout.split())
    assert why(smtp, A)["rows"][0]["node"] == "pop1"


def test_rows_of_nodes_that_are_not_trusted_do_not_count(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, other = new_node("pop1", [hub]), new_node("pop2", [hub])
    smtp = new_node("smtp1", [hub], logs=False, trusts=["pop1"])
    for node in (pop, other):
        node.start()
    smtp_daemon = smtp.start()
    other.append(login(B))
    pop.append(login(A))
    smtp.wait_rows(A)
    assert {node["name"]: node["trusted"] for node in smtp.status()["nodes"]} == {"pop1": True, "pop2": False}
    smtp.configure(trusts=["pop1", "pop2"])
    smtp_daemon.reload()
    smtp.wait_rows(A, B)
    smtp.configure(trusts=["pop2"])
    smtp_daemon.reload()
    smtp.wait_rows(B)
    assert "the node pop1 is not trusted any more" in smtp.said()


def test_the_guards_of_the_node_that_receives_decide(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    smtp.configure('guards.proxies = ["203.0.113.5"]\nguards.hosts = ["nobody"]\n')
    smtp.deny.write_text('[[deny]]\nusers = ["mallory@example.org"]\n')
    smtp.networks.write_text("127.0.0.0/8\n203.0.113.7\n")
    pop.start()
    smtp.start()
    pop.append(login(A), login(B, "mallory@example.org"), login(C), login("203.0.113.8"))
    pop.wait_rows(A, B, C, "203.0.113.8")
    smtp.wait_rows("203.0.113.8")
    for ip, guard in ((A, "proxies"), (B, "deny")):
        assert [(each["guard"], each["log"]) for each in why(smtp, ip)["refusals"]] == [(guard, "node pop1")]
    state = smtp.status()
    assert (state["logins"], state["refused"], sum(state["outcomes"].values())) == (0, {}, 0)


def test_a_hub_that_is_dead_at_the_start_delays_it_for_ten_seconds(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop.start()
    pop.append(login(A))
    smtp.start().stop()
    hub.kill()
    before = smtp.rows()
    began = time.monotonic()
    daemon = smtp.start()
    assert time.monotonic() - began > 9
    assert smtp.rows() == before == [A]
    assert "rows that no log explains are kept" in smtp.said()
    hub.start()
    pop.append(login(B))
    smtp.wait_rows(A, B)
    assert daemon.stop() == 0


def test_a_stop_sends_what_is_owed(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    daemon = pop.start()
    ips = [f"198.51.100.{n}" for n in range(1, 200)]
    pop.append(*(login(ip) for ip in ips))
    pop.wait_rows(*ips)
    assert daemon.stop() == 0
    smtp.start()
    smtp.wait_rows(*ips)


def test_a_revocation_holds_on_all_nodes(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop_daemon = pop.start()
    smtp_daemon = smtp.start()
    pop.append(login(A, "mallory@example.org"), login(B, "anna@example.org"))
    smtp.wait_rows(A, B)
    done = pbs("revoke", f"--config={pop.config}", "mallory@example.org", "--for=1h", "--reason=stolen\tpassword")
    assert "in force on 2 of 2 nodes" in done.stdout, (done, smtp.said())
    smtp.wait_rows(B)
    assert [each["by"] for each in smtp.status()["denials"]] == ["root@pop1"]
    pop.append(login(C, "Mallory@example.org"))
    pop.append(login(A, "anna@example.org"))
    smtp.wait_rows(A, B)
    smtp_daemon.stop()
    smtp.start()
    smtp.wait_rows(A, B)
    assert len(smtp.status()["denials"]) == 1
    denied = (smtp.place / "manual.json").read_bytes()
    refused = pbs("revoke", f"--config={smtp.config}", "--undo", "mallory@example.org")
    assert refused.returncode == 1
    assert "it was denied at pop1: undo it there" in refused.stderr
    asked(pop, Undo(user="mallory@example.org"))
    smtp.wait_status("no denial", lambda state: not state["denials"])
    late = new_node("smtp2", [hub], logs=False)
    (late.place / "manual.json").write_bytes(denied)  # as of a node that was down meanwhile
    hub.flush()
    pop_daemon.stop()
    pop.start()
    late.start()
    late.wait_status("no denial there", lambda state: not state["denials"])
    time.sleep(1.1)  # a login of the second of the undoing does not count
    pop.append(login("203.0.113.9", "mallory@example.org"))
    smtp.wait_rows(A, B, "203.0.113.9")


def test_a_revocation_that_is_over_when_it_comes_still_removes_what_it_covers(
    new_hub: NewHub, new_node: NewNode
) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop.start()
    daemon = smtp.start()
    pop.append(login(A, "mallory@example.org"), login(B, "anna@example.org"))
    smtp.wait_rows(A, B)
    daemon.send(signal.SIGSTOP)
    asked(pop, Revoke(user="mallory@example.org", for_s=1))
    time.sleep(2.1)
    pop.append(login(C, "mallory@example.org"))
    pop.wait_rows(B, C)
    daemon.send(signal.SIGCONT)
    smtp.wait_rows(B, C)


def test_a_start_without_hubs_does_not_bring_back_what_another_node_revoked(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    daemon = pop.start()
    smtp.start()
    pop.append(login(A, "mallory@example.org"), login(B, "anna@example.org"))
    smtp.wait_rows(A, B)
    asked(smtp, Revoke(user="mallory@example.org", for_s=1))
    pop.wait_rows(B)
    time.sleep(2.1)
    hub.kill()
    assert daemon.stop() == 0
    pop.start()
    assert pop.rows() == [B]
    pop.append(login(A, "mallory@example.org"))
    pop.wait_rows(A, B)


def test_a_node_can_be_revoked(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, other, smtp = (new_node(name, [hub], logs=name != "smtp1") for name in ("pop1", "pop2", "smtp1"))
    for node in (pop, other, smtp):
        node.start()
    pop.append(login(A))
    other.append(login(B))
    for node in (pop, other, smtp):
        node.wait_rows(A, B)
    reply = asked(smtp, Revoke(node="pop2"))
    assert (reply["kind"], reply["revoked"], reply["addresses"]) == ("node", 1, [B])
    for node in (pop, smtp):
        node.wait_rows(A)
    other.append(login(C))
    other.wait_rows(A, B, C)
    other.wait_said("smtp1 trusts this node no more")
    assert smtp.rows() == [A]
    done = pbs("revoke", f"--config={smtp.config}", "--undo", "--node=pop2")
    assert done.returncode == 0, done
    for node in (pop, smtp):
        node.wait_rows(A, B, C)


def test_a_node_that_is_gone_is_silent_and_can_be_forgotten(new_hub: NewHub, new_node: NewNode) -> None:
    hub = new_hub()
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    daemon = pop.start()
    smtp.start()
    pop.append(login(A))
    smtp.wait_rows(A)
    daemon.kill()
    smtp.wait_said("node pop1 is silent")
    assert [notice["code"] for notice in smtp.status()["notices"]] == ["node_silent"]
    assert smtp.rows() == [A]
    done = pbs("share", f"--config={smtp.config}", "forget", "pop1")
    assert done.returncode == 1, done
    assert "NOPERM" in done.stdout
    assert f'DEL "{hub.stream("pop1")}"' in done.stdout
    smtp.wait_status("no notice", lambda state: not state["notices"] and not state["nodes"])
    pop.start()
    smtp.wait_said("connected")
    smtp.wait_status("pop1 again", lambda state: [node["name"] for node in state["nodes"]] == ["pop1"])


REFUSALS = {
    "wrong password": ("hub.password", "WRONGPASS"),
    "wrong name": ("tls", "TLS: IP address mismatch"),
    "another site": ("site", "NOPERM"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_a_hub_that_refuses_is_a_state_with_its_words(new_hub: NewHub, new_node: NewNode, fault: str) -> None:
    kind, words = REFUSALS[fault]
    hub = new_hub(tls=True, names="DNS:another.example.org") if kind == "tls" else new_hub()
    pop = new_node("pop1", [hub], **({"site": "other"} if kind == "site" else {}))
    if kind == "hub.password":
        (pop.place / "hub.password").write_text("wrong\n")
    pop.start()
    pop.append(login(A))
    pop.wait_rows(A)
    state = pop.wait_status("the refusal", lambda state: words in (state["hubs"][0]["reason"] or ""))
    assert [notice["code"] for notice in state["notices"]] == ["hub_down"]
    assert words in state["notices"][0]["text"]
    assert "is down: " in pop.said()

"""What a hub's fault costs clients, and what the nodes make of it: real servers, and the tables of real daemons."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from daemon.running import login, pbs
from mta import wait_for
from share.hubs import Hub, hubs
from share.nodes import Node, nodes
from share.proxy import Proxy, proxy
from share.rows import at_hub, ends, metric, same, wait_same

A, B, C, D = "203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8"

pytestmark = pytest.mark.system


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


# -- what hubs lose: all these faults at once, each on a hub of its own of the same two nodes --------------------

LOSE = ("flushed", "restarted", "evicted", "failed over", "deleted")
KEEP = ("volatile-ttl", "whole")


class Lost(SimpleNamespace):
    """Two nodes with seven hubs."""

    hubs: dict[str, Hub]
    """What is there after the faults."""
    urls: dict[str, str]
    """Of pop1."""
    pop: Node
    smtp: Node
    seen: list[set[str]]
    """What smtp1 held at each look from the faults on."""


@pytest.fixture(scope="module")
def lost() -> Iterator[Lost]:
    with ExitStack() as stack:
        new_hub, new_node = stack.enter_context(hubs()), stack.enter_context(nodes())
        made = {name: new_hub(acl=name != "deleted") for name in (*LOSE, *KEEP)}
        # One of the other kind may not read what this one sends.
        replica, before = new_hub(program=made["failed over"].program), stack.enter_context(proxy(made["failed over"]))
        between = stack.enter_context(proxy(made["failed over"]))
        _follow(replica, between)
        pop, smtp = (
            new_node(
                name,
                [before.url(name) if hub is made["failed over"] else hub.url(name) for hub in made.values()],
                logs=name == "pop1",
            )
            for name in ("pop1", "smtp1")
        )
        pop.append(login(A), login(B))
        pop.start()
        smtp.start()
        for node in (pop, smtp):
            node.wait_up()
        wait_same(pop, smtp, ips={A, B})
        wait_for("the replica", lambda: at_hub(replica, "pop1").keys() == {A, B})
        between.stalled = True  # from here on the replica gets nothing
        pop.append(login(C))
        for hub in made.values():
            wait_for("the third", lambda hub=hub: C in at_hub(hub, "pop1"))
        wait_same(pop, smtp, ips={A, B, C})
        assert C not in at_hub(replica, "pop1")

        made["flushed"].flush()
        made["restarted"].restart()
        made["deleted"].admin.delete(made["deleted"].stream("pop1"))
        _fill(made["evicted"], "allkeys-lru", {})
        assert not made["evicted"].admin.exists(made["evicted"].stream("pop1"))
        made["evicted"].config("maxmemory", "0")
        _fill(made["volatile-ttl"], "volatile-ttl", {"ex": 3600})
        made["failed over"].kill()
        replica.admin.replicaof("no", "one")
        before.hub = made["failed over"] = replica
        before.cut()
        before.join()
        pop.append(login(D))
        urls = dict(zip(made, pop.status()["hubs"], strict=True))
        yield Lost(hubs=made, urls={name: hub["url"] for name, hub in urls.items()}, pop=pop, smtp=smtp, seen=[])


def _follow(replica: Hub, primary: Proxy) -> None:
    for key, value in (("masteruser", "admin"), ("masterauth", "any")):
        replica.config(key, value)
    replica.admin.replicaof("127.0.0.1", primary.port)
    wait_for("the replica", lambda: replica.admin.info("replication")["master_link_status"] == "up")


def _fill(hub: Hub, policy: str, how: dict[str, int]) -> None:
    """A neighbour that writes until keys are evicted: a thousand, or our stream."""
    with hub.admin as client:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory-samples", 64)
        client.config_set("maxmemory", client.info("memory")["used_memory"] + 400_000)
        for number in range(100_000):
            client.set(f"cache:{number}", b"x" * 1000, **how)
            if number % 100:
                continue
            # What is read now and then is not always the first that goes.
            if client.info("stats")["evicted_keys"] > 1000 if how else not client.exists(hub.stream("pop1")):
                return
    raise AssertionError("nothing was evicted")


@pytest.mark.parametrize("fault", LOSE)
def test_what_a_hub_lost_is_sent_again(lost: Lost, fault: str) -> None:
    hub = lost.hubs[fault]
    # Whatever a hub lost, no mirror removes a row because of that.
    assert set(ends(lost.smtp)) >= {A, B, C}
    wait_for("all rows", lambda: same(at_hub(hub, "pop1"), ends(lost.pop)))
    lost.pop.wait_said(f"hub {lost.urls[fault]}: our stream does not end with what we last wrote: the hub lost data")
    label = lost.urls[fault].rpartition("@")[2].removeprefix("valkey://")
    wait_for("its count", lambda: metric(lost.pop, "hub_full_sends_total", label, "end_differs") == 1)
    wait_same(lost.pop, lost.smtp, ips={A, B, C, D})


@pytest.mark.parametrize("fault", KEEP)
def test_a_hub_that_lost_nothing_gets_nothing_again(lost: Lost, fault: str) -> None:
    """No key of ours has a time to live, so a neighbour whose keys are evicted takes nothing from us."""
    hub = lost.hubs[fault]
    wait_for("the new row", lambda: same(at_hub(hub, "pop1"), ends(lost.pop)))
    label = lost.urls[fault].rpartition("@")[2]
    assert metric(lost.pop, "hub_full_sends_total", label) == 0
    assert (hub.admin.info("stats")["evicted_keys"] > 1000) == (fault == "volatile-ttl")


def test_who_comes_after_all_this_learns_all_from_one_hub(lost: Lost, stack: ExitStack) -> None:
    wait_for("all rows", lambda: same(at_hub(lost.hubs["flushed"], "pop1"), ends(lost.pop)))
    late = stack.enter_context(nodes())("smtp2", [lost.hubs["flushed"]], logs=False)
    late.start()
    wait_same(lost.pop, late, ips={A, B, C, D})


# -- hubs that serve nobody for a while --------------------


def test_one_of_several_hubs_is_enough(stack: ExitStack) -> None:
    new_hub, new_node = stack.enter_context(hubs()), stack.enter_context(nodes())
    dead, hung, full, whole = (new_hub() for _ in range(4))
    window = stack.enter_context(proxy(full))
    pop, smtp = (
        new_node(name, [dead.url(name), hung.url(name), window.url(name), whole.url(name)], logs=name == "pop1")
        for name in ("pop1", "smtp1")
    )
    pop.append(login(A))
    pop.start()
    smtp.start()
    for node in (pop, smtp):
        node.wait_up()
    wait_same(pop, smtp, ips={A})
    dead.kill()
    hung.hang()
    window.stalled = True
    pop.append(login(B))
    wait_same(pop, smtp, ips={A, B})
    for node in (pop, smtp):
        for url in (dead.url(node.name), hung.url(node.name), window.url(node.name)):
            node.wait_said(f"hub {url} is down: ")
        assert node.said().count(": no answer in time; ") == 2
        assert [hub["state"] for hub in node.status()["hubs"]] == ["down"] * 3 + ["up"]
        assert len(node.status()["notices"]) == 3
        assert node.status()["turned_s"] < 5
    assert pbs("status", f"--config={smtp.config}").returncode == 3
    pop.append(login(C))
    wait_same(pop, smtp, ips={A, B, C})
    dead.start()
    hung.resume()
    window.stalled = False
    for hub in (dead, hung, full):
        wait_for("all rows", lambda hub=hub: same(at_hub(hub, "pop1"), ends(pop)))
    for node in (pop, smtp):
        node.wait_up()
        assert node.said().count(" is down: ") == 3
        assert not node.status()["notices"]


def test_all_hubs_dead(stack: ExitStack) -> None:
    """Who may relay goes on to for half of grace at least, even who is renewed at the last moment before."""
    hub = stack.enter_context(hubs())()
    new_node = stack.enter_context(nodes())
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    clocks = [node.set_clocks() for node in (pop, smtp)]
    pop.append(login(A))
    pop.start()
    smtp.start()
    wait_same(pop, smtp, ips={A})
    hub.kill()
    for node in (pop, smtp):
        node.wait_said("; no other serves: nothing is shared")
    for each in clocks:
        each.advance(pop.grace / 2)
    pop.append(login(A, at=pop.now()), login(B, at=pop.now()))
    pop.wait_rows(A, B)
    assert smtp.rows() == [A]
    for each in clocks:
        each.advance(pop.grace / 2 - 120)
    pop.append(login(C, at=pop.now()))
    pop.wait_rows(A, B, C)
    assert smtp.rows() == [A]
    for each in clocks:
        each.advance(180)
    smtp.wait_rows()
    assert pop.rows() == [A, B, C]
    assert [node.said().count(" is down: ") for node in (pop, smtp)] == [1, 1]
    hub.start()
    wait_same(pop, smtp, ips={A, B, C})


def test_a_slow_hub_makes_new_grants_late_and_messages_long(stack: ExitStack) -> None:
    hub = stack.enter_context(hubs())()
    slow = stack.enter_context(proxy(hub))
    new_node = stack.enter_context(nodes())
    pop, smtp = (new_node(name, [slow.url(name)], logs=name == "pop1") for name in ("pop1", "smtp1"))
    pop.start()
    smtp.start()
    for node in (pop, smtp):
        node.wait_up()
    slow.delay = 0.2
    began = time.monotonic()
    pop.append(login(A))
    smtp.wait_rows(A)
    assert time.monotonic() - began > slow.delay
    before = hub.admin.xlen(hub.stream("pop1"))
    ips = [f"198.51.100.{number}" for number in range(1, 201)]
    for ip in ips:
        pop.append(login(ip))
        time.sleep(0.005)
    wait_same(pop, smtp, ips={A, *ips})
    assert hub.admin.xlen(hub.stream("pop1")) - before < len(ips) / 4
    assert [metric(node, "hub_reconnects_total") for node in (pop, smtp)] == [0, 0]


REFUSALS: dict[str, tuple[Callable[[Hub], object], Callable[[Hub], object]]] = {
    "OOM": (lambda hub: hub.config("maxmemory", "1"), lambda hub: hub.config("maxmemory", "0")),
    "READONLY": (
        lambda hub: hub.admin.replicaof("127.0.0.1", 1),
        lambda hub: hub.admin.replicaof("no", "one"),
    ),
}


def test_a_hub_that_takes_nothing_is_down_with_its_words(stack: ExitStack) -> None:
    new_hub, new_node = stack.enter_context(hubs()), stack.enter_context(nodes())
    made = {words: new_hub() for words in REFUSALS}
    pop, smtp = (new_node(name, list(made.values()), logs=name == "pop1") for name in ("pop1", "smtp1"))
    pop.append(login(A))
    pop.start()
    smtp.start()
    for node in (pop, smtp):
        node.wait_up()
    wait_same(pop, smtp, ips={A})
    for words, hub in made.items():
        hub.config("maxmemory-policy", "noeviction")
        REFUSALS[words][0](hub)
    pop.append(login(B))
    for words, hub in made.items():
        pop.wait_said(f"hub {hub.url('pop1')} is down: {words}: ")
    pop.wait_rows(A, B)
    assert list(ends(smtp)) == [A]
    for words, hub in made.items():
        REFUSALS[words][1](hub)
    wait_same(pop, smtp, ips={A, B})

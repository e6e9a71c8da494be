"""Short stories on the world of `world.py`: what is sent, lost, forged and revoked. Each goes well by one rule.

There is no chance in them, so they notice each time if the rule is broken (`test_rules.py`). While time passes, the
world checks what must always be true, so that may notice it too.
"""

from __future__ import annotations

import json

from pbs_fast.share.message import sign, stream_of

from .simulated_hub import Item
from .simulated_node import GRACE, SECRET, SITE, Event, Node
from .world import World

A = "192.0.2.77"
ANNA, EVE = "anna@example.org", "eve"


def begin(nodes: int = 3, hubs: int = 1, seed: int = 1) -> World:
    """A world between two beats: these, and the samples of the clocks, come at 11, 21, 31… s."""
    return World(seed, nodes, hubs).pass_time(12)


def login(node: Node, user: str = ANNA, *, ip: str = A) -> None:
    node.happens("login", ip, user, f"{node.name}-{len(node.log)}")


def left(node: Node, ip: str = A) -> float:
    """Seconds until a row ends; 0 if there is none."""
    return next((end - node.world.time for found, _, end in node.rows() if found == ip), 0.0)


def have(world: World, ip: str = A) -> list[str]:
    """The nodes that let an address relay."""
    return [node.name for node in world.live() if left(node, ip) > 0]


def entries(world: World, node: Node) -> list[Item]:
    """What a node's stream holds."""
    return world.hubs[0].streams.get(stream_of(SITE, node.name), [])


def rows_in(items: list[Item]) -> list[Item]:
    return [item for item in items if A.encode() in item.m]


# -- what is sent -----------------------------------------------------------------------------------------------------


def a_new_row_goes_at_once() -> None:
    """node-0 has its turn before node-1, so it reads a second later."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1", "node-2"]


def an_active_client_keeps_half_a_grace_if_the_hubs_die() -> None:
    """Each time: renewed at half-life, collected for 5 s, its last login 20 s ago at most."""
    world = begin()
    for second in range(3 * GRACE):
        if second % 20 == 0:
            login(world.nodes[1])
        world.pass_time(1)
        assert left(world.nodes[2]) > GRACE / 2 - 10, f"after {second} s"


def nobody_echoes() -> None:
    world = begin()
    login(world.nodes[1])
    world.pass_time(20)
    assert rows_in(entries(world, world.nodes[1]))
    assert not rows_in(entries(world, world.nodes[2]))


def a_login_that_changes_nothing_here_is_sent() -> None:
    """A late line of a log: here a longer row of node-1 hides it, but node-0 does not trust that."""
    world = begin()
    world.nodes[0].trust({"node-2"})
    login(world.nodes[1])
    world.pass_time(3)
    assert have(world) == ["node-1", "node-2"]
    node = world.nodes[2]
    node.log.append(Event(int(world.time) - 5, "login", A, ANNA, "late"))
    node.observe(node.log[-1])
    assert node.ledger.rows()[A].node == "node-1"
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1", "node-2"]


def a_session_is_sent_for_one_grace() -> None:
    world = begin()
    login(world.nodes[0])
    world.pass_time(5)
    assert world.nodes[0].ledger.is_open(A)
    assert GRACE - 10 < left(world.nodes[2]) <= GRACE + 2


# -- what hubs and links lose -----------------------------------------------------------------------------------------


def what_failed_is_sent_again() -> None:
    world = begin()
    world.nodes[1].links[0].breaks_after = 0
    login(world.nodes[1])
    world.pass_time(1)
    assert have(world) == ["node-1"]
    world.pass_time(3)
    assert have(world) == ["node-0", "node-1", "node-2"]


def a_failover_loses_the_newest_entry() -> None:
    """Others stay, so the stream is not empty. Who was cut off had not read it."""
    world = begin()
    reader = world.nodes[2].links[0]
    reader.up = False
    login(world.nodes[1])
    world.pass_time(1)
    world.hubs[0].lose(stream_of(SITE, "node-1"), 1)
    world.disturb()
    reader.up = True
    assert entries(world, world.nodes[1])
    assert not rows_in(entries(world, world.nodes[1]))
    world.pass_time(20)
    assert have(world) == ["node-0", "node-1", "node-2"]


def a_flush_loses_all() -> None:
    world = begin()
    login(world.nodes[1])
    world.pass_time(1)
    world.hubs[0].flush()
    world.disturb()
    world.pass_time(20)
    world.nodes[2].start()
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1", "node-2"]


def a_missing_number_is_read_again() -> None:
    """The next beat shows it."""
    world = begin()
    world.nodes[2].links[0].drops = 1
    login(world.nodes[1])
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1"]
    world.pass_time(12)
    assert have(world) == ["node-0", "node-1", "node-2"]


def a_silent_stream_is_read_again() -> None:
    """What is missing is the last that a node ever wrote, so no number shows it."""
    world = begin()
    world.nodes[2].links[0].drops = 1
    login(world.nodes[1])
    world.pass_time(2)
    world.nodes[1].up = False
    world.disturb()
    assert have(world) == ["node-0"]
    world.pass_time(40)
    assert have(world) == ["node-0", "node-2"]


def a_start_reads_what_was_written_before() -> None:
    """And takes off the time since then."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(50)
    world.nodes[2].start()
    world.pass_time(2)
    assert GRACE - 54 < left(world.nodes[2]) <= GRACE - 50


def no_mirror_ends_a_row_before_its_origin() -> None:
    for seed in range(8):
        world = begin(seed=seed)
        login(world.nodes[1])
        world.pass_time(2)
        assert left(world.nodes[2]) >= left(world.nodes[1]) - 1e-6, seed


# -- strangers --------------------------------------------------------------------------------------------------------


def nobody_writes_without_the_secret() -> None:
    """With the next number and the right time, as who can read the stream knows them."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(1)
    item = rows_in(entries(world, world.nodes[1]))[-1]
    forged = {**json.loads(item.m), "q": json.loads(item.m)["q"] + 1}
    forged["r"][0][0] = "203.0.113.66"
    m = json.dumps(forged, separators=(",", ":")).encode()
    stream = stream_of(SITE, "node-1")
    for s in (item.s, sign(b"another secret", stream, m)):
        world.hubs[0].add(stream, m, s, world.time)
    world.pass_time(1)
    assert have(world, "203.0.113.66") == []
    assert world.nodes[2].inbox.counters[0]["refused_signature"] == 2
    m = m.replace(b"203.0.113.66", A.encode())
    world.hubs[0].add(stream, m, sign(SECRET, stream, m), world.time)  # nothing but the signature was wrong
    world.pass_time(1)
    assert world.nodes[2].inbox.counters[0]["known_rows"] == 1


def nobody_copies_into_another_stream() -> None:
    """node-2 does not trust node-1, whose row is copied into the stream of node-0."""
    world = begin()
    world.nodes[2].trust({"node-0"})
    login(world.nodes[1])
    world.pass_time(1)
    item = rows_in(entries(world, world.nodes[1]))[-1]
    world.hubs[0].add(stream_of(SITE, "node-0"), item.m, item.s, world.time)
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1"]


def distrust_removes_rows() -> None:
    world = begin()
    login(world.nodes[1])
    world.pass_time(2)
    world.nodes[2].trust({"node-0"})
    assert have(world) == ["node-0", "node-1"]


# -- revocations ------------------------------------------------------------------------------------------------------


def a_revoked_row_stays_away() -> None:
    """The streams are read again, and hold it."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(3)
    world.nodes[2].revoke("ip", A, world.time + 0.5)
    world.pass_time(15)
    assert rows_in(entries(world, world.nodes[1]))
    assert have(world) == []


def it_stays_away_after_the_revocation() -> None:
    """For as long as its row may come. That the next one comes shows what has been forgotten."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(3)
    world.nodes[2].revoke("ip", A, world.time + 0.5)
    world.pass_time(70)
    world.nodes[2].revoke("ip", "203.0.113.9", world.time + 0.5)
    world.pass_time(15)
    assert rows_in(entries(world, world.nodes[1]))
    assert have(world) == []


def a_later_login_counts() -> None:
    world = begin()
    login(world.nodes[1])
    world.nodes[2].revoke("ip", A, world.time + 0.5)
    world.pass_time(3)
    login(world.nodes[1])
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1", "node-2"]


def an_undone_revocation_is_over() -> None:
    world = begin()
    world.nodes[1].revoke("ip", A, world.time + 900.5)
    world.pass_time(3)
    world.nodes[1].revoke("ip", A, world.time - 0.5)
    world.pass_time(3)
    login(world.nodes[2])
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1", "node-2"]


def what_a_revoked_row_hid_comes_back() -> None:
    world = begin(nodes=4)
    login(world.nodes[1], ANNA)
    world.pass_time(3)
    login(world.nodes[2], EVE)
    world.pass_time(2)
    assert world.nodes[3].ledger.rows()[A].user == EVE
    world.nodes[1].revoke("user", EVE, world.time + 0.5)
    world.pass_time(15)
    assert have(world) == ["node-0", "node-1", "node-2", "node-3"]
    assert world.nodes[3].ledger.rows()[A].user == ANNA


def a_revocation_reaches_who_was_away_longer_than_the_streams_reach_back() -> None:
    world = begin()
    world.nodes[2].up = False
    world.disturb()
    world.nodes[1].revoke("user", EVE, world.time + 900.5)
    world.pass_time(2 * GRACE)
    world.nodes[2].start()
    world.pass_time(5)
    assert world.nodes[2].tombstones.refuses(A, EVE, "node-0", world.nodes[2].now)

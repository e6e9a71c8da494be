"""Short stories like those of `stories.py`: the clock of a hub is set."""

from __future__ import annotations

from .simulated_node import GRACE
from .stories import EVE, begin, have, left, login
from .world import World


def step(world: World, by: float) -> None:
    world.hubs[0].skew += by
    world.disturb()


def after_a_step_all_is_sent_again() -> None:
    """Times from before are an hour ahead, so who starts now takes none of them."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(3)
    step(world, -3_600)
    world.pass_time(25)
    world.nodes[2].start()
    world.pass_time(2)
    assert have(world) == ["node-0", "node-1", "node-2"]


def what_was_read_before_a_step_keeps_its_time() -> None:
    """Else a row of 35 s ago would last 35 s longer. node-1 reads before node-2 writes its stream anew."""
    world = begin()
    login(world.nodes[2])
    world.pass_time(34)
    step(world, -40)
    world.pass_time(15)
    assert 0 < left(world.nodes[1]) <= GRACE - 48


def what_comes_before_the_step_is_seen_is_read_again() -> None:
    """A node that starts after the step knows the hub's clock, the others do not for up to 10 s: to them, its
    revocation and its row seem to be an hour old, however short a time they have read its stream."""
    world = begin()
    login(world.nodes[0], EVE, ip="192.0.2.78")
    world.pass_time(1)
    world.nodes[2].up = False
    world.pass_time(1)
    step(world, -3_600)
    world.nodes[2].start()
    world.pass_time(1)
    world.nodes[2].revoke("user", EVE, world.time + 500.5)
    login(world.nodes[2])
    world.pass_time(8)
    assert have(world) == ["node-0", "node-1", "node-2"]
    found = world.nodes[1].tombstones.get("node-2", ("user", EVE))
    assert found is not None
    assert abs(world.nodes[1].world_time(found.until) - world.revocations["node-2", "user", EVE]) < 2
    assert have(world, "192.0.2.78") == []


def who_is_trusted_before_the_step_is_seen_is_read_later() -> None:
    """node-2 wrote its stream anew. If node-1 began to read it now, all of that would seem to be an hour old."""
    world = begin()
    world.nodes[1].trust({"node-0"})
    world.nodes[2].up = False
    world.pass_time(1)
    step(world, -3_600)
    world.nodes[2].start()
    world.pass_time(1)
    login(world.nodes[2])
    world.pass_time(1)
    world.nodes[1].trust({"node-0", "node-2"})
    world.pass_time(8)
    assert have(world) == ["node-0", "node-1", "node-2"]


def what_was_missed_is_not_read_by_the_new_clock() -> None:
    """node-1 was cut off and reads a row of 27 s ago; before it asks for the hub's time again, that is set back."""
    world = begin()
    reader = world.nodes[1].links[0]
    reader.up = False
    login(world.nodes[2])
    world.pass_time(27)
    reader.up = True
    world.pass_time(1)
    assert left(world.nodes[1]) > 0
    for node in (world.nodes[0], world.nodes[2]):
        node.links[0].up = False  # nobody writes its stream anew
    step(world, -30)
    world.pass_time(12)
    assert 0 < left(world.nodes[1]) <= GRACE - 39


def messages_of_the_future_are_refused() -> None:
    """Their writer is gone, so that it does not write them anew, and nobody knows how old they are."""
    world = begin()
    login(world.nodes[1])
    world.pass_time(30)
    world.nodes[1].up = False
    step(world, -3_600)
    world.nodes[2].start()
    world.pass_time(5)
    assert "node-2" not in have(world)

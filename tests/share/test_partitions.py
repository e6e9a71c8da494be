"""Links that break without a word, between network namespaces: a half with a hub each, and a node alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from daemon.running import login
from share.hubs import Hub, hubs
from share.network import Network, network
from share.nodes import Node, nodes
from share.rows import ends, same, wait_same

A, B, C, D, E = (f"203.0.113.{number}" for number in range(5, 10))
LEFT, RIGHT = ("hub1", "pop1", "smtp1"), ("hub2", "pop2", "smtp2")

pytestmark = pytest.mark.system


class Field(SimpleNamespace):
    """Two halves, joined."""

    net: Network
    hubs: list[Hub]
    pop1: Node
    smtp1: Node
    pop2: Node
    smtp2: Node

    @property
    def all(self) -> list[Node]:
        return [self.pop1, self.smtp1, self.pop2, self.smtp2]


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with ExitStack() as stack:
        net = stack.enter_context(network(LEFT, RIGHT))
        new_hub, new_node = stack.enter_context(hubs()), stack.enter_context(nodes())
        made = [new_hub(bind=net.hosts[name].address, prefix=net.hosts[name].prefix) for name in ("hub1", "hub2")]
        found = {name: new_node(name, made, logs=name.startswith("pop")) for name in (*LEFT[1:], *RIGHT[1:])}
        found["pop1"].append(login(A, at=time.time() - 30))
        for name, node in found.items():
            node.start(prefix=net.hosts[name].prefix)
        field = Field(net=net, hubs=made, **found)
        wait_same(*field.all, ips={A})
        yield field


def test_two_halves_with_a_hub_each(field: Field) -> None:
    field.net.cut()
    field.pop1.append(login(B))
    field.pop2.append(login(A), login(C))
    wait_same(field.pop1, field.smtp1, ips={A, B})
    wait_same(field.pop2, field.smtp2, ips={A, C})
    for node, far in ((field.smtp1, field.hubs[1]), (field.smtp2, field.hubs[0])):
        node.wait_said(f"hub {far.url(node.name)} is down: no answer in time; 1 of 2 serve")
    field.pop1.wait_said(f"hub {field.hubs[1].url('pop1')} is down: no answer in time")
    time.sleep(2)  # by then the system gave up what pop1 wrote to it
    assert ends(field.smtp2)[A] - ends(field.smtp1)[A] > 25
    field.net.join()
    wait_same(*field.all, ips={A, B, C})  # of the two ends the later one, which pop2 knows
    for node in field.all:
        node.wait_up()


def test_a_node_alone(field: Field) -> None:
    before = ends(field.smtp2)
    field.net.cut("smtp2")
    field.pop1.append(login(D))
    field.pop2.append(login(E))
    wait_same(field.pop1, field.smtp1, field.pop2, ips={A, B, C, D, E})
    field.smtp2.wait_said("; no other serves: nothing is shared")
    assert same(ends(field.smtp2), before)
    field.net.join("smtp2")
    wait_same(*field.all, ips={A, B, C, D, E})
    # The hubs lost nothing, and took nothing late of a connection that was given up: nothing had to be sent again.
    for node in field.all:
        assert "does not end with what we last wrote" not in node.said()

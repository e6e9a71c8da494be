"""Nodes that share over real hubs: a login on one opens the relay on all; what a hub's fault costs; revocations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from daemon.running import login
from share.hubs import Hub, hubs
from share.nodes import Node, nodes

A, B, C = "203.0.113.5", "203.0.113.6", "203.0.113.7"

pytestmark = pytest.mark.system


@pytest.fixture
def new_hub() -> Iterator[Callable[..., Hub]]:
    with hubs() as make:
        yield make


@pytest.fixture
def new_node() -> Iterator[Callable[..., Node]]:
    with nodes() as make:
        yield make


def test_a_login_on_one_node_opens_the_relay_on_another(
    new_hub: Callable[..., Hub], new_node: Callable[..., Node]
) -> None:
    hub = new_hub(tls=True)
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    pop.start()
    smtp.start()
    pop.append(login(A, "anna@example.org"))
    smtp.wait_rows(A)
    assert smtp.status()["rows"]["hub"] == 1

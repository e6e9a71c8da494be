"""Guards with a known machine around them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pbs_fast.config.model import Guards as GuardConfig
from pbs_fast.guards import Guards, Machine
from pbs_fast.guards.deny import DenyList
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.util.addresses import parse_network

MACHINE = Machine(
    own=(parse_network("192.0.2.2"), parse_network("2001:db8::2"), parse_network("198.18.0.0/24")),
    broadcast=(parse_network("192.0.2.255"),),
    gateways=(parse_network("192.0.2.1"), parse_network("2001:db8::1"), parse_network("172.17.0.1")),
)

NO_DENIALS = DenyList()

MakeGuards = Callable[..., Guards]


class Live(dict[str, None]):
    """What stands in for the ledger."""

    granted = 0


@pytest.fixture(params=["rust", "python"])
def make(request: pytest.FixtureRequest) -> MakeGuards:
    """Guards with and without the Rust backend's look at addresses."""
    near = pytest.importorskip("pbs_fast._core").near_addresses if request.param == "rust" else None

    def make(*, mynetworks: Sequence[str] = (), deny: DenyList = NO_DENIALS, **config: Any) -> Guards:
        return Guards(GuardConfig(**config), read_netblocks(mynetworks), MACHINE, deny, near=near)

    return make

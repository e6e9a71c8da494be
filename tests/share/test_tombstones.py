"""Which logins a revocation covers where its second and theirs came over hubs' clocks."""

from __future__ import annotations

import pytest

from pbs_fast.share.tombstones import Denied, Tombstones

UNTIL = 1_000.0


@pytest.mark.parametrize("noise", [-0.3, -0.003, 0.0, 0.003, 0.3])
@pytest.mark.parametrize(("second", "refused"), [(-1, True), (0, True), (1, False)])
def test_a_login_of_its_last_second_is_covered_however_the_clocks_were_measured(
    noise: float, second: int, refused: bool
) -> None:
    """A node's log has whole seconds; a hub's offset is known to some milliseconds only."""
    tombstones = Tombstones(1_800)
    assert tombstones.add(Denied("pop1", "user", "eve", UNTIL, 1, "root@pop1", ""), UNTIL)
    assert tombstones.refuses("192.0.2.1", "Eve", "pop1", UNTIL + second + noise) is refused

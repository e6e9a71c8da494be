"""The collector stands aside for a while, and then is as it was."""

from __future__ import annotations

import gc

import pytest

from pbs_fast.collector import collector_aside


@pytest.mark.parametrize("was_on", [True, False])
def test_it_is_off_meanwhile_and_afterwards_as_before(was_on: bool) -> None:
    if not was_on:
        gc.disable()
    try:
        with collector_aside():
            assert not gc.isenabled()
        with pytest.raises(ZeroDivisionError), collector_aside():
            1 / 0  # noqa: B018
        assert gc.isenabled() == was_on
    finally:
        gc.enable()

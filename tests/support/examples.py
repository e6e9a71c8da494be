"""How many examples a property is tried with that takes more, or fewer, than others do."""

from __future__ import annotations

from hypothesis import settings

#: What the profile `ci` (tests/conftest.py) runs of a property that says nothing else.
_USUAL = 150


def examples(count: int) -> settings:
    """`count` examples by the profile `ci`, and of other profiles as much as these have of the usual number."""
    return settings(max_examples=max(10, count * settings().max_examples // _USUAL))

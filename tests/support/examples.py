"""How many examples a property is tried with that takes more, or fewer, than others do."""

from __future__ import annotations

from hypothesis import settings

#: What the profile `ci` (tests/conftest.py) runs of a property that says nothing else.
_USUAL = 150


def scaled(count: int) -> int:
    """`count` by the profile `ci`, and by other profiles as much as these have of the usual number."""
    return max(10, count * settings().max_examples // _USUAL)


def examples(count: int) -> settings:
    """The settings of a property with so many examples by the profile `ci`."""
    return settings(max_examples=scaled(count))

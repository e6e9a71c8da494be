"""What the old patterns become: `[[format]]` tables, names of built-in formats, and the keys that go with them.

Imports nothing of the package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: What to do about a pattern that is not carried over.
DOCS = "write what it takes as [[format]] tables (docs/FORMATS.md)"


@dataclass
class OwnFormat:
    """One `[[format]]`."""

    keys: dict[str, Any]
    was: list[str]

    def where(self, key: str = "", within: str = "") -> str:
        """As pbs_fast.formats.custom asks a table."""
        return f"{within}.{key}".strip(".")


@dataclass
class Formats:
    """What came of all patterns."""

    own: list[OwnFormat] = field(default_factory=list)
    built_in: dict[str, None] = field(default_factory=dict)
    """Formats of the catalogue that read a pattern's lines."""
    tags: dict[str, list[str]] = field(default_factory=dict)
    """Format of the catalogue -> tags to add."""
    logtime: str | None = None
    logtime_was: str = ""
    logtime_pattern: str = ""
    ended: bool = False
    """Whether there is a logout pattern."""
    counts: str = ""
    """What switched the counting of connections on."""


def pattern_text(value: Any) -> str:
    """A pattern's text, of a string or of qr//; empty for none."""
    if isinstance(value, dict):
        value = value.get("regexp")
    return str(value or "")

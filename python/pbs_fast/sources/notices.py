"""What a source has to say, each thing once: for the daemon's log, never for decisions.

Imports nothing of the package.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["missing", "unreadable", "found", "rotated", "truncated", "read-error", "lost", "not-a-log", "refused"]


class Notice(NamedTuple):
    """One change of state of one log."""

    kind: Kind
    path: str
    """The log's path as configured; bytes that are no UTF-8 as surrogate escapes."""
    text: str
    """One printable line: what, where, and what to do where something is to be done."""

"""What one check found: the lines of `pbs-fast doctor`, and what the daemon warns of at its start."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

#: `fail`: users cannot relay, or strangers can. `warn`: it works now, and a fault or a change would stop it. `note`:
#: worth knowing. `skip`: nothing to look at, or it cannot be told from outside.
Level = Literal["ok", "note", "warn", "fail", "skip"]

CANNOT_TELL: Final = "cannot tell"


class Finding(NamedTuple):
    """One of them. Texts are one line each; they may hold words of other programs' files."""

    code: str
    level: Level
    evidence: str
    """What was looked at, and what is there."""
    advice: str = ""
    """What to do, or what it means."""

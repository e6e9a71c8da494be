"""What became of each thing in the old file, for the administrator: carried over, covered, not carried over.

Carried over is what the TOML says, each line with what it was. Imports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """The notes to print, in the file's order."""

    notes: list[str] = field(default_factory=list)
    """All notes, including those about what was left out."""
    left_out: list[str] = field(default_factory=list)
    """What decides about grants, table, log or networks and was not carried over."""
    comments: list[str] = field(default_factory=list)
    """Lines for the TOML, to be taken where the next settings are written."""

    def note(self, text: str) -> None:
        """Something that nobody has to act on."""
        self.notes.append(text)

    def remark(self, text: str) -> None:
        """Something that only the TOML says, where it belongs."""
        self.comments.append(text)

    def cover(self, text: str) -> None:
        """A pattern that a built-in format reads."""
        self.notes.append(text)
        self.comments.append(text)

    def leave(self, what: str, why: str, instead: str) -> None:
        """Something that is not carried over although it decides."""
        text = f"{what}: {why}; {instead}"
        self.notes.append(text)
        self.left_out.append(text)
        self.comments.append(f"NOT CARRIED OVER: {text}")

    def add(self, other: Report) -> None:
        """Take over all that another report says."""
        self.notes += other.notes
        self.left_out += other.left_out
        self.comments += other.comments

    def take_comments(self) -> list[str]:
        """The comments since the last time."""
        taken, self.comments = self.comments, []
        return taken

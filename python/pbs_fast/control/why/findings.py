"""What was found in the logs: pure data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from pbs_fast.util.text import rfc3339

#: Fields that hold seconds since the epoch.
_TIMES = frozenset({"at", "since", "now", "ends"})


class Line(NamedTuple):
    """One line of a log."""

    path: str
    """The file, or the name of what is no file (`journal`)."""
    offset: int
    """Of its first byte, in bytes of text."""
    text: str
    number: int | None = None
    """From 1; None where lines have no numbers, or where the file has changed since."""

    @property
    def place(self) -> str:
        """`PATH:NUMBER`, or the path alone."""
        return self.path if self.number is None else f"{self.path}:{self.number}"


class Login(NamedTuple):
    """A login of the window."""

    at: int
    """Seconds since the epoch."""
    ip: str
    user: str | None
    host: str
    format: str
    guard: str
    """What refuses it by the configuration of now: a guard's name, `local`, or "" for none."""
    line: Line


class Missed(NamedTuple):
    """A line that looks like a login, and that no pattern took."""

    reason: str
    line: Line


class Message(NamedTuple):
    """A message that an address handed to Postfix without authentication."""

    at: int | None
    ip: str
    queue_id: str


class LogPart(NamedTuple):
    """What one log covers."""

    name: str
    complete: bool
    """It was read back to the start of the window."""
    reason: str
    """How far back it was read, or why not far enough."""


@dataclass
class Findings:
    """What the logs say of some addresses or of a login, within a window."""

    since: int
    now: int
    """The window, in seconds since the epoch."""
    grace: int
    logs: list[LogPart] = field(default_factory=list)
    logins: list[Login] = field(default_factory=list)
    """In the order of the logs, then of their lines."""
    missed: list[Missed] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    """Address -> the end of its grant by these logins alone, in seconds since the epoch; past ones included."""
    notes: list[str] = field(default_factory=list)
    """What could not be taken into account."""
    counted_sessions: bool = False
    """Open sessions keep rows longer than `ends` says."""

    def replace_lines(self, fresh: dict[Line, Line]) -> None:
        """Put lines in the place of others, as those with numbers."""
        self.logins = [each._replace(line=fresh.get(each.line, each.line)) for each in self.logins]
        self.missed = [each._replace(line=fresh.get(each.line, each.line)) for each in self.missed]

    def as_dict(self) -> dict[str, Any]:
        """All of it as values of JSON, under the names of its fields; times as in the daemon's replies, RFC 3339."""
        return {each.name: _plain(getattr(self, each.name), each.name) for each in fields(self)}


def _plain(value: Any, name: str) -> Any:
    if hasattr(value, "_asdict"):
        return {key: _plain(item, key) for key, item in value._asdict().items()}
    if isinstance(value, dict):
        return {key: _plain(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, name) for item in value]
    return rfc3339(value) if name in _TIMES and value is not None else value

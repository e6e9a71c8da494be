"""What both backends say about a line of Postfix (docs/MATCHING.md, 9).

A plain tuple and numbers, because a busy hub has ten thousand such lines in a piece of its log.
"""

from __future__ import annotations

CLIENT, SENT, FILTERED, NAMED, GREETING, SESSION = range(6)

PostfixLine = tuple[int, int, bytes, str, str | None, bytes | None, str, bool]
"""Second since the epoch; kind; key (host, blank, queue id); address; user; other; helo; flag."""

NOQUEUE = b"NOQUEUE"
"""The queue id of what is not in the queue (yet)."""

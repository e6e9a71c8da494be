"""Sessions: what a later line of a session takes from an earlier one (docs/MATCHING.md, 6).

A logout without an address takes that of the login with its session id. The steps of a session over several lines, with
the same host, tag and pid, become logins and logouts. Works on resolved timestamps, in line order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from pbs_fast.matching.python.record import OF_EVENT, missed
from pbs_fast.matching.python.tags import STEPS

if TYPE_CHECKING:
    from pbs_fast.matching.python.record import Record

MAX_SESSIONS: Final = 131_072
"""Sessions remembered per format, and by each of the two joins."""
LONGEST: Final = 512
"""Bytes of a session's id, of its host, tag and pid with a blank between, and of its login's user and id, that are
remembered: 131,072 forged lines of 16 KiB would be 2 GiB."""
ORDER_SLACK: Final = 300
"""Seconds by which a log's timestamps may go back without an hour having been set back."""
MAX_AGE: Final = 600
"""Seconds from a session's address line to its success, at most."""

_STEPS: Final = frozenset(STEPS)
_Step = tuple[bytes, bytes, bytes]
"""Host, tag and pid, as written in the line."""
_K = TypeVar("_K")
_V = TypeVar("_V")


class Sessions:
    """The open sessions of one source."""

    def __init__(self, joins: Iterable[str], stepped: Iterable[str]) -> None:
        """`joins` and `stepped` are names of formats: whose logouts have session ids, who has steps."""
        self._by_id: dict[str, dict[str, str]] = {name: {} for name in joins}
        # A session is its address line's record until its success, then its login's.
        self._by_key: dict[str, dict[_Step, Record]] = {name: {} for name in stepped}

    def with_addresses(self, records: list[Record]) -> list[Record]:
        """The records, with the addresses of logouts that have none of their own."""
        resolved = None
        by_id = self._by_id
        for i, record in enumerate(records):
            session = record[7]
            if session is None:
                continue
            open_sessions = by_id.get(record[4])
            if open_sessions is None:
                continue
            if record[1] == "login":
                if _length(session) <= LONGEST:
                    _remember(open_sessions, session, cast(str, record[2]))
            elif record[2] is None and record[1] == "logout":
                resolved = list(records) if resolved is None else resolved
                at, kind, ip, *rest = record
                ip = open_sessions.pop(session, None)
                resolved[i] = (at, kind, ip, *rest)  # type: ignore[assignment]
        return records if resolved is None else resolved

    def stepped(self, records: list[Record]) -> list[Record]:
        """The records, in order, with what comes of steps instead of them."""
        resolved: list[Record] = []
        for record in records:
            if record[1] in _STEPS:
                event = self._step(record)
                if event is not None:
                    resolved.append(event)
            else:
                resolved.append(record)
        return resolved

    def _step(self, record: Record) -> Record | None:
        """The login, logout or missed line that comes of a step."""
        kind, timestamp, pid = record[1], record[3], record[12]
        sessions = self._by_key[record[4]]
        key = None if pid is None else (*record[11], pid)
        if kind == "success":
            known = None if key is None else sessions.get(key)
            if key is None or known is None:
                return missed(record[0], record[4], record[6], "no-session")
            if known[1] == "login":
                return None
            if not -ORDER_SLACK <= cast(int, timestamp) - cast(int, known[3]) <= MAX_AGE:
                return missed(record[0], record[4], record[6], "no-session")
            tls = known[8] if record[8] is None else record[8]
            login: Record = (record[0], "login", known[2], *record[3:8], tls, known[9], *record[10:])
            if _length(record[5]) + _length(record[7]) > LONGEST:
                del sessions[key]
            else:
                sessions[key] = login
            return login
        if key is None:
            return None
        if kind == "address":
            if record[2] is None or timestamp is None:
                sessions.pop(key, None)
            elif sum(map(len, key)) + 2 <= LONGEST:
                _remember(sessions, key, record)
            return None
        known = sessions.pop(key, None)
        if kind == "failure" or known is None or known[1] != "login":
            return None
        if timestamp is None:
            return missed(record[0], record[4], record[6], "bad-stamp")
        return (record[0], "logout", known[2], timestamp, *known[4:OF_EVENT], *record[OF_EVENT:])


def _length(text: str | None) -> int:
    """Bytes of a text; 0 for a missing one."""
    return 0 if text is None else len(text) if text.isascii() else len(text.encode())


def _remember(sessions: dict[_K, _V], key: _K, value: _V) -> None:
    """Keep it as the newest; forget the oldest beyond MAX_SESSIONS."""
    sessions.pop(key, None)
    sessions[key] = value
    if len(sessions) > MAX_SESSIONS:
        del sessions[next(iter(sessions))]

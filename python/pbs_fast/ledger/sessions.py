"""Which sessions are open, and from which address: what `count_sessions` keeps next to the ledger's rows.

Pure: no clock, no I/O; timestamps are seconds on the ledger's clock. A session is known by what its server writes about
it (`identity`); where a server writes nothing that tells two sessions of one address apart, they are counted.
Invariants, held by tests/ledger:
- a session is open from its login to its logout, its address's `forget`, or `max_session` seconds after its login;
- the same session seen in two logs is one session, and ends once;
- no session is open that began before its server's latest start;
- memory is that of MAX_OPEN open sessions at most and two bounded memories of the ended ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from typing import Literal, NamedTuple, TypeVar

from pbs_fast.ledger.recognition import Recognition, Server

#: How the end of a format's session is recognised: its line names the address, or the session's id, or nothing but the
#: process that serves it.
Ends = Literal["address", "session", "process"]

#: A logout is written by another process than its login, and may come first by so many seconds (Dovecot).
EARLY = 300
#: An error is that of a login so many seconds before it, or, because two processes write, a few after it.
ABORT, ABORT_EARLY = 60, 5
#: Open sessions; a login beyond them opens none, so its address is granted for `grace` alone. Whoever may write to a
#: log could otherwise open any number.
MAX_OPEN = 1_000_000
#: Ended sessions that are remembered, to know them again in a second log.
_REMEMBERED = 65_536
#: Servers whose starts are remembered, and those whose sessions are not counted any more.
_SERVERS = 4_096
#: Caps are looked up by minutes; each is still exact to the second.
_MINUTE = 60

K = TypeVar("K")
V = TypeVar("V")


class Line(NamedTuple):
    """One login or logout, as a row of a Batch that was not folded."""

    source: str
    host: str
    format: str
    process: str
    """`tag[pid]`, or `tag`, or nothing."""
    session: str | None
    ip: str
    """Empty for a logout whose line does not name it."""
    timestamp: int


class Session(NamedTuple):
    """An open session."""

    ip: str
    opened: int
    user: str | None
    format: str
    host: str
    process: str = ""
    """That of its login's line, `tag[pid]`."""

    @property
    def server(self) -> Server:
        """Whose session it is."""
        return self.format, self.host


#: Host, format, address (empty where ends do not name it), and session id, process, or a number for the nameless.
Key = tuple[str, str, str, str | int]


class OpenSessions:
    """The open sessions of all addresses. Not for several threads at once."""

    def __init__(self, max_session: int, ends: Mapping[str, Ends]) -> None:
        """`max_session` in seconds. `ends`: format -> how its sessions end; the sessions of others are not counted."""
        self.max_session = max_session
        self.ends = ends
        self.on_unrecognised: Callable[[str, str], None] | None = None
        """Called with format and host of a server whose sessions are not counted from now on."""
        self.replaced: list[Session] = []
        """Sessions of which another address's login has the id or process now; for the caller of `open` to take."""
        self._open: dict[Key, Session] = {}
        self._of: dict[str, dict[Key, None]] = {}
        self._caps: dict[int, dict[Key, None]] = {}
        self._minutes: list[int] = []
        #: Ended sessions: the timestamp of their login, or (None, timestamp of the logout) where that came first.
        self._ended: OrderedDict[Key, int | tuple[None, int]] = OrderedDict()
        #: Nameless logins and logouts by what they have: how often each source told them.
        self._told: OrderedDict[tuple[str, ...], dict[str, int]] = OrderedDict()
        self._number = 0
        #: Sessions by what the words that end them without a logout name: server, process, user (`_names`).
        self._named: dict[tuple[str, ...], dict[Key, None]] = {}
        #: The latest start of each server.
        self._starts: OrderedDict[Server, int] = OrderedDict()
        #: Errors that came before their logins: format, host and user -> timestamp.
        self._errors: OrderedDict[tuple[str, str, str], int] = OrderedDict()
        self._recognition = Recognition(max_session)
        self._uncounted: OrderedDict[Server, None] = OrderedDict()

    def fresh(self) -> OpenSessions:
        """The same with no session open."""
        made = OpenSessions(self.max_session, self.ends)
        made.on_unrecognised = self.on_unrecognised
        return made

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, ip: object) -> bool:
        return ip in self._of

    def items(self) -> Iterator[tuple[Key, Session]]:
        """All open sessions, in the order in which they were opened."""
        return iter(self._open.items())

    def youngest(self, ip: str) -> Session | None:
        """The session of an address that was opened last; None when it has none."""
        keys = self._of.get(ip)
        return None if keys is None else max((self._open[key] for key in keys), key=lambda session: session.opened)

    def open(self, line: Line, user: str | None) -> bool:
        """A login was seen: whether it opened a session. It does not where its end could not be recognised, and where
        there are MAX_OPEN already."""
        if len(self._open) >= MAX_OPEN:
            return False
        how = self.ends.get(line.format)
        name: str | int | None = _name(line, how)
        if how is None or (name is None and how != "address"):
            return False
        server: Server = line.format, line.host
        if server in self._uncounted or line.timestamp < self._starts.get(server, line.timestamp):
            return False
        if user is not None and self._errors and self._error_of(line, user):
            return False
        if name is None:
            if self._was_told(line, "login"):
                return False
            self._number += 1
            name = self._number
        key: Key = (line.host, line.format, line.ip if how == "address" else "", name)
        if (ended := self._ended.get(key)) is not None:
            if ended == line.timestamp:
                return False
            if isinstance(ended, tuple):
                del self._ended[key]
                if abs(line.timestamp - ended[1]) <= EARLY:
                    return False
        if (old := self._open.get(key)) is not None:
            if old.ip == line.ip and old.opened >= line.timestamp:
                return False
            self._remove(key)
            if old.ip != line.ip:
                self.replaced.append(old)
        self._add(key, Session(line.ip, line.timestamp, user, line.format, line.host, line.process))
        self._recognition.opened(server, key, line.timestamp)
        return True

    def close(self, line: Line) -> Session | None:
        """A logout was seen: the session that it ends; None where no such session is open."""
        how = self.ends.get(line.format)
        name = _name(line, how)
        if how is None or (not line.ip if how == "address" else name is None):
            return None
        place = (line.host, line.format, line.ip if how == "address" else "")
        if name is None:
            if self._was_told(line, "logout"):
                return None
            nameless = (key for key in self._of.get(line.ip, ()) if key[:3] == place and isinstance(key[3], int))
            oldest = next(nameless, None)
            return None if oldest is None else self._closed(oldest)
        key: Key = (*place, name)
        if key not in self._open:
            if line.session is not None and key not in self._ended:
                self._remember(key, (None, line.timestamp))
            return None
        session = self._closed(key)
        self._remember(key, session.opened)
        return session

    def restarted(self, line: Line) -> list[Session]:
        """A server started or stopped, which ends its sessions; an older login that is told later opens none."""
        server: Server = line.format, line.host
        _put(self._starts, server, max(line.timestamp, self._starts.get(server, line.timestamp)), _SERVERS)
        self._recognition.anew(server)
        self._uncounted.pop(server, None)
        return self._lost(key for key in self._of_server(server) if self._open[key].opened <= line.timestamp)

    def killed(self, line: Line) -> list[Session]:
        """A process ended: the sessions that it served, and the one that the line names."""
        keys = dict(self._named.get(("process", line.format, line.host, line.process), {}))
        if line.session is not None and self.ends.get(line.format) == "session":
            keys[line.host, line.format, "", line.session] = None
        return self._lost(key for key in keys if key in self._open and self._open[key].opened <= line.timestamp)

    def aborted(self, line: Line, user: str | None) -> list[Session]:
        """An error ended a login of a user: the sessions of all that it can be."""
        if user is None:
            return []
        keys = self._named.get(("user", line.format, line.host, user), ())
        lost = self._lost(key for key in keys if -ABORT_EARLY <= line.timestamp - self._open[key].opened <= ABORT)
        if not lost:
            _put(self._errors, (line.format, line.host, user), line.timestamp, _REMEMBERED)
        return lost

    def unrecognised(self, now: float) -> Iterator[Session]:
        """End the sessions of servers whose ends are not recognised; none is counted before the next start."""
        for server in self._recognition.unrecognised(now):
            _put(self._uncounted, server, None, _SERVERS)
            yield from self._lost(self._of_server(server))
            if self.on_unrecognised is not None:
                self.on_unrecognised(*server)

    def overdue(self, now: float) -> Iterator[Session]:
        """End the sessions that were open for `max_session` seconds."""
        while self._minutes and self._minutes[0] * _MINUTE <= now:
            keys = self._caps[self._minutes[0]]
            for key in [key for key in keys if self._open[key].opened + self.max_session <= now]:
                session = self._remove(key)
                self._remember(key, session.opened)
                yield session
            if keys:
                return
            del self._caps[heappop(self._minutes)]

    def next_overdue(self) -> int | None:
        """When to call `overdue` next, at the latest."""
        while self._minutes and not self._caps[self._minutes[0]]:
            del self._caps[heappop(self._minutes)]
        if not self._minutes:
            return None
        return min(self._open[key].opened for key in self._caps[self._minutes[0]]) + self.max_session

    def forget(self, ip: str) -> None:
        """End all sessions of an address; their logouts will find nothing."""
        for key in list(self._of.get(ip, ())):
            self._recognition.lost(self._remove(key).server, key)

    def end(self, ip: str, which: Callable[[Session], bool]) -> list[Session]:
        """End those of an address's sessions that somebody names."""
        return self._lost(key for key in self._of.get(ip, ()) if which(self._open[key]))

    @property
    def uncounted(self) -> tuple[Server, ...]:
        """The servers whose ends are not recognised."""
        return tuple(self._uncounted)

    def restore(self, sessions: Iterable[tuple[Key, Session]], uncounted: Iterable[Server]) -> None:
        """Take over what `items` and `uncounted` gave before, from an earlier run."""
        self._uncounted.update(dict.fromkeys(uncounted))
        for key, session in sessions:
            if isinstance(key[3], int):
                self._number = max(self._number, key[3])
            self._add(key, session)

    def _add(self, key: Key, session: Session) -> None:
        self._open[key] = session
        self._of.setdefault(session.ip, {})[key] = None
        for name in _names(session):
            self._named.setdefault(name, {})[key] = None
        minute = (session.opened + self.max_session) // _MINUTE
        if (bucket := self._caps.get(minute)) is None:
            bucket = self._caps[minute] = {}
            heappush(self._minutes, minute)
        bucket[key] = None

    def _remove(self, key: Key) -> Session:
        session = self._open.pop(key)
        keys = self._of[session.ip]
        del keys[key]
        if not keys:
            del self._of[session.ip]
        for name in _names(session):
            named = self._named[name]
            del named[key]
            if not named:
                del self._named[name]
        del self._caps[(session.opened + self.max_session) // _MINUTE][key]
        return session

    def _closed(self, key: Key) -> Session:
        session = self._remove(key)
        self._recognition.closed(session.server, key)
        return session

    def _lost(self, keys: Iterable[Key]) -> list[Session]:
        """End sessions by other words than their own."""
        sessions = []
        for key in list(keys):
            session = self._remove(key)
            self._remember(key, session.opened)
            self._recognition.lost(session.server, key)
            sessions.append(session)
        return sessions

    def _of_server(self, server: Server) -> Iterable[Key]:
        return self._named.get(("server", *server), ())

    def _error_of(self, line: Line, user: str) -> bool:
        """Whether this login's error was seen already."""
        timestamp = self._errors.pop((line.format, line.host, user), None)
        return timestamp is not None and 0 <= line.timestamp - timestamp <= ABORT_EARLY

    def _remember(self, key: Key, what: int | tuple[None, int]) -> None:
        _put(self._ended, key, what, _REMEMBERED)

    def _was_told(self, line: Line, kind: str) -> bool:
        """Whether another source told this nameless event: it counts as often as the source that has it most often."""
        event = (kind, line.host, line.format, line.ip, str(line.timestamp))
        told = self._told.get(event)
        if told is None:
            told = self._told[event] = {}
            if len(self._told) > _REMEMBERED:
                self._told.popitem(last=False)
        most = max(told.values(), default=0)
        told[line.source] = told.get(line.source, 0) + 1
        return told[line.source] <= most


def _name(line: Line, how: Ends | None) -> str | None:
    """What tells the sessions of one host, format and address apart: the id, or the process; None for nothing."""
    if line.session is not None and how != "process":
        return line.session
    return line.process if line.process.endswith("]") and how != "session" else None


def _names(session: Session) -> Iterator[tuple[str, ...]]:
    """What words that end sessions without a logout may call a session."""
    yield "server", *session.server
    if session.process.endswith("]"):
        yield "process", *session.server, session.process
    if session.user is not None:
        yield "user", *session.server, session.user


def _put(memory: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    """Keep it as the newest, and forget the oldest beyond `most`."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > most:
        memory.popitem(last=False)

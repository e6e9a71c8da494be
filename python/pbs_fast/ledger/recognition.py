"""Whether the ends of a server's sessions are recognised at all: what `count_sessions` asks before it goes on counting.

A site may write the lines that end its sessions as it likes (Dovecot's `mail_log_prefix`), or not at all. Then no
session seems to end, and each address would relay for `max_session`. So some sessions of each server are watched for
longer than most sessions last, and a server is named when next to none of them ended by a line of its own. Pure: no
clock, no I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator

#: Format and host.
Server = tuple[str, str]

#: Sessions of a server that are watched at a time.
WATCHED = 20
#: Shares of `max_session` after which they are judged: 3 h and 12 h of a day. Most clients of an office may stay
#: connected for a morning, but then some session ends in it.
EARLY_SHARE, LATE_SHARE = 1 / 8, 1 / 2
#: Servers that are watched; each has a login that was believed.
_SERVERS = 4_096
#: Seconds between two looks at all of them.
_EVERY = 60


class _Watch:
    """The first sessions of a server since its last judgement."""

    __slots__ = ("any_ended", "ended", "judged_early", "left", "open", "since")

    def __init__(self) -> None:
        self.open: set[Hashable] = set()
        """Those that did not end by a line: still open, or for `max_session`."""
        self.ended = 0
        self.left = WATCHED
        """How many are to be added."""
        self.since = 0
        """Login of the youngest."""
        self.any_ended = False
        """Whether any session of the server ended by a line meanwhile."""
        self.judged_early = False


class Recognition:
    """What is known of each server's ends. `opened`, `closed` and `lost` are told of each session once."""

    def __init__(self, max_session: int) -> None:
        """`max_session` in seconds."""
        self._early, self._late = max_session * EARLY_SHARE, max_session * LATE_SHARE
        self._watched: OrderedDict[Server, _Watch] = OrderedDict()
        self._next_look = float("-inf")

    def opened(self, server: Server, session: Hashable, timestamp: int) -> None:
        """A session began at `timestamp`."""
        watch = self._watched.get(server)
        if watch is None:
            watch = self._watched[server] = _Watch()
            if len(self._watched) > _SERVERS:
                self._watched.popitem(last=False)
        if watch.left:
            watch.left -= 1
            watch.open.add(session)
            watch.since = max(watch.since, timestamp)

    def closed(self, server: Server, session: Hashable) -> None:
        """A session ended by a line that was recognised."""
        watch = self._watched.get(server)
        if watch is not None:
            watch.any_ended = True
            if session in watch.open:
                watch.open.remove(session)
                watch.ended += 1

    def lost(self, server: Server, session: Hashable) -> None:
        """A session ended in another way, which says nothing of its server's lines."""
        watch = self._watched.get(server)
        if watch is not None:
            watch.open.discard(session)

    def anew(self, server: Server) -> None:
        """The server was started, maybe with other settings: what was known of it is of no use."""
        self._watched.pop(server, None)

    def unrecognised(self, now: float) -> Iterator[Server]:
        """The servers of which at `now` it can be said that the ends of most sessions are not recognised, each once."""
        if now < self._next_look:
            return
        self._next_look = now + _EVERY
        for server, watch in list(self._watched.items()):
            if watch.left or now < watch.since + self._early:
                continue
            late = now >= watch.since + self._late
            verdict = False
            if not watch.judged_early:
                watch.judged_early = True
                verdict = not watch.any_ended and len(watch.open) >= WATCHED // 2
            if late and not verdict:
                verdict = len(watch.open) > max(watch.ended, WATCHED // 4)
            if late or verdict:
                del self._watched[server]
            if verdict:
                yield server

"""Events on their way to those who watch: a ring for each watcher, filled by the loop and emptied by the thread.

Invariants: a watcher that does not read costs its ring and nothing else; it loses the oldest events, and is told how
many; the others notice nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from threading import Lock
from typing import NamedTuple

from pbs_fast.control import protocol, wire
from pbs_fast.control.replies import EventBody

#: Events that wait for one watcher.
RING = 4_096
#: Events that are encoded and sent at once.
_TOGETHER = 128


class Happened(NamedTuple):
    """One event. Its text and its keys are made when it is sent, because most are not wanted by anybody."""

    kind: str
    describe: Callable[[], EventBody]


class Watcher:
    """One client that watches."""

    def __init__(self, request_id: int, kinds: Collection[str]) -> None:
        """`kinds` empty: all."""
        self._id = request_id
        self.kinds = frozenset(kinds or protocol.EVENTS)
        self._ring: deque[tuple[int, Happened]] = deque()
        self.lost = self._told = 0
        """Events that it was too slow for."""

    def put(self, number: int, event: Happened) -> None:
        """Take an event, if it is wanted."""
        if event.kind not in self.kinds:
            return
        if len(self._ring) >= RING:
            try:
                self._ring.popleft()
                self.lost += 1
            except IndexError:  # the thread took all in between
                pass
        self._ring.append((number, event))

    def more(self) -> bytes:
        """The next events as lines, b"" when there is none; called in the server's thread."""
        out: list[bytes] = []
        if (lost := self.lost) != self._told:
            out.append(wire.line({"v": protocol.VERSION, "id": self._id, "lost": lost - self._told}))
            self._told = lost
        while self._ring and len(out) < _TOGETHER:
            try:
                number, event = self._ring.popleft()
            except IndexError:  # the loop made room
                break
            record = {"n": number, **event.describe()}
            out.append(wire.line({"v": protocol.VERSION, "id": self._id, "event": record}))
        return b"".join(out)


class Watchers:
    """All of them. `put` may be called from any thread."""

    def __init__(self) -> None:
        self._watchers: dict[int, Watcher] = {}
        self.wanted: frozenset[str] = frozenset()
        """The kinds that somebody watches for; another object after each change."""
        self._number = 0
        self._lost = 0
        """Of those that are gone."""
        self._lock = Lock()

    def __len__(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @property
    def lost(self) -> int:
        """Events that watchers were too slow for; never less than before."""
        with self._lock:
            return self._lost + sum(watcher.lost for watcher in self._watchers.values())

    def add(self, client: int, watcher: Watcher) -> None:
        """Events go to this client from now on."""
        self._become({**self._watchers, client: watcher})

    def remove(self, client: int) -> None:
        """No further events go to this client."""
        if client in self._watchers:
            with self._lock:
                self._lost += self._watchers[client].lost
                self._become({number: watcher for number, watcher in self._watchers.items() if number != client})

    def _become(self, watchers: dict[int, Watcher]) -> None:
        self._watchers = watchers
        self.wanted = frozenset().union(*(watcher.kinds for watcher in watchers.values()))

    def put(self, events: Iterable[Happened]) -> None:
        """Hand events to all who watch for their kinds."""
        with self._lock:
            for event in events:
                self._number += 1
                for watcher in self._watchers.values():
                    watcher.put(self._number, event)

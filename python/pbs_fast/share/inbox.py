"""What other nodes wrote: sequence, gaps, silence, revocations; rows for the guards and the ledger. Pure.

One Inbox serves all hubs; a hub is its number. `reads` says from which id which stream is to be read. Whenever a stream
must be read again (gap, silence, the hub's clock was set), `reads` gives it once more with a new number of the reading;
what an older reading still delivers is passed over.

Time: only differences on the hub's clock count. What is left of a row is what was left at the message's time, which is
signed, less what has passed since; so a message that is read late, twice, or written again extends nothing. When the
hub's clock is set, what was read before is not read again, because its times are those of the clock before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from math import ceil
from typing import Final, NamedTuple

from pbs_fast.events import Grant, SharedRow
from pbs_fast.share.clock import STEP, HubClock
from pbs_fast.share.message import Message, Refusal, number_of
from pbs_fast.share.reading import SILENT, Cause, NodeState, Read, Stream
from pbs_fast.share.tombstones import Denied, Tombstones

__all__ = ["AHEAD", "Arrived", "Cause", "Got", "Inbox", "NodeState", "Read"]

#: Seconds by which the time of a message may be ahead of the hub's clock.
AHEAD: Final = 10
#: Names of nodes that are taken from the hubs' sets, which every node may write to: each costs a stream to read where
#: everybody is trusted, and all are looked at each second.
MOST_NODES: Final = 1_000
#: Seconds after which a node is ready without any hub.
_PATIENCE = 10

_new_tuple = tuple.__new__


class Got(NamedTuple):
    """One entry, decoded by `message.decode` (which the hub's thread may do)."""

    node: str
    reading: int
    id: str
    message: Message | Refusal


class Arrived(NamedTuple):
    """What the daemon has to do now, in this order."""

    denied: list[Denied]
    """New revocations: put those of `Tombstones.in_force` into force, and remove each row that they cover."""
    rows: list[SharedRow]
    """For the guards and `Ledger.merge`."""


class Inbox:
    """What was read from all hubs. Not for several threads at once."""

    def __init__(
        self,
        *,
        node: str,
        trusted: Iterable[str],
        longest: int,
        hubs: int,
        tombstones: Tombstones,
        now: float,
        known: Callable[[str], Grant | None] = lambda _: None,
    ) -> None:
        """`trusted` may hold "*": then `discovered` names the nodes. Our own stream is never read. `known` gives the
        live row of an address (`Ledger.get`): what adds nothing to that is no work for guards and ledger."""
        self.counters: list[Counter[str]] = [Counter() for _ in range(hubs)]
        """For each hub: `refused_REASON` (signature, node, clock, replay, malformed, too_long), `refused_rows`,
        `revoked_rows`, `spent_rows`, `known_rows`, `rows`, and `full_CAUSE` for readings."""
        self._node, self._longest, self._tombstones, self._began = node, longest, tombstones, now
        self._known = known
        self._names: set[str] = set()
        self._trusted: frozenset[str] = frozenset(trusted)
        self._streams: list[dict[str, Stream]] = [{} for _ in range(hubs)]
        self._nodes: dict[str, NodeState] = {}
        self._readings = 0
        self._enlist()

    # -- whom to read -------------------------------------------------------------------------------------------------

    def trust(self, trusted: Iterable[str]) -> frozenset[str]:
        """Trust these from now on; the nodes that no longer are, whose rows must go (`Ledger.distrust`). The streams of
        those that are new are read after the next answer to TIME, so by the clock that the hub has."""
        before = set(self._streams[0]) if self._streams else set()
        self._trusted = frozenset(trusted)
        dropped = frozenset(name for name in before if not self._trusts(name))
        self._enlist()
        for streams in self._streams:
            for name in streams.keys() - before:
                streams[name].wait_for_clock()
        if dropped:
            for streams in self._streams:
                for name in dropped:
                    del streams[name]
            self._tombstones.drop(dropped)
            self._again("revoked")  # a row of theirs may have hidden another node's
        return dropped

    def discovered(self, names: Iterable[str]) -> None:
        """The names of the hub's set, MOST_NODES of all sets together: read where everybody is trusted, else only
        shown."""
        if new := sorted(set(names) - self._names)[: MOST_NODES - len(self._names)]:
            self._names.update(new)
            self._enlist()

    def reads(self, hub: int, clock: HubClock, now: float, *, removing: bool = False) -> list[Read]:
        """The streams to read, or to read again, that were not given before. None before the clock is known.

        `removing`: not all that revocations cover is removed; what they make us read again waits for that."""
        if clock.offset is None:
            return []
        found = []
        for name, stream in self._streams[hub].items():
            cause = stream.wanted(now, removing=removing)
            if cause is None:
                continue
            self._readings += 1
            if cause != "resume":
                self.counters[hub][f"full_{cause}"] += 1
            horizon = max(int((clock.hub(now) - self._longest) * 1000), 0)
            found.append(Read(name, self._readings, stream.begin(cause, self._readings, (horizon, 0), now)))
        return found

    def connected(self, hub: int, now: float) -> None:
        """There is a new connection: go on after the last id of each stream, which `reads` gives again."""
        for stream in self._streams[hub].values():
            stream.resume(now)

    # -- what comes ---------------------------------------------------------------------------------------------------

    def take(self, hub: int, clock: HubClock, got: Iterable[Got], now: float) -> Arrived:
        """Entries of one hub, each stream's in its order."""
        counters, streams = self.counters[hub], self._streams[hub]
        denied: list[Denied] = []
        rows: list[SharedRow] = []
        hub_now = clock.hub(now)
        cursors: dict[str, str] = {}
        received: dict[str, int] = {}
        for node, reading, id_, message in got:
            stream = streams.get(node)
            if stream is None:
                counters["refused_node"] += 1
                continue
            if reading != stream.reading:
                continue
            cursors[node] = id_
            if not isinstance(message, Message):
                counters[f"refused_{message}"] += 1
                continue
            sent = message.time / 1000
            in_order = stream.sequence(message.run, message.number)
            if not in_order:
                counters["refused_replay"] += 1
                continue
            if stream.spoilt(message.run, message.number):
                continue
            if sent > hub_now + AHEAD:
                stream.doubt(message.run, message.number)
                counters["refused_clock"] += 1
                continue
            if hub_now - sent > STEP:
                stream.doubt(message.run, message.number)
            ours = clock.ours(sent)
            stream.heard_at(min(ours, now), now)
            counters["refused_rows"] += message.refused
            if message.rows:
                received[node] = received.get(node, 0) + len(message.rows)
                self._rows(node, message, ours, now, counters, rows)
            elif message.revokes:
                denied += self._denied(node, message, clock, now)
            elif message.beat is not None:
                self._beat(node, message, min(ours, now))
        for node, id_ in cursors.items():
            streams[node].cursor = number_of(id_)
        for node, count in received.items():
            state = self._nodes.get(node, NodeState(node))
            self._nodes[node] = state._replace(received=state.received + count)
        if denied:  # rows that came before them
            refuses = self._tombstones.refuses
            rows = [row for row in rows if not refuses(row.ip, row.user, row.node, row.login)]
        return Arrived(denied, rows)

    def caught_up(self, hub: int, node: str, reading: int) -> bool:
        """A reading has come to the stream's end for the first time: the hub gave all that it had. False for an older
        reading than that which is under way."""
        stream = self._streams[hub].get(node)
        if stream is not None and stream.reading != reading:
            return False
        if stream is not None:
            stream.at_end()
        return True

    def sampled(self, hub: int, step: float, now: float) -> None:
        """The hub answered TIME; `step` is what `HubClock.sample` returned. After a step all is read again that came
        since the answer before; what is older was read with the right clock and is not read again."""
        del now
        for stream in self._streams[hub].values():
            if step:
                stream.stepped()
            else:
                stream.clock_is_right()

    def read_again(self) -> None:
        """Rows were removed because of revocations, some of which may have come with a reading meanwhile."""
        self._again("revoked")

    def turn(self, hub: int, now: float) -> None:
        """Look for silent nodes: to be called each second or so while the hub answers."""
        for stream in self._streams[hub].values():
            stream.look(now)

    def denied(self, denied: Denied, now: float) -> bool:
        """Take a revocation made on this node; whether it says something new."""
        return self._deny(denied, now)

    # -- what is known ------------------------------------------------------------------------------------------------

    def ready(self, now: float) -> bool:
        """Whether every trusted stream of one hub was read to its end, or 10 s have passed."""
        return now >= self._began + _PATIENCE or any(
            streams and all(stream.caught_up for stream in streams.values()) for streams in self._streams
        )

    def lacks(self, hub: int) -> bool:
        """Whether a hub gave nothing at all of some trusted node, as after a flush or with a new one."""
        return any(stream.oldest is None for stream in self._streams[hub].values())

    def complete(self, now: float) -> bool:
        """Whether the hubs explain all rows of trusted nodes: of one hub each trusted stream reached back as far as its
        node's grace, was read to its end, and its node beat within 30 s."""
        return any(
            bool(streams) and all(self._is_complete(name, stream, now) for name, stream in streams.items())
            for streams in self._streams
        )

    def nodes(self, now: float) -> list[NodeState]:
        """All known nodes by name."""
        found = []
        for name in sorted({*self._names, *self._streams[0], *self._nodes} - {self._node}):
            state = self._nodes.get(name, NodeState(name))
            gaps = sum(streams[name].gaps for streams in self._streams if name in streams)
            silent = state.heard is None or now - state.heard > SILENT
            found.append(state._replace(trusted=name in self._streams[0], silent=silent, gaps=gaps))
        return found

    def _trusts(self, name: str) -> bool:
        return name != self._node and (name in self._trusted or "*" in self._trusted)

    def _enlist(self) -> None:
        """A stream for each trusted node whose name is known."""
        names = [name for name in sorted(self._names | self._trusted) if name != "*" and self._trusts(name)]
        for streams in self._streams:
            for name in names:
                if name not in streams:
                    streams[name] = Stream()

    def _is_complete(self, name: str, stream: Stream, now: float) -> bool:
        state = self._nodes.get(name)
        if state is None or not stream.caught_up or stream.oldest is None or stream.heard is None:
            return False
        reach = min(state.grace, self._longest) - SILENT
        return now - stream.heard <= SILENT and stream.oldest <= now - reach

    def _rows(
        self, node: str, message: Message, sent: float, now: float, counters: Counter[str], found: list[SharedRow]
    ) -> None:
        """Append what is left of the rows of a message to `found`, but for what adds nothing to the rows that we have
        of this node: what another hub brought, or an earlier reading. `sent` is the message's time on our clock."""
        base = min(sent, now)
        longest, most, known = self._longest, self._longest * 1000, self._known
        refuses = self._tombstones.refuses if len(self._tombstones) else None
        spent = revoked = old = 0
        for ip, left, user, format_, host, age in message.rows:
            end = ceil(base + (left / 1000 if left < most else longest))
            login = sent - age / 1000
            if end <= now:
                spent += 1
            elif refuses is not None and refuses(ip, user, node, login):
                revoked += 1
            elif (row := known(ip)) is not None and row[0] >= end and row[5] == node and row[1] == user:
                old += 1
            else:
                found.append(_new_tuple(SharedRow, (ip, end, login, user, format_, host, node)))
        for name, count in (("spent_rows", spent), ("revoked_rows", revoked), ("known_rows", old)):
            if count:
                counters[name] += count
        counters["rows"] += len(message.rows) - spent - revoked - old

    def _denied(self, node: str, message: Message, clock: HubClock, now: float) -> list[Denied]:
        found = []
        time = message.time / 1000
        sent = now - max(clock.hub(now) - time, 0.0)
        for kind, what, until, number, by, why in message.revokes:
            denied = Denied(node, kind, what, sent + until - time, number, by, why)
            if self._deny(denied, now):
                found.append(denied)
        return found

    def _deny(self, denied: Denied, now: float) -> bool:
        if not self._tombstones.add(denied, now):
            return False
        # A row that is removed may have had a shorter one of another node behind it, or be one of a later login.
        self._again("revoked")
        return True

    def _again(self, cause: Cause) -> None:
        for streams in self._streams:
            for stream in streams.values():
                stream.want(cause)

    def _beat(self, node: str, message: Message, heard: float) -> None:
        state, beat = self._nodes.get(node, NodeState(node)), message.beat
        if beat is not None and (state.heard is None or heard >= state.heard):
            self._nodes[node] = state._replace(
                heard=heard, rows=beat.rows, version=beat.version, grace=beat.grace, seen=beat.seen
            )

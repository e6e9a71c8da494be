"""One hub: two threads that wait for the network, one to write our stream and one to read those of the others.

They decide nothing. The writer gets one exchange at a time from the loop (`give`) and hands back what came of it; the
reader gets the places to read from (`read`) and hands back decoded entries. Both put what came into `came` and wake the
loop. Whatever the hub does (hang, refuse, lose data), the loop never waits, and no fault ends a thread: it is a state
of the hub, tried again after a random pause that grows (full jitter).
"""

from __future__ import annotations

import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pbs_fast.errors import PbsError
from pbs_fast.share.inbox import MOST_NODES, Got, Read
from pbs_fast.share.link import connect, require_usable, words
from pbs_fast.share.message import Message, decode, is_id, is_node_name, nodes_of, stream_of

if TYPE_CHECKING:
    from pbs_fast.share.message import Native
    from pbs_fast.share.outbox import Outgoing
    from pbs_fast.share.spec import HubUrl, Secrets

log = logging.getLogger(__name__)

#: Entries of each stream in one answer, at most.
COUNT: Final = 200
#: Entries of all streams in one answer.
MOST_ENTRIES: Final = 4_000
#: Milliseconds that a read may wait for an entry at the hub; never 0, for ever: a dead link would not be noticed.
BLOCK: Final = 2_000
#: Seconds that an answer may take: to a read, and to a write.
READING, WRITING = BLOCK / 1000 + 3.0, 3.0
#: Bounds of the pause after a failure, in seconds; a connection that worked begins anew.
SHORTEST, LONGEST = 0.1, 15.0
#: Rows that are handed to the loop at a time: some 10 ms of its work.
MOST_ROWS: Final = 1_000
#: Rows that cost as much as a message with revocations may: after one of a network their table is made anew, 20 ms.
_REVOKES: Final = 250
#: Seconds of a hub's clock that can be true: up to the year 10889. Beyond, calculations with it lose milliseconds.
MOST_SECONDS: Final = 1 << 48
#: Messages that wait for the loop, beyond which the reader pauses; the hub keeps what comes meanwhile.
MOST_WAITING: Final = 2_000


class NonsenseError(PbsError):
    """The hub answered what no server answers; nothing of it reaches the loop."""


class Sampled(NamedTuple):
    """The hub answered TIME; times on the ledger's clock."""

    asked: float
    hub: float
    answered: float


class Exchanged(NamedTuple):
    """The writer is idle again: the hub took what it was given, or nothing, after a reconnection."""

    end: str | None
    """The last id of our stream before it."""
    ids: list[str]
    sampled: Sampled
    nodes: frozenset[str]
    """Names of the hub's set that a node can have, MOST_NODES at most."""


class Failed(NamedTuple):
    """Nobody knows what the hub took of what it was given; the writer goes on by itself until it has `Exchanged`."""

    reason: str


class Connected(NamedTuple):
    """The reader has a new connection, and reads nothing until it is told what."""


class Lost(NamedTuple):
    """The reader has no connection."""

    reason: str


class Entries(NamedTuple):
    """What was read."""

    got: list[Got]


class CaughtUp(NamedTuple):
    """A stream was read to its end for the first time in this reading."""

    node: str
    reading: int


Came = Sampled | Exchanged | Failed | Connected | Lost | Entries | CaughtUp


class Hub:
    """Made and used by the loop, but for what runs in the threads."""

    def __init__(
        self,
        url: HubUrl,
        *,
        site: str,
        node: str,
        secrets: Secrets,
        ca: str | None,
        now: Callable[[], float],
        wake: Callable[[], None],
        jitter: Callable[[], float] = random.random,
        native: Native | None = None,
    ) -> None:
        """`now` reads the ledger's clock, `wake` wakes the loop; both are called in the threads. `native` is for
        `message.decode`."""
        self.url = url
        self._site, self._node, self._secrets, self._ca = site, node, secrets, ca
        self._stream = stream_of(site, node)
        self._now, self._wake, self._jitter, self._native = now, wake, jitter, native
        self.came: deque[Came] = deque()
        """What the threads hand over, for the loop to take."""
        self.idle = False
        """The writer waits for something to write."""
        self._waiting = 0
        """Messages in `came`: written by the reader only up, by the loop only down, under `_count`."""
        self._count = threading.Lock()
        self._jobs: SimpleQueue[Sequence[Outgoing] | None] = SimpleQueue()
        self._reads: SimpleQueue[Read] = SimpleQueue()
        self._closing = threading.Event()
        self._reached = False
        """It has answered once."""
        self._threads = [
            threading.Thread(target=self._run, args=(name, step), name=f"hub-{name} {url.place}", daemon=True)
            for name, step in (("write", self._writing), ("read", self._reading))
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def take(self) -> Came | None:
        """The next of what came; None for nothing."""
        try:
            came = self.came.popleft()
        except IndexError:
            return None
        if isinstance(came, Entries):
            with self._count:
                self._waiting -= len(came.got)
        return came

    def give(self, outgoing: Sequence[Outgoing]) -> None:
        """Have this written now; while `idle` only."""
        self.idle = False
        self._jobs.put(outgoing)

    def read(self, reads: Sequence[Read]) -> None:
        """Read these streams from these places on."""
        for each in reads:
            self._reads.put(each)

    def close(self, patience: float = 0.0) -> None:
        """End both threads, waiting so many seconds for each. One that waits for the hub ends when it has an answer,
        and keeps nobody from ending."""
        self._closing.set()
        self._jobs.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(patience)

    # -- in the threads -----------------------------------------------------------------------------------------------

    def _put(self, came: Came) -> None:
        if isinstance(came, Entries):
            with self._count:
                self._waiting += len(came.got)
        self.came.append(came)
        self._wake()

    def _run(self, name: str, step: Callable[[str, Pause], None]) -> None:
        pause = Pause(self._jitter)
        while not self._closing.is_set():
            try:
                step(name, pause)
            except Exception as error:
                if self._closing.is_set():
                    return
                # Faults of the network and refusals of the hub come as many classes, and a bug must not end sharing.
                reason = words(error, self.url, reached=self._reached)
                self._put(Failed(reason) if name == "write" else Lost(reason))
                self._closing.wait(pause.next())

    @contextmanager
    def _client(self, name: str, timeout: float) -> Iterator[Any]:
        client = connect(self.url, self._secrets.password, self._ca, timeout, f"pbs-fast-{self._node}-{name}")
        with closing(client):
            yield client

    def _writing(self, name: str, pause: Pause) -> None:
        """Write until something fails; raises what the library raises."""
        with self._client(name, WRITING) as client:
            require_usable(client)
            outgoing: Sequence[Outgoing] = ()
            while True:
                self._put(self._exchange(client, outgoing))
                pause.reset()
                job = self._jobs.get()
                if job is None or self._closing.is_set():
                    return
                outgoing = job

    def _exchange(self, client: Any, outgoing: Sequence[Outgoing]) -> Exchanged:
        pipe = client.pipeline(transaction=False)
        pipe.execute_command("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
        for entry, trim in outgoing:
            trimmed = () if trim is None else ("MINID", "=" if trim.exact else "~", trim.minid)
            pipe.execute_command("XADD", self._stream, *trimmed, "*", "m", entry.m, "s", entry.s)
        pipe.execute_command("SADD", nodes_of(self._site), self._node)  # each time: a flush takes it away
        pipe.execute_command("SMEMBERS", nodes_of(self._site))
        pipe.execute_command("TIME")
        asked = self._now()
        answers = pipe.execute(raise_on_error=False)
        self._reached = True
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer  # not by the pipeline, which would put our message into its words
        end, *ids, _, nodes, (seconds, microseconds) = answers
        if not 0 <= seconds < MOST_SECONDS or not 0 <= microseconds < 1_000_000:
            raise NonsenseError("TIME: no time of a clock")
        sampled = Sampled(asked, seconds + microseconds / 1e6, self._now())
        return Exchanged(_id(end[0][0]) if end else None, [_id(each) for each in ids], sampled, _names(nodes))

    def _reading(self, name: str, pause: Pause) -> None:
        """Read until something fails; raises what the library raises."""
        with self._client(name, READING) as client:
            client.ping()
            self._drain_reads({}, set())  # of the connection before
            self._put(Connected())
            at: dict[str, tuple[int, str]] = {}
            fresh: set[str] = set()
            while not self._closing.is_set():
                self._drain_reads(at, fresh, wait=not at)
                if self._waiting > MOST_WAITING:
                    self._closing.wait(0.01)
                elif at:
                    self._read_once(client, at, fresh)
                    pause.reset()

    def _drain_reads(self, at: dict[str, tuple[int, str]], fresh: set[str], *, wait: bool = False) -> None:
        """Take what the loop wants read; `at`: node -> reading and last id; `fresh`: not yet read to their end."""
        with suppress(Empty):
            while True:
                node, reading, after = self._reads.get(timeout=1.0) if wait else self._reads.get_nowait()
                at[node] = reading, after
                fresh.add(node)
                wait = False

    def _read_once(self, client: Any, at: dict[str, tuple[int, str]], fresh: set[str]) -> None:
        streams = {stream_of(self._site, node).encode(): node for node in at}
        count = max(1, min(COUNT, MOST_ENTRIES // len(streams)))
        wait = () if fresh else ("BLOCK", BLOCK)
        ids = [after for _, after in at.values()]
        answer = client.execute_command("XREAD", "COUNT", count, *wait, "STREAMS", *streams, *ids)
        full = set()
        for stream, entries in answer or ():
            if (node := streams.get(stream)) is None:
                raise NonsenseError("XREAD: a stream that was not asked for")
            for got in _parts(self._got(node, stream.decode(), at[node][0], entries)):
                self._put(Entries(got))
            at[node] = at[node][0], _id(entries[-1][0])
            if len(entries) >= count:
                full.add(node)
        for node in [node for node in fresh if node not in full]:
            fresh.discard(node)
            self._put(CaughtUp(node, at[node][0]))

    def _got(
        self, node: str, stream: str, reading: int, entries: Iterable[tuple[bytes, Mapping[bytes, bytes] | None]]
    ) -> Iterator[Got]:
        secrets, native = self._secrets.keys, self._native
        for id_, fields in entries:
            m, s = (fields.get(b"m", b""), fields.get(b"s", b"")) if fields else (b"", b"")
            yield Got(node, reading, _id(id_), decode(node, stream, m, s, secrets, native))


def _id(id_: bytes) -> str:
    """The id of an entry. Raises NonsenseError for what is none: the loop calculates with it."""
    text = id_.decode("ascii", "replace")
    if not is_id(text):
        raise NonsenseError(f"{text[:40]!r} is no id of an entry")
    return text


def _names(names: Iterable[bytes]) -> frozenset[str]:
    """What a node can be called of these; nobody trusts the set, so it may hold anything, and any amount of it."""
    found = (name for each in names if is_node_name(name := each.decode("ascii", "replace")))
    return frozenset(sorted(found)[:MOST_NODES])


def _parts(got: Iterable[Got]) -> Iterator[list[Got]]:
    """Entries in parts of about MOST_ROWS rows, or a few messages with revocations, so that the loop can take one at a
    time."""
    part: list[Got] = []
    rows = 0
    for each in got:
        part.append(each)
        if isinstance(each.message, Message):
            rows += _REVOKES if each.message.revokes else len(each.message.rows)
        if rows >= MOST_ROWS:
            yield part
            part, rows = [], 0
    if part:
        yield part


class Pause:
    """How long to wait after the next failure: a random part of a time that doubles (full jitter), so that the nodes of
    a hub that comes back do not all come at once."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._most = 2 * SHORTEST

    def reset(self) -> None:
        """It works."""
        self._most = 2 * SHORTEST

    def next(self) -> float:
        """Seconds."""
        most, self._most = self._most, min(2 * self._most, LONGEST)
        return SHORTEST + self._jitter() * (most - SHORTEST)

"""Requests on their way from the sockets' thread to the loop, and replies on their way back.

The thread frames, decodes, checks rights and encodes; the loop alone decides. Invariants: a turn of the loop answers at
most MOST requests or works on them for about BUDGET seconds; whatever a client does, the loop never waits for it; what
fails in a request is its reply and ends nothing. `ping` is answered by the thread, so a loop that hangs is seen.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from pbs_fast import __version__
from pbs_fast.control import protocol, wire
from pbs_fast.control.peers import Peer, check, peer_of
from pbs_fast.control.protocol import LONGEST_REQUEST, REQUESTS, AnyRequest, Metrics, Ping, RequestError, Status, Watch
from pbs_fast.control.watchers import Watcher, Watchers
from pbs_fast.control.wire import decode_request
from pbs_fast.errors import PbsError
from pbs_fast.metrics.families import OTHER, RESULTS
from pbs_fast.serving.jsonlines import Decoder
from pbs_fast.serving.port import Client, Port
from pbs_fast.serving.server import Server
from pbs_fast.util.bell import Bell

log = logging.getLogger(__name__)

#: Clients of one socket at a time.
CLIENTS = 64
#: Requests in one turn of the loop, and about how many seconds they may take.
MOST, BUDGET = 16, 0.002
#: Snapshots of the status that may be made at once, and seconds after which there may be one more; until then all who
#: ask are served by the last. 64 clients in a loop would otherwise have one made each turn.
SNAPSHOTS, RENEWED = 20, 2.0
#: The part of one processor that requests may use in the thread: some 100 requests a second, so that fewer than one of
#: a hundred turns of the loop waits for the GIL (benches/control.py).
SHARE = 0.002
#: Seconds after which the interpreter takes the GIL from a thread that another one waits for; 5 ms by default.
SWITCH = 0.0005

#: A reply; or its pages, each with the key `more`, of which one is made a turn; None there asks for another turn.
Answer = Mapping[str, object] | Iterator[Mapping[str, object] | None]


class _Asked(NamedTuple):
    client: int
    id: int
    request: AnyRequest
    peer: Peer


class _Going(NamedTuple):
    """An answer in parts."""

    asked: _Asked
    parts: Iterator[Mapping[str, object] | None]


class Control:
    """The sockets with their thread and queue. All but `close` is for the loop."""

    def __init__(self, listeners: Mapping[str, socket.socket]) -> None:
        """`listeners`: `control` and `status`, or one of them."""
        self.watchers = Watchers()
        self.ready = False
        """What `ping` says."""
        self.metrics: Callable[[], bytes] | None = None
        """Makes the answer to `metrics`, in the thread; raises PbsError. None: not yet."""
        self._by_loop, self._by_thread = Outcomes(), Outcomes()
        self._turned = time.monotonic()
        self._queue: deque[_Asked | _Going] = deque()
        self._status = b""
        """The last one that was sent, encoded."""
        self._snapshots = float(SNAPSHOTS)
        self._counted = time.monotonic()
        self._peers: dict[int, Peer] = {}
        self._bell = Bell()
        self._server = Server(
            [self._port(name, listener) for name, listener in listeners.items()], name="control", share=SHARE
        )
        self._gone = False
        sys.setswitchinterval(SWITCH)
        self._server.start()

    @property
    def outcomes(self) -> dict[tuple[str, str], int]:
        """Request and result (`metrics.families.RESULTS`) -> how many got it."""
        return {key: n + self._by_thread.counts[key] for key, n in self._by_loop.counts.items()}

    @property
    def asked(self) -> bool:
        """Requests wait; the loop must not sleep."""
        return bool(self._queue)

    def fileno(self) -> int:
        """Becomes readable when a request comes."""
        return self._bell.fileno()

    def drain(self) -> None:
        """Forget the wake-ups."""
        self._bell.drain()

    def turn(self, answer: Callable[[AnyRequest, Peer], Answer]) -> None:
        """Answer what waits, within the bounds of one turn. `answer` may raise RequestError."""
        self._turned = begun = time.monotonic()
        if not self._queue:
            return
        for _ in range(min(MOST, len(self._queue))):
            self._step(self._queue.popleft(), answer)
            if time.monotonic() - begun >= BUDGET:
                break
        if not self._server.alive and not self._gone:
            self._gone = True
            log.error("the control sockets are no longer served (this is a bug; please report it); restart pbs-fast")

    def send(self) -> None:
        """Send the answers; for the loop, before it waits, because the thread takes the GIL for it."""
        self._server.send_delivered()

    def close(self) -> None:
        """Stop answering; the connections and the listeners are closed."""
        self._server.close()
        self._bell.close()

    # -- in the loop --------------------------------------------------------------------------------------------------

    def _step(self, waiting: _Asked | _Going, answer: Callable[[AnyRequest, Peer], Answer]) -> None:
        asked = waiting.asked if isinstance(waiting, _Going) else waiting
        try:
            if asked.request.changes:
                self._status = b""
            found = waiting.parts if isinstance(waiting, _Going) else answer(waiting.request, waiting.peer)
            if isinstance(found, Mapping):
                self._reply(asked, found)
                self._by_loop.count(asked.request.do)
            elif (part := next(found)) is None:
                self._queue.append(_Going(asked, found))
            else:
                self._reply(asked, part, found)
                if not part.get("more"):
                    self._by_loop.count(asked.request.do)
        except RequestError as error:
            self._by_loop.count(asked.request.do, error)
            self._server.deliver(asked.client, wire.error(asked.id, error))
        except Exception as error:
            # A running daemon must not end because of a question.
            self._by_loop.count(asked.request.do, error)
            text = f"{asked.request.do}: {type(error).__name__}: {error} (this is a bug; please report it)"
            log.error("control socket: %s", text)  # noqa: TRY400 - our log has one line an error
            self._server.deliver(asked.client, wire.error(asked.id, RequestError("internal", text)))

    def _reply(self, asked: _Asked, value: Mapping[str, object], parts: Iterator[object] | None = None) -> None:
        def framed() -> bytes:
            if not isinstance(asked.request, Status):
                return wire.ok(asked.id, value)
            payload = wire.line(value).rstrip(b"\n")
            self._status = payload
            return _ok(asked.id, payload)

        follow = [_Going(asked, parts)] if parts is not None and value.get("more") else []  # type: ignore[arg-type]

        def more() -> bytes:
            """All was sent: the next page is made now, not earlier, so that pages do not pile up."""
            if follow:
                self._ask(follow.pop())
            return b""

        self._server.deliver(asked.client, framed, more if follow else None)

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _port(self, name: str, listener: socket.socket) -> Port:
        def answer(client: Client, line: bytes) -> bytes | None:
            return self._answer(client, line, name == "control")

        full = wire.error(None, RequestError("busy", f"{CLIENTS} clients wait for an answer; try again"))
        return Port(listener, lambda: Decoder(LONGEST_REQUEST), answer, CLIENTS, full, self._closed)

    def _answer(self, client: Client, line: bytes, on_control: bool) -> bytes | None:
        number: int | None = None
        do = OTHER
        try:
            number, request = decode_request(line)
            do = request.do
            if (peer := self._peers.get(client.number)) is None:
                peer = self._peers[client.number] = peer_of(client.socket, on_control=on_control)
            check(peer, request)
        except RequestError as error:
            self._by_thread.count(do, error)
            return wire.error(number if error.id is None else error.id, error)
        except OSError as error:
            self._by_thread.count(do, error)
            return wire.error(number, RequestError("internal", f"cannot tell who you are: {error.strerror}"))
        return self._reply_at_once(client, number, request, peer)

    def _reply_at_once(self, client: Client, number: int, request: AnyRequest, peer: Peer) -> bytes | None:
        """The reply of the thread; None if it comes later."""
        if isinstance(request, Ping):
            self._by_thread.count(request.do)
            turned = time.monotonic() - self._turned
            return wire.ok(
                number,
                {"version": __version__, "pid": os.getpid(), "ready": self.ready, "turned_s": round(turned, 3)},
            )
        if isinstance(request, Metrics):
            return self._numbers(number)
        if isinstance(request, Status) and not self._may_be_made() and self._status:
            self._by_thread.count(request.do)
            return _ok(number, self._status)
        if isinstance(request, Watch):
            watcher = Watcher(number, request.kinds)
            watching = {"watching": list(request.kinds or protocol.EVENTS)}
            self._server.deliver(client.number, wire.ok(number, watching), watcher.more)
            self._server.send_delivered()
            self.watchers.add(client.number, watcher)
            self._by_thread.count(request.do)
            self._rouse()  # events are made from now on
            return None
        self._ask(_Asked(client.number, number, request, peer))
        return None

    def _numbers(self, number: int) -> bytes:
        fault = RequestError("not_ready", "the daemon is just starting; try again")
        if self.metrics is not None:
            try:
                text = self.metrics().decode()
            except PbsError as error:
                fault = RequestError("internal", str(error))
            else:
                self._by_thread.count(Metrics.do)
                return wire.ok(number, {"text": text})
        self._by_thread.count(Metrics.do, fault)
        return wire.error(number, fault)

    def _may_be_made(self) -> bool:
        """Whether one more snapshot may be made; if so, it is counted."""
        now = time.monotonic()
        self._snapshots = min(SNAPSHOTS, self._snapshots + (now - self._counted) / RENEWED)
        self._counted = now
        if self._snapshots < 1:
            return False
        self._snapshots -= 1
        return True

    def _ask(self, asked: _Asked | _Going) -> None:
        self._queue.append(asked)
        self._rouse()

    def _rouse(self) -> None:
        self._bell.ring()

    def _closed(self, client: Client) -> None:
        self._peers.pop(client.number, None)
        self.watchers.remove(client.number)


class Outcomes:
    """What became of the requests; counted by one thread, read by any."""

    def __init__(self) -> None:
        self.counts = {(do, result): 0 for do in (*REQUESTS, OTHER) for result in RESULTS}

    def count(self, do: str, error: Exception | None = None) -> None:
        """One reply was given, or one error."""
        denied = isinstance(error, RequestError) and error.code == "denied"
        self.counts[do, "ok" if error is None else "denied" if denied else "error"] += 1


def _ok(number: int, payload: bytes) -> bytes:
    """`wire.ok` of a value that is encoded already."""
    return b'{"v":%d,"id":%d,"ok":%b}\n' % (protocol.VERSION, number, payload)

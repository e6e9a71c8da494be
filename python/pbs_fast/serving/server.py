"""Answers requests on listening sockets, in its own thread, for any number of clients.

In a thread, so that a request never waits while the daemon's loop writes a table; Python switches between the two at
least every 5 ms, or every 0.5 where an MTA asks (daemon/open_tables.py). Invariants: no client delays others; one that
sends faults or partial requests, or does not read its answers, is dropped after a time; memory per client is bounded
(one read, one partial request, and about ANSWERS bytes of answers); when a port is full or descriptors run out, the
client that was idle longest is dropped.

An answer is given at once, or later from any thread (`deliver`). A client that waits for one is not read from: one
request is under way at a time.
"""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from pbs_fast.serving.framing import FramingError
from pbs_fast.serving.pace import Pace
from pbs_fast.serving.port import Client, More, Port
from pbs_fast.util.bell import Bell

#: Bytes of answers after which no more requests are read from a client that does not take them.
ANSWERS = 64 << 10
#: Descriptors left for the rest of the daemon.
RESERVE = 64

_READ = 16 << 10
_SWEEP = 5.0
#: Seconds without accepting after the system ran out of descriptors or memory for a connection.
_REST = 0.1
#: Seconds between two questions for what follows (`deliver` with `more`). Who gives it need not wake the thread, which
#: would take the GIL from them at once.
_FOLLOW = 0.05


class Server:
    """Serves from `start` until `close`."""

    def __init__(self, ports: Sequence[Port], *, name: str, share: float | None = None) -> None:
        """`share`: the part of one processor, above 0, that requests may use for long; None: all. What is delivered is
        not counted: who gives answers later paces them."""
        self._ports = {port.listener: port for port in ports}
        self._most = max(1, _descriptors() - RESERVE)
        self._share = share
        self._clients: dict[int, Client] = {}
        """By descriptor."""
        self._numbers: dict[int, Client] = {}
        self._counts = dict.fromkeys(ports, 0)
        self._number = 0
        self._resting = 0.0
        self._following: dict[int, Client] = {}
        """Those with `more`, by number."""
        self._deliveries: deque[tuple[int, bytes | More, More | None]] = deque()
        self._closing = False
        self._bell = Bell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._bell, selectors.EVENT_READ)
        for listener in self._ports:
            self._selector.register(listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        """Whether requests are being answered."""
        return self._thread.is_alive()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def close(self) -> None:
        """Stop; all connections and the listeners are closed when it returns."""
        self._closing = True
        self._rouse()
        if self._thread.ident is not None:
            self._thread.join()
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()
        self._numbers.clear()
        self._selector.close()
        self._bell.close()
        for each in self._ports:
            each.close()

    def deliver(self, number: int, data: bytes | More, more: More | None = None) -> None:
        """Send a framed reply to a client that waits for it, after the next `send_delivered`; from any thread. Nothing
        happens if the client is gone.

        `data` may be a function that makes it, in the server's thread, and raises nothing but FramingError, as
        `Port.answer`. With `more` the client goes on waiting: when all was sent, `more` is called in the server's
        thread for what follows, now and again each _FOLLOW seconds; it must not raise, and may return nothing.
        """
        self._deliveries.append((number, data, more))

    def send_delivered(self) -> None:
        """Have the thread send what was delivered. It takes the GIL for that: call it when you are about to wait."""
        if self._deliveries:
            self._rouse()

    def _rouse(self) -> None:
        self._bell.ring()

    def _run(self) -> None:
        sweep = time.monotonic() + _SWEEP
        pace = Pace(self._share)
        while not self._closing:
            now = time.monotonic()
            if now >= sweep:
                self._sweep(now)
                sweep = now + _SWEEP
            pause = min(sweep - now, _FOLLOW) if self._following else sweep - now
            if self._resting:
                pause = min(pause, max(0.0, self._resting - now))
                if now >= self._resting:
                    self._resting = 0.0
                    for listener in self._ports:
                        self._selector.register(listener, selectors.EVENT_READ)
            for key, events in self._selector.select(pause):
                if key.fileobj is self._bell:
                    self._take_deliveries()
                    continue
                pace.begin()
                if (port := self._ports.get(key.fileobj)) is not None:  # type: ignore[call-overload]
                    self._accept(port)
                elif (client := self._clients.get(key.fd)) is not None:  # None: dropped in this round
                    self._serve(client, events)
                pace.end()
            for client in [client for client in self._following.values() if not client.out]:
                self._guarded(client, self._write)

    def _take_deliveries(self) -> None:
        self._bell.drain()
        for _ in range(len(self._deliveries)):
            number, data, more = self._deliveries.popleft()
            client = self._numbers.get(number)
            if client is None:
                continue
            try:
                client.out += data if isinstance(data, bytes) else data()
            except FramingError:
                self._drop(client)
                continue
            client.more = more
            client.waiting = more is not None
            client.seen = time.monotonic()
            if more is None:
                self._following.pop(number, None)
            else:
                self._following[number] = client
            self._guarded(client, self._answer_queued)

    def _accept(self, port: Port) -> None:
        # At most one burst of smtpds per round, so that other clients are served in between.
        for _ in range(64):
            try:
                connection, _ = port.listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:  # no descriptors, no memory
                self._drop_most_idle(None)
                for listener in self._ports if not self._resting else ():
                    self._selector.unregister(listener)
                self._resting = time.monotonic() + _REST
                return
            connection.setblocking(False)
            full = self._counts[port] >= (port.most or self._most) and not self._drop_most_idle(port)
            if full or (len(self._clients) >= self._most and not self._drop_most_idle(None)):
                with suppress(OSError):
                    connection.send(port.full)
                connection.close()
                continue
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._number += 1
            client = Client(connection, port, self._number, time.monotonic())
            self._clients[connection.fileno()] = self._numbers[client.number] = client
            self._counts[port] += 1
            self._want(client)

    def _serve(self, client: Client, events: int) -> None:
        self._guarded(client, self._read if events & selectors.EVENT_READ else self._write)

    def _guarded(self, client: Client, step: Callable[[Client], None]) -> None:
        try:
            step(client)
        except (FramingError, OSError):
            self._drop(client)

    def _read(self, client: Client) -> None:
        try:
            data = client.socket.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            if client.idle:
                raise ConnectionResetError
            client.ended = True
        begins = not client.decoder.partial
        requests = client.decoder.feed(data)
        if requests or begins:
            client.seen = time.monotonic()
        client.queue += requests
        self._answer_queued(client)

    def _answer_queued(self, client: Client) -> None:
        """Answer what was read and can be answered now, and send what can be sent."""
        answer, queue = client.port.answer, client.queue
        replies: list[bytes] = []
        while queue and not client.waiting:
            reply = answer(client, queue.popleft())
            if reply is None:
                client.waiting = True
            else:
                replies.append(reply)
        client.out += b"".join(replies)
        self._write(client)

    def _write(self, client: Client) -> None:
        if client.out:
            try:
                sent = client.socket.send(client.out)
            except BlockingIOError:
                sent = 0
            client.out = client.out[sent:]
            if sent:
                client.seen = time.monotonic()
        if not client.out and client.more is not None:
            client.out = client.more()  # sent in the next round, so that others are served in between
        if client.ended and client.idle:
            raise ConnectionResetError
        self._want(client)

    def _want(self, client: Client) -> None:
        """Wait for what this client may do next."""
        readable = not client.waiting and not client.ended and len(client.out) <= ANSWERS
        wanted = (selectors.EVENT_READ if readable else 0) | (selectors.EVENT_WRITE if client.out else 0)
        if wanted == client.wanted:
            return
        if not client.wanted:
            self._selector.register(client.socket, wanted)
        elif not wanted:
            self._selector.unregister(client.socket)
        else:
            self._selector.modify(client.socket, wanted)
        client.wanted = wanted

    def _sweep(self, now: float) -> None:
        for client in [client for client in self._clients.values() if client.stale(now) or client.hung_up]:
            self._drop(client)

    def _drop_most_idle(self, port: Port | None) -> bool:
        """Drop the idle client of this port, or of any, that was silent the longest; whether there was one."""
        idle = [client for client in self._clients.values() if client.idle and port in (None, client.port)]
        if not idle:
            return False
        self._drop(min(idle, key=lambda client: client.seen))
        return True

    def _drop(self, client: Client) -> None:
        del self._clients[client.socket.fileno()]
        del self._numbers[client.number]
        self._following.pop(client.number, None)
        self._counts[client.port] -= 1
        if client.wanted:
            self._selector.unregister(client.socket)
        client.socket.close()
        if client.port.closed is not None:
            client.port.closed(client)


def _descriptors() -> int:
    """How many descriptors this process may have; the usual 1024 if a sandbox forbids getrlimit."""
    try:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except OSError:
        return 1024
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft

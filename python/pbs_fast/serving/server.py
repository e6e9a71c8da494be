"""Answers netstring requests on a listening socket, in its own thread, for any number of clients.

In a thread, so that a look-up never waits while the daemon's loop writes another table; Python switches between the two
at least every 5 ms. Invariants: no client delays others; one that sends faults or partial requests, or does not read
its answers, is dropped after a time; memory per client is bounded (one request and ANSWERS bytes of answers); when
descriptors run out, the client that was idle longest is dropped (smtpd reconnects and asks again, unnoticed).
"""

from __future__ import annotations

import resource
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from pbs_fast.serving.netstring import Decoder, NetstringError, encode

#: The longest request in bytes: Postfix sends at most 10 000, with the map's name (dict_sockmap.c).
LONGEST_REQUEST = 10_000
#: Seconds without a request after which a connection is closed; Postfix keeps none for longer than 100.
IDLE = 300.0
#: Seconds that a partial request, or an answer that is not read, may take.
STALLED = 30.0
#: Bytes of answers after which no more requests are read from a client that does not take them.
ANSWERS = 64 << 10
#: Descriptors left for the rest of the daemon.
RESERVE = 64

_READ = 16 << 10
_SWEEP = 5.0
#: Seconds without accepting after the system ran out of descriptors or memory for a connection.
_REST = 0.1


class _Client:
    __slots__ = ("decoder", "out", "seen", "socket")

    def __init__(self, connection: socket.socket, now: float) -> None:
        self.socket = connection
        self.decoder = Decoder(LONGEST_REQUEST)
        self.out = b""
        self.seen = now
        """When it last began or completed a request, or read some of its answers."""

    def stale(self, now: float) -> bool:
        return now - self.seen > (STALLED if self.out or self.decoder.partial else IDLE)


class Server:
    """Serves from `start` until `close`."""

    def __init__(self, listener: socket.socket, answer: Callable[[bytes], bytes], *, most: int | None = None) -> None:
        """`answer` turns a request into a reply, in the server's thread, and must not raise; `most`: clients at a time
        (default: what the process's limit of descriptors allows)."""
        self._listener = listener
        self._answer = answer
        self._most = most or max(1, _descriptors() - RESERVE)
        self._clients: dict[int, _Client] = {}
        self._resting = 0.0
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="socketmap", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether requests are being answered."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def close(self) -> None:
        """Stop; all connections and the listener are closed when it returns."""
        with suppress(OSError):
            self._wake.send(b"x")
        if self._thread.ident is not None:
            self._thread.join()
        for client in self._clients.values():
            client.socket.close()
        self._clients.clear()
        self._selector.close()
        for each in (self._listener, self._wake, self._woken):
            each.close()

    def _run(self) -> None:
        sweep = time.monotonic() + _SWEEP
        while True:
            now = time.monotonic()
            if now >= sweep:
                self._sweep(now)
                sweep = now + _SWEEP
            pause = sweep - now
            if self._resting:
                pause = min(pause, max(0.0, self._resting - now))
                if now >= self._resting:
                    self._resting = 0.0
                    self._selector.register(self._listener, selectors.EVENT_READ)
            for key, events in self._selector.select(pause):
                if key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif (client := self._clients.get(key.fd)) is not None:  # None: dropped in this round
                    self._serve(client, events)

    def _accept(self) -> None:
        # At most one burst of smtpds per round, so that other clients are served in between.
        for _ in range(64):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:  # no descriptors, no memory
                self._drop_most_idle()
                self._selector.unregister(self._listener)
                self._resting = time.monotonic() + _REST
                return
            if len(self._clients) >= self._most:
                self._drop_most_idle()
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client = _Client(connection, time.monotonic())
            self._clients[connection.fileno()] = client
            self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, client: _Client, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read(client)
            if client.out:
                self._write(client)
        except (NetstringError, OSError):
            self._drop(client)

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError
        begins = not client.decoder.partial
        requests = client.decoder.feed(data)
        if requests or begins:
            client.seen = time.monotonic()
        answer = self._answer
        client.out += b"".join([encode(answer(request)) for request in requests])

    def _write(self, client: _Client) -> None:
        try:
            sent = client.socket.send(client.out)
        except BlockingIOError:
            sent = 0
        client.out = client.out[sent:]
        if sent:
            client.seen = time.monotonic()
        wanted = selectors.EVENT_READ if len(client.out) <= ANSWERS else 0
        wanted |= selectors.EVENT_WRITE if client.out else 0
        if self._selector.get_key(client.socket).events != wanted:
            self._selector.modify(client.socket, wanted)

    def _sweep(self, now: float) -> None:
        for client in [client for client in self._clients.values() if client.stale(now)]:
            self._drop(client)

    def _drop_most_idle(self) -> None:
        if self._clients:
            self._drop(min(self._clients.values(), key=lambda client: client.seen))

    def _drop(self, client: _Client) -> None:
        del self._clients[client.socket.fileno()]
        self._selector.unregister(client.socket)
        client.socket.close()


def _descriptors() -> int:
    """How many descriptors this process may have; the usual 1024 if a sandbox forbids getrlimit."""
    try:
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    except OSError:
        return 1024
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft

"""What a server serves: a listening socket with its protocol, and one connection to it."""

from __future__ import annotations

import select
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pbs_fast.serving.framing import Decoder

#: Seconds without a request after which a connection is closed; Postfix keeps none for longer than 100.
IDLE = 300.0
#: Seconds that a partial request, or an answer that is not read, may take. A client that waits for an answer, or reads
#: a long one, has IDLE.
STALLED = 30.0

More = Callable[[], bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Port:
    """One listening socket with its protocol.

    All functions are called in the server's thread, and raise nothing else than they say."""

    listener: socket.socket
    decoder: Callable[[], Decoder]
    """Called for each client."""
    answer: Callable[[Client, bytes], bytes | None]
    """Turns a request into a framed reply; None: `deliver` will give it. May raise FramingError: the client is dropped
    without an answer."""
    most: int | None = None
    """Clients at a time; by default what the process's limit of descriptors allows."""
    full: bytes = b""
    """What a client gets for which there is no room, because all others wait for an answer."""
    closed: Callable[[Client], None] | None = None
    """Told of each client that is gone."""


class Client:
    """One connection."""

    __slots__ = ("decoder", "ended", "more", "number", "out", "port", "queue", "seen", "socket", "waiting", "wanted")

    def __init__(self, connection: socket.socket, port: Port, number: int, now: float) -> None:
        self.socket = connection
        self.port = port
        self.number = number
        """Tells it from all other clients of this server."""
        self.decoder = port.decoder()
        self.out = b""
        self.queue: deque[bytes] = deque()
        """Requests that were read together with the one under way."""
        self.waiting = False
        """A reply will be delivered."""
        self.more: More | None = None
        """Gives what follows when all of `out` was sent."""
        self.ended = False
        """It sends no more, but reads (shutdown(2))."""
        self.wanted = 0
        self.seen = now
        """When it last began or completed a request, or read some of its answers."""

    @property
    def idle(self) -> bool:
        """Nothing is under way."""
        return not (self.waiting or self.out or self.queue)

    def stale(self, now: float) -> bool:
        """Whether it has done nothing for too long, at this time of the monotonic clock."""
        if self.waiting and not self.out:
            return False
        partial = (self.out or self.decoder.partial) and not self.waiting
        return now - self.seen > (STALLED if partial else IDLE)

    @property
    def hung_up(self) -> bool:
        """Whether it has closed its end while nothing is expected from it, which no wanted event would tell."""
        if self.wanted:
            return False
        poller = select.poll()
        poller.register(self.socket, 0)  # POLLHUP and POLLERR are always told
        return bool(poller.poll(0))

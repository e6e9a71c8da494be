"""A hub that answers what a test wants: no server that we know does, so this one speaks just enough of RESP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

#: What makes the bytes that answer a command.
Answer = Callable[[], bytes]


def bulk(text: bytes | str) -> bytes:
    """A bulk string."""
    data = text.encode() if isinstance(text, str) else text
    return b"$%d\r\n%b\r\n" % (len(data), data)


def array(*elements: bytes) -> bytes:
    """An array of answers."""
    return b"*%d\r\n%b" % (len(elements), b"".join(elements))


def now_of_hub() -> bytes:
    """The answer of TIME."""
    return array(bulk(str(int(time.time()))), bulk("0"))


_USUAL: Mapping[str, Answer] = {
    "PING": lambda: b"+PONG\r\n",
    "XREVRANGE": lambda: array(),
    "XADD": lambda: bulk(f"{time.time_ns() // 1_000_000}-0"),
    "SADD": lambda: b":1\r\n",
    "SMEMBERS": lambda: array(),
    "TIME": now_of_hub,
    "XREAD": lambda: b"*-1\r\n",
}


class StrangeHub:
    """Listens on loopback; commands that `answers` does not name are answered as a hub without data would."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.asked: set[str] = set()
        """The commands that came."""
        self.open: set[socket.socket] = set()
        """Connections that their clients have not closed."""
        self._answers = {**_USUAL, **answers}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"valkey://127.0.0.1:{self._listener.getsockname()[1]}"
        self._clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for each in (self._listener, *self._clients):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self.open.add(client)
        try:
            self._answer(client)
        finally:
            self.open.discard(client)

    def _answer(self, client: socket.socket) -> None:
        with suppress(OSError, ValueError), client.makefile("rb") as stream:
            while head := stream.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(stream.readline()[1:])
                    words.append(stream.read(size + 2)[:-2])
                name = words[0].decode()
                self.asked.add(name)
                if name == "XREAD":
                    time.sleep(0.05)
                client.sendall(self._answers.get(name, lambda: b"+OK\r\n")())


@contextmanager
def strange_hub(**answers: Answer) -> Iterator[StrangeHub]:
    """One that listens until the block ends."""
    hub = StrangeHub(answers)
    try:
        yield hub
    finally:
        hub.close()

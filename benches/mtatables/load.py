"""Other people's SMTP sessions: forked processes that ask a Postfix for relaying and count its answers."""

from __future__ import annotations

import multiprocessing
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event

from mta.postfix import Postfix

#: Gives the address that the next session comes from.
Chooser = Callable[[random.Random], str]


def stranger(chance: random.Random) -> str:
    """Somebody who is in no table, another one each time: so smtpds meet all pages of a table, as on a busy host."""
    return f"198.{chance.choice((18, 19))}.{chance.randrange(256)}.{chance.randrange(256)}"


def one_session(port: int, client: str) -> int:
    """EHLO, MAIL, RCPT to a domain elsewhere, QUIT, claiming to come from this address; the code of RCPT's answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"EHLO x\r\n" + f"XCLIENT ADDR={client} NAME=[UNAVAILABLE]\r\n".encode() + b"EHLO x\r\n")
        connection.sendall(b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nQUIT\r\n")
        codes = [line[:3] for line in answers if line[3:4] != b"-"]
    # Greeting, EHLO, XCLIENT, EHLO, MAIL, RCPT, QUIT
    return int(codes[5]) if len(codes) == 7 else 0


def _ask(port: int, choose: Chooser, seed: int, rate: float, stop: Event, result: Connection) -> None:
    chance = random.Random(seed)
    codes: Counter[int] = Counter()
    while not stop.is_set():
        start = time.monotonic()
        try:
            codes[one_session(port, choose(chance))] += 1
        except OSError:
            codes[0] += 1
        if rate:
            time.sleep(max(0.0, start + 1 / rate - time.monotonic()))
    result.send(codes)


@contextmanager
def loaded(postfix: Postfix, choose: Chooser, *, workers: int, rate: float = 0.0) -> Iterator[Counter[int]]:
    """So many processes, each with one session after the other, `rate` a second (0: as fast as they go).

    After the block the counter holds the codes of all answers; 0 is a session that was cut short.
    """
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    total: Counter[int] = Counter()
    started = []
    for seed in range(workers):
        receive, send = context.Pipe(duplex=False)
        process = context.Process(target=_ask, args=(postfix.port, choose, seed, rate, stop, send), daemon=True)
        process.start()
        started.append((process, receive))
    try:
        yield total
    finally:
        stop.set()
        for process, receive in started:
            total += receive.recv()
            process.join()

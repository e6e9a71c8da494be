"""What a socketmap answers: look-ups a second and how long each takes, to a hundred clients at a time."""

from __future__ import annotations

import heapq
import multiprocessing
import selectors
import socket
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from mtatables.common import ROW, Figure, table_of
from pbs_fast.events import Delta

CLIENTS = 100
ROWS = 100_000
#: A row of the table, asked as Postfix asks.
QUESTION, ANSWER = b"14:pbs 10.0.1.200,", b"5:OK ok,"


def lookups(seconds: float) -> Iterator[Figure]:
    """As fast as the server answers, and at 5 000 a second, which is what a thousand sessions with five RCPTs ask."""
    for rate in (0, 5_000):
        for changes in (0, 100):
            with table_of("socketmap", ROWS) as table:
                path = table.spec.split(":")[2]
                receive, send = multiprocessing.Pipe(duplex=False)
                asking = multiprocessing.get_context("spawn").Process(target=ask, args=(path, rate, seconds, send))
                asking.start()
                used = time.process_time()
                number = 0
                while not receive.poll(1 / changes if changes else 0.1):
                    assert asking.is_alive(), "the asking process ended"
                    if changes:
                        table.apply(Delta({f"192.0.2.{number % 250}": ROW}, (f"192.0.2.{(number - 1) % 250}",)))
                        number += 1
                times: list[float] = receive.recv()
                used = time.process_time() - used
                asking.join()
            yield {
                "figure": "lookups",
                "table": "socketmap",
                "clients": CLIENTS,
                "asked_per_s": rate,
                "changes_per_s": changes,
                "lookups_per_s": round(len(times) / seconds),
                "us_of_processor": round(1e6 * used / len(times), 1),
                "ms_median": round(1000 * times[len(times) // 2], 2),
                "ms_p99": round(1000 * times[len(times) * 99 // 100], 2),
                "ms_max": round(1000 * times[-1], 2),
            }


def ask(path: str, rate: int, seconds: float, result: Connection) -> None:
    """All clients, each with one question under way at a time; sends the sorted times."""
    selector = selectors.DefaultSelector()
    idle: list[tuple[float, int]] = []
    connections = {}
    begun: dict[int, float] = {}
    times = []
    start = time.perf_counter()
    for number in range(CLIENTS):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        connections[connection.fileno()] = connection
        idle.append((start + (number / rate if rate else 0.0), connection.fileno()))
    while (now := time.perf_counter()) < start + seconds:
        while idle and idle[0][0] <= now:
            due, fd = heapq.heappop(idle)
            begun[fd] = max(due, now) if not rate else due  # a late question is the server's delay too
            connections[fd].send(QUESTION)
        pause = 0.1 if not idle else max(0.0, idle[0][0] - now)
        for key, _ in selector.select(pause):
            assert key.fileobj.recv(100) == ANSWER  # type: ignore[union-attr]
            now = time.perf_counter()
            times.append(now - begun[key.fd])
            heapq.heappush(idle, (begun[key.fd] + CLIENTS / rate if rate else now, key.fd))
    result.send(sorted(times))

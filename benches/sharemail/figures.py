"""What sharing costs. Each run measures the local path too, in alternation, so that the two can be compared."""

from __future__ import annotations

import multiprocessing
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeVar

import valkey

from daemon.controlled import asked
from livemail.clients import Clients, Took
from livemail.runs import MAIN_CF
from mta.postfix import Postfix
from mta.postfix import running as postfix_running
from pbs_fast.control.protocol import Metrics
from pbs_fast.share.message import Row, Writer
from share.hubs import SECRET, Hub, hubs
from share.nodes import Node, nodes

T = TypeVar("T")

#: Seconds between two clients, and of one turn of a path.
PAUSE, TURN = 0.01, 2.0
OTHERS = tuple(f"other{number}" for number in range(1, 10))
#: A hub of many nodes grants more new addresses a minute than the guard allows by default.
GUARDS = "guards.max_new_per_minute = 1000000\n"
ACTIVE = 100_000
#: The part of first sends that go out alone, and rows of a message of the others and of renewals.
SINGLE, FIRST, AGAIN = 0.2, 20, 200
#: Milliseconds that are left of a row when it is sent, and between its first send and its renewal: half of grace.
LEFT, HALF = 1_700_000, 900_000


class Latency(NamedTuple):
    """From the append of a login to the accepted RCPT, in an open session and in a new one."""

    local: dict[str, Took]
    shared: dict[str, Took]


class CatchUp(NamedTuple):
    """The start of a node that finds ACTIVE live rows."""

    sent: int
    empty_s: float
    """Until it is ready without any row."""
    ready_s: float
    empty_cpu_s: float
    """Processor seconds of the same."""
    ready_cpu_s: float
    bytes_a_grant: float

    @property
    def rows_per_second(self) -> float:
        return self.sent / max(self.ready_s - self.empty_s, 1e-9)

    @property
    def rows_per_cpu_second(self) -> float:
        return self.sent / max(self.ready_cpu_s - self.empty_cpu_s, 1e-9)


class Faulty(NamedTuple):
    """The local path while a hub lives, and while it does not."""

    took: dict[str, Took]
    """State of the hub -> the same in an open session."""
    turns: dict[str, tuple[float, float]]
    """State -> mean turn of the loop in ms, and the bound in ms that no turn exceeded."""


class Stage:
    """Hubs, nodes and Postfixes that end with it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.hub = stack.enter_context(hubs())
        self._node = stack.enter_context(nodes())

    def node(self, name: str, made: Sequence[Hub], **keys: Any) -> Node:
        """Not started."""
        node: Node = self._node(name, made, **keys)
        node.configure(GUARDS)
        return node

    def postfix(self, node: Node) -> Postfix:
        """One that reads the node's table."""
        return self._stack.enter_context(postfix_running(node.spec, smtpd_limit=4, main_cf=MAIN_CF))


def latency(seconds: float, rate: int) -> Latency:
    """Logins at one node, RCPTs at it and at another one, while nine others publish `rate` logins a second."""
    with ExitStack() as stack:
        stage = Stage(stack)
        hub = stage.hub(nodes=("pop1", "smtp1", *OTHERS))
        pop, smtp = stage.node("pop1", [hub]), stage.node("smtp1", [hub], logs=False)
        pop.start()
        smtp.start()
        pop.wait_up()
        smtp.wait_up()
        paths = [Clients(pop.log, stage.postfix(node), inside=True) for node in (pop, smtp)]
        paths[1].logins = 1 << 16  # addresses of its own
        if rate:
            stack.enter_context(_publishing(hub, rate))
        _turns(paths, seconds)
        for each in paths:
            each.close()
    local, shared = ({name: Took.of(each.seconds[name]) for name in ("inside", "fresh")} for each in paths)
    return Latency(local, shared)


def _turns(paths: Sequence[Clients], seconds: float) -> None:
    for each in paths:  # the first smtpds start
        each.go_on(time.monotonic() + 1, PAUSE)
        each.seconds = {name: [] for name in each.seconds}
    for _ in range(max(1, round(seconds / TURN / len(paths)))):
        for each in paths:
            each.go_on(time.monotonic() + TURN, PAUSE)


@contextmanager
def _publishing(hub: Hub, rate: int) -> Iterator[None]:
    """Nine nodes that publish together this many new rows a second, each alone in its message, as they come."""
    process = multiprocessing.get_context("fork").Process(target=_publish, args=(hub, rate), daemon=True)
    process.start()
    try:
        yield
        assert process.is_alive(), "the other nodes ended"
    finally:
        process.kill()
        process.join()


def _publish(hub: Hub, rate: int) -> None:
    writers = [Writer(hub.stream(name), "0000beef", SECRET.encode()) for name in OTHERS]
    streams = [hub.stream(name) for name in OTHERS]
    with hub.admin as client:
        client.sadd("pbs-fast:{test}:nodes", *OTHERS)
        begun, number = time.monotonic(), 0
        while True:
            pipe = client.pipeline(transaction=False)
            now = int(time.time() * 1000)
            for _ in range(int((time.monotonic() - begun) * rate) - number):
                row = Row(
                    f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 600_000, "u", "dovecot", "m", 5
                )
                for entry in writers[number % 9].rows(now, [row]):
                    pipe.xadd(streams[number % 9], entry._asdict())
                number += 1
            pipe.execute()
            time.sleep(0.001)


def catch_up() -> CatchUp:
    """How long a node takes that starts where ACTIVE rows live, each sent and renewed once."""
    with ExitStack() as stack:
        stage = Stage(stack)
        hub = stage.hub(nodes=("pop1", "smtp1"))
        ready, cpu = [], []
        for filled in (False, True):
            sent = _fill(hub) if filled else 0
            node = stage.node("smtp1", [hub], logs=False, trusts=["pop1"])
            begun = time.monotonic()
            daemon = node.start()
            ready.append(time.monotonic() - begun)
            cpu.append(time.clock_gettime((~daemon.pid << 3) | 2))  # of another process: clock_getcpuclockid(3)
            assert len(node.rows()) == (ACTIVE if filled else 0)
            node.close()
        with hub.admin as client:
            used = client.memory_usage(hub.stream("pop1"), samples=0)
    return CatchUp(sent, ready[0], ready[1], cpu[0], cpu[1], used / sent)


def _fill(hub: Hub) -> int:
    """What a node has written within `grace`; rows written."""
    writer = Writer(hub.stream("pop1"), "0000beef", SECRET.encode())
    rows = [
        Row(f"198.{18 + (n >> 16)}.{n >> 8 & 255}.{n & 255}", LEFT, f"user{n}@example.org", "dovecot", "mx1", 9000)
        for n in range(ACTIVE)
    ]
    alone = int(SINGLE * ACTIVE)
    now = int(time.time() * 1000)
    first, again = [*_batches(rows[:alone], 1), *_batches(rows[alone:], FIRST)], [*_batches(rows, AGAIN)]
    sent = [*((now - HALF, part) for part in first), *((now, part) for part in again)]
    with hub.admin as client:
        for some in _batches(sent, 1000):
            pipe = client.pipeline(transaction=False)
            for when, part in some:
                for entry in writer.rows(when, part):
                    pipe.xadd(hub.stream("pop1"), entry._asdict())
            pipe.execute()
    return sum(len(part) for _, part in sent)


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def faulty(seconds: float) -> Faulty:
    """Logins and RCPTs on one node, in turns with a hub that lives, is dead, and hangs."""
    with ExitStack() as stack:
        stage = Stage(stack)
        hub = stage.hub()
        pop = stage.node("pop1", [hub])
        pop.start()
        pop.wait_up()
        clients = Clients(pop.log, stage.postfix(pop), inside=True)
        clients.go_on(time.monotonic() + 1, PAUSE)
        found: dict[str, list[float]] = {"alive": [], "dead": [], "hung": []}
        turns: dict[str, dict[float, float]] = {state: {} for state in found}
        rounds = max(1, round(seconds / TURN / 4))
        for _ in range(rounds):
            for state in ("alive", "dead", "alive", "hung"):
                if state == "dead":
                    hub.kill()
                elif state == "hung":
                    hub.hang()
                if state != "alive":
                    pop.wait_status(state, lambda status: status["hubs"][0]["state"] == "down")
                clients.seconds = {name: [] for name in clients.seconds}
                before = _histogram(pop)
                clients.go_on(time.monotonic() + TURN, PAUSE)
                for bound, count in _histogram(pop).items():
                    turns[state][bound] = turns[state].get(bound, 0.0) + count - before[bound]
                found[state] += clients.seconds["inside"]
                if state == "dead":
                    hub.start()
                elif state == "hung":
                    hub.resume()
                pop.wait_up()
        clients.close()
    return Faulty(
        {state: Took.of(tries) for state, tries in found.items()},
        {state: _longest(counts) for state, counts in turns.items()},
    )


#: In place of a bound: the sum of all turns, in seconds.
_SUM = -1.0


def _histogram(node: Node) -> dict[float, float]:
    """Bound in seconds -> turns up to it."""
    text = asked(node, Metrics())["text"]
    name = "pbs_fast_loop_turn_seconds"
    found = {float(bound): float(n) for bound, n in re.findall(rf'(?m)^{name}_bucket{{le="(\S+)"}} (\S+)$', text)}
    return found | {_SUM: float(re.search(rf"(?m)^{name}_sum (\S+)$", text)[1])}  # type: ignore[index]


def _longest(counts: dict[float, float]) -> tuple[float, float]:
    total = counts[float("inf")]
    return 1000 * counts[_SUM] / total, 1000 * min(bound for bound, n in counts.items() if bound >= 0 and n >= total)


def server_version() -> str:
    """Of the hub's program."""
    with hubs() as make:
        client: valkey.Valkey = make().admin
        about: dict[str, Any] = client.info("server")  # type: ignore[assignment]  # not the asynchronous client
    return f"{about.get('server_name', 'redis')} {about.get('valkey_version', about['redis_version'])}"

"""A daemon whose turns a test makes, one by one: with a table in memory, a log of batches, and a clock of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

from pbs_fast.caps.counter import CapCounter
from pbs_fast.caps.limits import Limits
from pbs_fast.config.model import Guards as GuardConfig
from pbs_fast.daemon.cap_state import CapState
from pbs_fast.daemon.cap_watch import CapWatch
from pbs_fast.daemon.log_watch import LogWatch
from pbs_fast.daemon.loop import Daemon
from pbs_fast.daemon.manual import ManualRows
from pbs_fast.daemon.notify import Notifier
from pbs_fast.daemon.publisher import Publisher
from pbs_fast.daemon.unexplained import Unexplained
from pbs_fast.events import Batch, Counters, Delta, Grant
from pbs_fast.guards import Guards, Machine
from pbs_fast.guards.deny import DenyList
from pbs_fast.guards.netblocks import read_netblocks
from pbs_fast.health.notices import Notices
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.sources.wakeup import Hints
from support.clock import FakeClock
from support.own_log import heard

GRACE = 10


class Table:
    """Keeps its rows, and how many each change removed."""

    spec, file, window, refused = "test:", None, 0.0, 0

    def __init__(self) -> None:
        self.rows: dict[str, Grant] = {}
        self.removed: list[int] = []
        self.closed = False

    def load(self) -> dict[str, Any]:
        return {}

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        self.rows = dict(rows)

    def apply(self, delta: Delta) -> None:
        self.rows.update(delta.set)
        for ip in delta.removed:
            self.rows.pop(ip, None)
        self.removed.append(len(delta.removed))

    def check(self) -> None:
        pass

    def heartbeat(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Logs:
    """One log; what `next` holds is read in the next turn."""

    busy, ended = False, False

    def __init__(self) -> None:
        self.next: list[Batch] = []
        self.counters = Counters()

    def scan(self) -> None:
        pass

    def timeout(self) -> float:
        return 0.25

    def poll(self, _reference: int) -> list[Batch]:
        found, self.next = self.next, []
        return found

    def close(self) -> None:
        pass

    def __iter__(self) -> Iterator[object]:
        return iter(())


class Site:
    """A daemon whose turns the test makes, on a clock that the test sets."""

    def __init__(self, said: list[str]) -> None:
        self.said = said
        self.clock = FakeClock()
        self.table = Table()
        self.logs = Logs()
        guards = Guards(GuardConfig(), read_netblocks(()), Machine((), (), ()), DenyList())
        ledger = Ledger(GRACE)
        notices = Notices()
        counter = CapCounter(Limits())
        self.caps = CapWatch(counter, self.clock, notices, CapState(counter, None, self.clock))
        self.daemon = Daemon(
            logs=cast("Any", self.logs),
            guards=guards,
            ledger=ledger,
            publisher=Publisher([cast("Any", self.table)]),
            clock=self.clock,
            signals=cast("Any", SimpleNamespace(stop=None, take_reload=lambda: False, take_counters=lambda: False)),
            hints=Hints(enabled=False),
            notifier=Notifier({}),
            reload=lambda: False,
            unexplained=Unexplained([], ledger, self.clock),
            notices=notices,
            log_watch=LogWatch(notices, grace=GRACE, wall=self.clock.wall),
            manual=ManualRows(None, self.clock, GRACE),
            caps=self.caps,
        )

    def login(self, *ips: str) -> None:
        """Logins of now, read in the next turn."""
        size, now = len(ips), int(self.clock.wall())
        self.logs.next.append(
            Batch(
                "log",
                ip=list(ips),
                first=[now] * size,
                last=[now] * size,
                n=[1] * size,
                kind=["login"] * size,
                format=["dovecot"] * size,
                host=["hub"] * size,
                offset=[0] * size,
                tls=[None] * size,
                loop=[False] * size,
                session=[None] * size,
                user_first=[None] * size,
                user_last=[None] * size,
                users=[0] * size,
                process=[""] * size,
            )
        )

    def turn(self) -> None:
        self.daemon._turn()
        self.daemon.measures.turned(0.0)

    def all_said(self, what: str) -> list[str]:
        return [line.split()[1] for line in self.said if line.startswith(what)]


@contextmanager
def heard_site() -> Iterator[Site]:
    """One whose lines are kept."""
    with heard() as found:
        site = Site(found.lines)
        yield site
        site.caps.close()

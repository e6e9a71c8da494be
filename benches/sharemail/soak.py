"""Three POP and three SMTP nodes, two hubs, each in a network namespace; links are cut at random.

Judged by the clients of three real Postfixes alone, which each read the table of one SMTP node:
- a client whose login is older than LATE seconds is accepted wherever a hub joined both nodes for the last SETTLED
  seconds;
- nobody is accepted later than LATE seconds after the end of their last login's `grace`, wherever a link is cut.
"""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from daemon.running import login
from livemail.runs import MAIN_CF
from mta.postfix import Postfix
from mta.postfix import running as postfix_running
from share.hubs import hubs
from share.network import Network, network
from share.nodes import Node, nodes

POP, SMTP, HUBS = (
    tuple(f"{kind}{number}" for number in range(1, 1 + n)) for kind, n in (("pop", 3), ("smtp", 3), ("hub", 2))
)
GRACE = 40
LATE = 1.0
#: Longest cut, and seconds after a cut until the nodes are sure to be connected again: a pause between two attempts is
#: 15 s at most, a connection that hangs is given up after 5 s, one that does not come about after 3 s.
CUT, SETTLED = 15.0, 25.0
#: Seconds between two logins.
PACE = 0.1


@dataclass
class Result:
    """What one soak found."""

    seconds: float = 0.0
    logins: int = 0
    cuts: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    """Clients that had to be accepted, and were."""
    refused: list[str] = field(default_factory=list)
    """Who had to be accepted, and was not."""
    ended: int = 0
    """Clients that had to be refused, and were."""
    relayed: list[str] = field(default_factory=list)
    """Who had to be refused, and was not."""
    unsure: int = 0
    """Attempts that may end either way: no hub joined the nodes, or the end was at hand."""

    @property
    def clean(self) -> bool:
        return not self.refused and not self.relayed and self.accepted > 0 and self.ended > 0

    def page(self) -> str:
        """For the record."""
        cuts = ", ".join(f"{name} {n}" for name, n in sorted(self.cuts.items()))
        verdict = "Nobody was refused or accepted wrongly." if self.clean else "**Clients were treated wrongly.**"
        rows = {
            "minutes": f"{self.seconds / 60:.1f}",
            "logins": f"{self.logins:,}",
            "links cut": cuts,
            f"accepted, login older than {LATE:g} s, a hub joined both nodes": f"{self.accepted:,}",
            "of these refused": len(self.refused),
            f"refused, later than {LATE:g} s after the end": f"{self.ended:,}",
            "of these accepted": len(self.relayed),
            "either would do": f"{self.unsure:,}",
        }
        table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
        wrong = "".join(f"- {each}\n" for each in [*self.refused, *self.relayed][:50])
        return (
            f"{len(POP)} POP, {len(SMTP)} SMTP nodes, {len(HUBS)} hubs. {verdict}\n\n| | |\n|---|---|\n{table}\n{wrong}"
        )


class Soak:
    """One run."""

    def __init__(self, net: Network, found: dict[str, Node], postfixes: dict[str, Postfix], seed: int) -> None:
        self._net, self._nodes, self._postfixes = net, found, postfixes
        self._random = random.Random(seed)
        self._result = Result()
        self._logins: dict[str, dict[str, float]] = {}
        """Address -> node -> when its newest login there was written."""
        self._cut: dict[str, float] = {}
        """Link -> when it will be joined."""
        self._shaken: dict[str, float] = {}
        """Link -> until when it does not count as one."""

    def run(self, seconds: float) -> Result:
        """Do it."""
        begun = time.monotonic()
        next_cut = begun + 5
        while (now := time.monotonic()) < begun + seconds:
            for link in [link for link, until in self._cut.items() if until <= now]:
                del self._cut[link]
                self._net.join(link)
                self._shaken[link] = time.monotonic() + SETTLED
            if now >= next_cut:
                self._cut_one(now)
                next_cut = now + self._random.uniform(5, 20)
            self._log_in()
            for _ in range(3):
                self._look()
            time.sleep(PACE)
        self._result.seconds = time.monotonic() - begun
        for link in self._cut:
            self._net.join(link)
        return self._result

    def _cut_one(self, now: float) -> None:
        """A node's link, or a hub's while the other one joins all."""
        link = self._random.choice([*HUBS, *HUBS, *POP, *SMTP])
        if link in self._cut or (link in HUBS and not all(self._joins(hub, now) for hub in HUBS)):
            return
        self._shaken[link] = float("inf")
        self._net.cut(link)
        self._cut[link] = now + self._random.uniform(1, CUT)
        self._result.cuts[link] = self._result.cuts.get(link, 0) + 1

    def _joins(self, link: str, now: float) -> bool:
        return self._shaken.get(link, 0.0) < now

    def _log_in(self) -> None:
        known = list(self._logins)
        self._result.logins += 1
        if known and self._random.random() < 0.3:
            ip = self._random.choice(known)
        else:
            ip = f"198.18.{self._result.logins >> 8 & 255}.{self._result.logins & 255}"
        name = self._random.choice(POP)
        self._nodes[name].append(login(ip, at=time.time()))
        self._logins.setdefault(ip, {})[name] = time.time()

    def _look(self) -> None:
        """One client at one Postfix, and whether the answer is right."""
        ip, name = self._random.choice(list(self._logins)), self._random.choice(SMTP)
        logins = dict(self._logins[ip])
        before, now = time.time(), time.monotonic()
        relayed = self._postfixes[name].rcpt(ip).relayed
        after = time.time()
        newest = max(logins.values())
        settled = self._joins(name, now) and any(self._joins(hub, now) for hub in HUBS)
        # A login's timestamp is its whole second, and its end may be written a second early by that.
        must = settled and any(
            self._joins(pop, now) and at + LATE < before and after < int(at) + GRACE - LATE
            for pop, at in logins.items()
        )
        what = f"{ip} at {name}, {before - newest:.2f} s after its last login, of {GRACE} s; cut: {sorted(self._cut)}"
        if before > newest + GRACE + LATE:
            if relayed:
                self._result.relayed.append(what)
            else:
                self._result.ended += 1
                if before > newest + 2 * GRACE:
                    del self._logins[ip]
        elif must:
            if relayed:
                self._result.accepted += 1
            else:
                self._result.refused.append(what)
        else:
            self._result.unsure += 1


def soak(seconds: float, seed: int) -> Result:
    """One in namespaces of its own."""
    with ExitStack() as stack:
        net = stack.enter_context(network([HUBS[0], *POP], [HUBS[1], *SMTP]))
        new_hub, new_node = stack.enter_context(hubs()), stack.enter_context(nodes())
        made = [new_hub(bind=net.hosts[name].address, prefix=net.hosts[name].prefix) for name in HUBS]
        found: dict[str, Node] = {name: new_node(name, made, logs=name in POP) for name in (*POP, *SMTP)}
        for name, node in found.items():
            node.grace = GRACE
            node.start(prefix=net.hosts[name].prefix)
        for node in found.values():
            node.wait_up()
        postfixes = {
            name: stack.enter_context(postfix_running(found[name].spec, smtpd_limit=4, main_cf=MAIN_CF))
            for name in SMTP
        }
        return Soak(net, found, postfixes, seed).run(seconds)

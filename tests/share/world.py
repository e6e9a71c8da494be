"""A world of nodes and hubs in one process: simulated time, everything that goes wrong, and what must be true.

A node's clock is `offset` seconds away from the world's, a hub's `skew` seconds. Events happen at whole seconds of the
world, revocations end at half ones, so that no two clocks can judge a login differently by their small errors.
"""

from __future__ import annotations

from math import floor
from random import Random
from typing import Self

from pbs_fast.events import Grant

from .simulated_hub import Hub
from .simulated_node import ERROR, GRACE, MAX_SESSION, Node


class World:
    """All of them, and what must be true."""

    def __init__(self, seed: int, nodes: int = 3, hubs: int = 2) -> None:
        self.random = Random(seed)
        self.time = 0.0
        self.names = [f"node-{number}" for number in range(nodes)]
        self.hubs = [Hub() for _ in range(hubs)]
        for hub in self.hubs:
            hub.skew = self.random.choice([0.0, 3_600.0, -3_600.0])
        self.nodes = [Node(self, name, sessions=name == "node-0") for name in self.names]
        self.sessions: dict[str, tuple[Node, str, str]] = {}
        self.revocations: dict[tuple[str, str, str], float] = {}
        """By maker and subject: until when in the world's time."""
        self.lost = False
        """A hub lost what it was told."""
        self.clocks_set = False
        self.ever: dict[tuple[str, str], float] = {}
        """By subject: the latest `until` that anybody ever said."""

    def node(self, number: int) -> Node:
        return self.nodes[number % len(self.nodes)]

    def live(self) -> list[Node]:
        return [node for node in self.nodes if node.up]

    def pass_time(self, seconds: int) -> Self:
        for _ in range(seconds):
            self.time += 1
            for node in self.live():
                node.turn()
            self.check()
        return self

    def disturb(self, number: int | None = None) -> None:
        """Something happened to a hub, or to all: what follows from it takes a while."""
        for node in self.nodes:
            for each, link in enumerate(node.links):
                if number is None or each == number:
                    link.calm = self.time

    # -- what must be true --------------------------------------------------------------------------------------------

    def check(self) -> None:
        for node in self.live():
            for number, link in enumerate(node.links):
                if node.outbox.sends_all_at(number) is not None:
                    link.owing = self.time
            for ip, (_, sure) in node.sure.items():
                assert sure <= self.time or ip in node.ledger or node.allowed, (
                    f"{ip} logged in at {node.name}, which forgot it"
                )
            for ip, row, end in node.rows():
                if row.node:
                    assert row.node in node.trusted, f"{node.name} has a row of {row.node}, which it does not trust"
                    origin = self.nodes[self.names.index(row.node)]
                    assert ip in origin.ends, f"{row.node} never had {ip}"
                    latest = origin.ends[ip] + 1 + 3 * ERROR + node.error(row)
                    assert end <= latest, f"{ip} of {row.node} ends at {end} on {node.name}, not by {latest}"
            for other in self.live():
                if other is not node:
                    self.check_pair(node, other)

    def check_pair(self, node: Node, other: Node) -> None:
        """What a node may let relay, another one does, where a hub connects them in peace."""
        if node.name not in other.trusted or not any(
            node.links[number].connected
            and other.links[number].connected
            and self.time - max(node.links[number].calm, other.links[number].calm) > 40
            and self.time - node.links[number].owing > 2
            for number in range(len(self.hubs))
        ):
            return
        for ip, row, end in node.rows():
            if row.node or end <= self.time + 0.5:
                continue
            login = node.world_time(*node.ledger.logins([(ip, row)]))
            user = row.user or ""
            if any(
                of not in (node.name, *node.trusted) and tuple(name) in subjects(ip, user)
                for of, *name in self.revocations
            ):
                continue  # who distrusts a node does not hear what it revokes, nor sends a row of a later login at once
            if self.time - login >= 2 and not self.covered(ip, user, login) and not self.overdone(ip, user, end):
                assert ip in other.ledger, f"{ip} of {node.name} is live until {end} and {other.name} has it not"

    def covered(self, ip: str, user: str, login: float) -> bool:
        """Whether a login is revoked."""
        names = subjects(ip, user)
        return any(login <= until for (_, *name), until in self.revocations.items() if tuple(name) in names)

    def ever_covered(self, ip: str, user: str, login: float) -> bool:
        """The same, but for some it may be covered by what was undone."""
        return any(login <= self.ever.get(name, 0.0) for name in subjects(ip, user))

    def revoked(self, maker: str, kind: str, what: str, until: float) -> None:
        """Somebody said so."""
        name = kind, what.casefold()
        self.revocations[maker, *name] = until
        self.ever[name] = max(self.ever.get(name, 0.0), until)
        for node in self.nodes:
            for ip in [ip for ip, (user, _) in node.sure.items() if name in subjects(ip, user)]:
                del node.sure[ip]
        self.disturb()

    def check_quiet(self) -> None:
        """After 30 s in which nothing happened."""
        lasting = {ip for node in self.nodes for ip, row, end in node.rows() if end - node.error(row) > self.time + 2}
        lasting -= {
            ip
            for node in self.nodes
            for ip, row, end in node.rows()
            if self.misread(node, ip, row) or self.overdone(ip, row.user or "", end)
        }
        addresses = {node.name: sorted(lasting.intersection(node.ledger.addresses())) for node in self.nodes}
        assert len({tuple(each) for each in addresses.values()}) == 1, addresses
        for ip in addresses[self.names[0]]:
            ends = {
                node.name: end
                for node in self.nodes
                for each, row, end in node.rows()
                if each == ip and row.node and not node.error(row) and not self.held_again(row.node, ip)
            }
            assert not ends or max(ends.values()) - min(ends.values()) <= 1 + 3 * ERROR, (ip, ends)
        for node in self.nodes:
            for (maker, *name), until in self.revocations.items():
                if until > self.time + 2:
                    found = node.tombstones.get(maker, (name[0], name[1]))
                    assert found is not None, f"{node.name} does not know that {name} is revoked"
                    off = node.world_time(floor(found.until)) - until
                    assert -2 < off < 2 + node.allowed.get(maker, 0.0), (node.name, name, until, off)
            for ip, row, end in node.rows():
                explained = self.misread(node, ip, row) or self.explained(ip, end - node.error(row))
                assert explained, f"{node.name}: {ip} is revoked"

    def held_again(self, name: str, ip: str) -> bool:
        """Whether a node that counts sessions may have said after a start that one is open which was revoked: it reads
        its log before the hubs, and the others keep for one grace what it said."""
        node = self.nodes[self.names.index(name)]
        return node.sessions and any(
            event.kind == "login" and event.ip == ip and self.ever_covered(ip, event.user, event.time)
            for event in node.log
        )

    def misread(self, node: Node, ip: str, row: Grant) -> bool:
        """Whether the login of a row may seem later than a revocation that covers it: by as much as the hub's clock was
        set back before we read it for the first time (docs/SHARING.md, Limits)."""
        return node.error(row) > 0 and not self.ever.keys().isdisjoint(subjects(ip, row.user or ""))

    def overdone(self, ip: str, user: str, end: float) -> bool:
        """Whether some node may think that a revocation covers the login of a row, and none does: such a login has to
        be made again.

        Either that node read the revocation for the first time after the hub's clock was set back, so that it seems
        later than it was (docs/SHARING.md, Limits); or it was undone, the hub lost that, and the node started before
        the maker said so again."""
        names = subjects(ip, user)
        if any(node.allowed.get(of) and tuple(name) in names for node in self.nodes for of, *name in self.revocations):
            return True
        in_force = dict.fromkeys(names, 0.0)
        for (_, *name), until in self.revocations.items():
            if tuple(name) in names:
                in_force[name[0], name[1]] = max(until, in_force[name[0], name[1]])
        return self.lost and any(self.ever.get(name, 0.0) > max(in_force[name], end - GRACE - 2) for name in names)

    def explained(self, ip: str, end: float) -> bool:
        """Whether a login that is not revoked allows this end."""
        latest = 0.0
        for node in self.nodes:
            ended = {event.session: event.time for event in node.log if event.kind == "logout"}
            logins = [event for event in node.log if event.kind == "login" and event.ip == ip]
            good = [event for event in logins if not self.covered(ip, event.user, event.time)]
            if node.sessions and good and any(event.session not in ended for event in logins):
                # A session is open, so the row is held. Perhaps by one that was revoked, until the node knew of it.
                latest = max(latest, *(event.time + MAX_SESSION for event in good))
            latest = max([latest, *(ended.get(event.session, event.time) + GRACE for event in good)])
        return end <= latest + 1 + 3 * ERROR

    def heal(self) -> None:
        for hub in self.hubs:
            hub.alive = True
        for node in self.nodes:
            if not node.up:
                node.start()
            for link in node.links:
                link.up, link.breaks_after, link.drops = True, None, 0
            node.trust(set(self.names) - {node.name})

    def quiet(self, restart: int) -> None:
        """30 s without any event, begun with a new start of one node, so that what the hubs hold is looked at too."""
        self.heal()
        self.nodes[restart % len(self.nodes)].start()
        self.disturb()
        self.pass_time(20)
        # A hub that was hit twice within a minute gets all rows again a minute after the first time.
        late = any(node.outbox.sends_all_at(number) for node in self.nodes for number in range(len(self.hubs)))
        self.pass_time(70 if late else 10)
        for _ in range(10):
            if any(node.said == self.time for node in self.nodes):
                self.pass_time(1)  # a renewal of just now: those who had their turn before read it in the next second
        self.check_quiet()


def subjects(ip: str, user: str) -> set[tuple[str, str]]:
    """What a revocation may name that covers this."""
    found = {("ip", ip), ("user", user.casefold())}
    if ip.startswith("198.51.100."):
        found.add(("network", "198.51.100.0/24"))
    return found

"""Whatever happens to nodes, hubs and links, the tables become equal and nobody relays too long; each rule matters.

The machine plays users, administrators and faults on the world of `world.py`. What must be true is checked each second,
and that the tables are equal after 30 s of quiet. It must itself notice what `test_rules.py` proves rule by rule: the
last test breaks, for each thing that it checks, a rule that it finds broken within seconds.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from machines import run_machine
from pbs_fast.share.message import What, stream_of

from . import broken
from .simulated_node import SITE
from .world import World

#: What the machine did, over all examples of a run.
DONE: Counter[str] = Counter()

number = st.integers(0, 5)
ips = st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.7", "2001:db8::1"])
users = st.sampled_from(["anna@example.org", "Otto", "eve"])
subjects = st.sampled_from(
    [("ip", "192.0.2.1"), ("user", "anna@example.org"), ("user", "OTTO"), ("network", "198.51.100.0/24")]
)


class Machine(RuleBasedStateMachine):
    """Each rule is one thing that happens; most let some time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(0)
        self.session = 0
        self.users: dict[tuple[str, str], str] = {}
        self.actions: set[str] = set()

    @initialize(seed=st.integers(0, 1_000), nodes=st.integers(2, 4), hubs=st.sampled_from([1, 1, 2]))
    def begin(self, seed: int, nodes: int, hubs: int) -> None:
        self.world = World(seed, nodes, hubs)
        self.world.pass_time(3)
        for each, node in enumerate(self.world.nodes):
            self.login(each, f"192.0.2.{each + 1}", "Otto", 1)
            self.login(each, "198.51.100.7", "eve", 0)
            assert node.up

    def teardown(self) -> None:
        self.world.quiet(self.session)
        DONE["examples"] += 1
        DONE.update(self.actions)
        DONE.update(
            {f"found_{name}": 1 for node in self.world.nodes for counts in node.inbox.counters for name in counts}
        )

    def hub(self, number: int) -> int:
        return number % len(self.world.hubs)

    # -- users --------------------------------------------------------------------------------------------------------

    @rule(number=number, ip=ips, user=users, then=st.sampled_from([0, 1, 2, 7]))
    def login(self, number: int, ip: str, user: str, then: int) -> None:
        node = self.world.node(number)
        if node.up:
            self.session += 1
            # A row has one user: those of others who logged in before go with it, and the mirrors may know of these.
            user = self.users.setdefault((node.name, ip), user)
            node.happens("login", ip, user, str(self.session))
        self.world.pass_time(then)

    @rule(number=number, ip=ips, user=users, times=st.integers(2, 4), every=st.sampled_from([9, 17, 31]))
    def poll(self, number: int, ip: str, user: str, times: int, every: int) -> None:
        """A client that comes back."""
        for _ in range(times):
            self.login(number, ip, user, every)
        self.actions.add("poll")

    @rule(then=st.sampled_from([0, 2]))
    def logout(self, then: int) -> None:
        node = self.world.nodes[0]
        open_ones = [event for event in node.log if event.kind == "login"]
        if node.up and open_ones:
            last = open_ones[-1]
            if not any(event.kind == "logout" and event.session == last.session for event in node.log):
                node.happens("logout", last.ip, last.user, last.session)
                self.actions.add("logout")
        self.world.pass_time(then)

    @rule(seconds=st.sampled_from([1, 5, 15, 45, 120, 300]))
    def pass_time(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    # -- administrators -----------------------------------------------------------------------------------------------

    @rule(number=number, subject=subjects, for_=st.sampled_from([0, 4, 100, 900]), then=st.sampled_from([0, 3, 12]))
    def revoke(self, number: int, subject: tuple[What, str], for_: int, then: int) -> None:
        node, (kind, what) = self.world.node(number), subject
        if not node.up:
            return
        until = self.world.time + for_ + 0.5
        node.revoke(kind, what, until)
        self.actions.add("revoke")
        self.world.pass_time(then)

    @precondition(lambda self: any(until > self.world.time for until in self.world.revocations.values()))
    @rule(pick=number, then=st.sampled_from([0, 3]))
    def undo(self, pick: int, then: int) -> None:
        found = [
            (node, subject)
            for node in self.world.nodes
            for subject, made in node.made.items()
            if made.until > self.world.time
        ]
        node, (kind, what) = found[pick % len(found)]
        if node.up:
            self.actions.add("undo")
            node.revoke(kind, what, self.world.time - 0.5)
            self.world.pass_time(then)

    @precondition(lambda self: len(self.world.nodes) > 2)
    @rule(number=number, of=number)
    def distrust(self, number: int, of: int) -> None:
        node, other = self.world.node(number), self.world.node(of)
        if node.up and other.name in node.trusted:
            node.trust(node.trusted - {other.name})
            self.world.disturb()
            self.actions.add("distrust")
            self.world.check()

    # -- faults -------------------------------------------------------------------------------------------------------

    @rule(number=number, hub=number, then=st.sampled_from([1, 12, 40]))
    def cut(self, number: int, hub: int, then: int) -> None:
        """A link breaks, or is mended."""
        link = self.world.node(number).links[self.hub(hub)]
        link.up = not link.up
        link.calm = self.world.time
        self.actions.add("cut")
        self.world.pass_time(then)

    @rule(number=number, hub=number, after=st.integers(0, 2), ip=ips)
    def break_off(self, number: int, hub: int, after: int, ip: str) -> None:
        """A connection breaks while messages are written."""
        link = self.world.node(number).links[self.hub(hub)]
        link.breaks_after = after
        link.calm = self.world.time
        self.actions.add("break off")
        self.login(number, ip, "anna@example.org", 2)

    @rule(number=number, hub=number, count=st.integers(1, 3), ip=ips)
    def skip(self, number: int, hub: int, count: int, ip: str) -> None:
        """A node reads from where some entries are not yet."""
        link = self.world.node(number).links[self.hub(hub)]
        link.drops, link.calm = count, self.world.time
        self.actions.add("skip")
        self.login(number + 1, ip, "anna@example.org", 2)

    @rule(number=number, subject=subjects, ip=ips, user=users)
    def revoke_alone(self, number: int, subject: tuple[What, str], ip: str, user: str) -> None:
        """A revocation that reaches the others late, when there are logins again."""
        node = self.world.node(number)
        links = [link for link in node.links if link.up]
        for link in links:
            link.up = False
        self.world.pass_time(1)
        self.revoke(number, subject, 4, 6)
        self.login(number + 1, ip, user, 2)
        for link in links:
            link.up = True
        self.actions.add("revoke alone")
        self.world.pass_time(3)

    @rule(hub=number, then=st.sampled_from([1, 12, 40]), empty=st.booleans())
    def kill_hub(self, hub: int, then: int, empty: bool) -> None:
        """A hub dies, or comes back, with or without its data."""
        each = self.world.hubs[self.hub(hub)]
        each.alive = not each.alive
        if empty:
            self.world.lost = True
            each.flush()
        self.world.disturb(self.hub(hub))
        self.actions.add("kill hub")
        self.world.pass_time(then)

    @rule(hub=number, then=st.sampled_from([0, 3, 16]))
    def flush(self, hub: int, then: int) -> None:
        self.world.lost = True
        self.world.hubs[self.hub(hub)].flush()
        self.world.disturb(self.hub(hub))
        self.actions.add("flush")
        self.world.pass_time(then)

    @rule(hub=number, number=number, count=st.integers(1, 4), then=st.sampled_from([0, 3, 16]))
    def fail_over(self, hub: int, number: int, count: int, then: int) -> None:
        """The newest entries of a stream are lost."""
        self.world.lost = True
        self.world.hubs[self.hub(hub)].lose(stream_of(SITE, self.world.node(number).name), count)
        self.world.disturb(self.hub(hub))
        self.actions.add("fail over")
        self.world.pass_time(then)

    @rule(
        hub=number,
        by=st.sampled_from([-3_600, 3_600, -3_600, -40, -15, 15, 40]),
        number=number,
        ip=ips,
        first=st.integers(0, 10),
        then=st.sampled_from([0, 3, 16]),
    )
    def set_clock(self, hub: int, by: int, number: int, ip: str, first: int, then: int) -> None:
        self.world.hubs[self.hub(hub)].skew += by
        self.world.clocks_set = True
        self.world.disturb(self.hub(hub))
        self.actions.add("set clock")
        self.world.pass_time(first)
        self.login(number, ip, "anna@example.org", then)

    @rule(number=number, then=st.sampled_from([0, 1, 20]))
    def crash(self, number: int, then: int) -> None:
        """A node is killed, or comes back."""
        node = self.world.node(number)
        if node.up:
            node.up = False
        else:
            node.start()
        self.world.disturb()
        self.actions.add("crash")
        self.world.pass_time(then)

    @rule(
        hub=number,
        number=number,
        to=number,
        pick=st.integers(0, 30),
        kind=st.sampled_from(["again", "moved", "forged"]),
    )
    def write_again(self, hub: int, number: int, to: int, pick: int, kind: str) -> None:
        """A stranger with access to the hub, but without the secret, writes what was written, or makes something up."""
        each, node = self.world.hubs[self.hub(hub)], self.world.node(number)
        items = [item for item in each.streams.get(stream_of(SITE, node.name), []) if b'"r":' in item.m]
        if not items or not each.alive:
            return
        item = items[-1 - pick % len(items)]
        target = stream_of(SITE, node.name if kind != "moved" else self.world.node(to).name)
        m = item.m.replace(b"192.0.2.", b"203.0.113.") if kind == "forged" else item.m
        each.add(target, m, item.s, self.world.time)
        each.streams[target][-1] = each.streams[target][-1]._replace(made=item.made)
        self.world.disturb(self.hub(hub))
        self.actions.add(kind)
        self.world.pass_time(1)


def run(examples: int, *, steps: int = 25, quick: bool = False) -> None:
    run_machine(Machine, examples, steps=steps, quick=quick)


def test_tables_become_equal_and_no_row_lives_too_long() -> None:
    DONE.clear()
    run(60)
    shares = {name: count / DONE["examples"] for name, count in DONE.items()}
    print("share of examples:", {name: round(share, 2) for name, share in sorted(shares.items())})
    common = ("cut", "break off", "crash", "kill hub", "flush", "fail over", "set clock", "revoke", "distrust", "poll")
    # Hypothesis leaves whole rules out of an example, so the shares change with each change of the machine.
    for action in common:
        assert shares[action] > 0.04, (action, shares)
    for found in ("gap", "silence", "hub_step", "revoked"):
        assert shares[f"found_full_{found}"] > 0.04, shares
    # Each is rare, and has its own story in test_rules.py.
    refused = ("replay", "clock", "signature")
    assert sum(shares.get(f"found_refused_{found}", 0) for found in refused) > 0.03, shares


@pytest.mark.system
@pytest.mark.parametrize(
    "rule",
    [
        broken.a_step_is_not_seen,
        broken.new_rows_wait,
        broken.old_messages_are_read_by_the_new_clock,
        broken.reading_starts_at_the_end,
        broken.revocations_cover_all_logins,
        broken.revoked_rows_come_back,
        broken.what_is_left_counts_from_the_reading,
    ],
)
def test_the_machine_notices_a_broken_rule(rule: broken.Break, monkeypatch: pytest.MonkeyPatch) -> None:
    rule(monkeypatch)
    with pytest.raises(AssertionError):
        run(250, quick=True)

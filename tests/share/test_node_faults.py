"""What wrong clocks, lost nodes, two nodes of one name and hostile ones cost: real hubs, the tables of real daemons."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import valkey

from daemon.controlled import asked
from daemon.running import Daemon, login
from mta import unavailable, wait_for
from pbs_fast.control.protocol import Revoke
from pbs_fast.share.message import Row, Writer
from share.hubs import PASSWORD, SECRET, Hub, hubs
from share.nodes import Node, nodes
from share.rows import at_hub, ends, metric, same, wait_same

A, B, C, D, E = (f"203.0.113.{number}" for number in range(5, 10))
HOUR = 3600.0

pytestmark = pytest.mark.system


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


# -- clocks --------------------


def test_a_node_whose_clock_is_wrong_and_is_set(stack: ExitStack) -> None:
    hub = stack.enter_context(hubs())()
    new_node = stack.enter_context(nodes())
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    clocks = [node.set_clocks() for node in (pop, smtp)]
    clocks[0].set(wall=HOUR)
    pop.append(login(A, at=pop.now()))
    pop.start()
    smtp.start()
    wait_same(pop, smtp, ips={A})
    clocks[0].set(wall=-HOUR)
    pop.append(login(B, at=pop.now()))
    wait_same(pop, smtp, ips={A, B})
    clocks[1].set(wall=HOUR)
    pop.append(login(C, at=pop.now()))
    wait_same(pop, smtp, ips={A, B, C})
    assert [metric(node, "hub_full_sends_total") for node in (pop, smtp)] == [0, 0]
    assert not smtp.status()["hubs"][0]["refused"]


class Clocked:
    """A hub whose clock is set, by clock_ahead.c."""

    def __init__(self, new_hub: Any, place: Path, name: str) -> None:
        self._file = place / name
        self.set(0)
        library = place / "clock_ahead.so"
        if not library.exists():
            source = str(Path(__file__).with_name("clock_ahead.c"))
            if shutil.which("gcc") is None:
                unavailable("gcc is not installed")
            subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), source], check=True)
        self.hub: Hub = new_hub(prefix=("env", f"LD_PRELOAD={library}", f"CLOCK_AHEAD={self._file}"))

    def set(self, seconds: float) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:.0f}\n")
        fresh.replace(self._file)
        self.ahead = seconds


def test_hubs_whose_clocks_are_set_by_an_hour(stack: ExitStack, tmp_path: Path) -> None:
    new_hub, new_node = stack.enter_context(hubs()), stack.enter_context(nodes())
    forward, back = (Clocked(new_hub, tmp_path, name) for name in ("forward", "back"))
    pop = new_node("pop1", [forward.hub, back.hub])
    smtp1, smtp2 = (new_node(name, [each.hub], logs=False) for name, each in (("smtp1", forward), ("smtp2", back)))
    pop.append(login(A))
    for node in (pop, smtp1, smtp2):
        node.start()
    wait_same(pop, smtp1, smtp2, ips={A})
    before = ends(pop)[A]
    forward.set(HOUR)
    back.set(-HOUR)
    pop.append(login(B))
    for node, count in ((pop, 2), (smtp1, 1), (smtp2, 1)):
        node.wait_said("its clock was set by", count)
        node.wait_status(
            "the offset", lambda state: all(abs(abs(hub["offset_s"] or 0) - HOUR) < 60 for hub in state["hubs"])
        )
    wait_same(pop, smtp1, smtp2, ips={A, B})
    pop.append(login(C))
    wait_same(pop, smtp1, smtp2, ips={A, B, C})
    assert abs(ends(smtp1)[A] - before) <= 2
    assert abs(ends(smtp2)[A] - before) <= 2
    for each in (forward, back):
        wait_for("all rows", lambda each=each: same(at_hub(each.hub, "pop1", ahead=each.ahead), ends(pop)))
    assert metric(pop, "hub_full_sends_total", "hub_step") == 2
    assert metric(pop, "hub_full_sends_total", "end_differs") == 0


# -- nodes: one hub, two that publish, one that receives, from test to test --------------------


class Field(SimpleNamespace):
    """What the following tests share; each uses addresses of its own."""

    hub: Hub
    pop1: Node
    pop2: Node
    smtp: Node
    daemons: dict[str, Daemon]

    @property
    def all(self) -> list[Node]:
        return [self.pop1, self.pop2, self.smtp]

    def as_node(self, name: str) -> Any:
        """A client that has the password of a node."""
        return valkey.Valkey(host=self.hub.bind, port=self.hub.port, username=name, password=PASSWORD)


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    with ExitStack() as stack:
        hub = stack.enter_context(hubs())()
        new_node = stack.enter_context(nodes())
        pop1, pop2 = new_node("pop1", [hub]), new_node("pop2", [hub])
        smtp = new_node("smtp1", [hub], logs=False)
        pop1.append(login(A))
        daemons = {node.name: node.start() for node in (pop1, pop2, smtp)}
        wait_same(pop1, pop2, smtp, ips={A})
        yield Field(hub=hub, pop1=pop1, pop2=pop2, smtp=smtp, daemons=daemons)


def test_a_node_that_is_killed_and_started_again(field: Field) -> None:
    before = ends(field.smtp)
    field.daemons["pop1"].kill()
    assert same(ends(field.smtp), before)
    field.pop1.append(login(B))
    field.daemons["pop1"] = field.pop1.start()
    wait_same(*field.all, ips={A, B})
    assert same({A: ends(field.smtp)[A]}, before)
    assert metric(field.smtp, "node_gaps_total") == 0
    field.daemons["smtp1"].kill()
    field.pop1.append(login(C))
    field.daemons["smtp1"] = field.smtp.start()
    wait_same(*field.all, ips={A, B, C})
    assert not field.smtp.status()["hubs"][0]["refused"]


def test_two_daemons_with_one_name(field: Field, stack: ExitStack) -> None:
    namesake = stack.enter_context(nodes())("pop1", [field.hub])
    namesake.append(login(D))
    namesake.start()
    wait_same(field.pop2, field.smtp, ips={A, B, C, D})
    for node in (field.pop1, namesake):
        node.wait_said("or another daemon calls itself pop1 too; all rows are sent again")
    assert D not in ends(field.pop1), "nobody reads the stream that is their own"
    namesake.append(login(E))
    wait_same(field.pop2, field.smtp, ips={A, B, C, D, E})


def test_a_stranger_who_writes_to_the_hub(field: Field) -> None:
    rows = [Row("198.51.100.9", 1_800_000, None, "dovecot", "mx1", 0)]
    stream = field.hub.stream("pop1")
    (forged,) = Writer(stream, "00000000", b"guessed-by-somebody").rows(int(time.time() * 1000), rows)
    before = ends(field.smtp)
    field.hub.admin.xadd(stream, forged._asdict())
    (real,) = Writer(field.hub.stream("pop2"), "00000001", SECRET.encode()).rows(int(time.time() * 1000), rows)
    field.hub.admin.xadd(stream, real._asdict())  # of another stream
    for node in (field.pop2, field.smtp):
        wait_for("the count", lambda node=node: metric(node, "hub_messages_refused_total", "signature") == 2)
    assert same(ends(field.smtp), before)


def test_a_poisoned_node(field: Field) -> None:
    """Root on pop2: it has the secret and its own password."""
    (_, old), *_ = field.hub.admin.xrange(field.hub.stream("pop1"), count=1)
    with closing(field.as_node("pop2")) as client:
        for words in (
            ("XADD", field.hub.stream("pop1"), "*", "m", "x", "s", "x"),
            ("DEL", field.hub.stream("pop1")),
            ("DEL", field.hub.stream("pop2")),
            ("XTRIM", field.hub.stream("pop1"), "MAXLEN", 0),
            ("FLUSHALL",),
        ):
            with pytest.raises(valkey.exceptions.NoPermissionError):
                client.execute_command(*words)
        stream = field.hub.stream("pop2")
        now = int(time.time() * 1000)
        poison = [
            Row("198.51.100.1", 10 * 3_600_000, "eve", "dovecot", "mx2", 0),
            Row("127.0.0.9", 1_800_000, "eve", "dovecot", "mx2", 0),
            Row("198.51.100.2", 1_800_000, "x" * 300, "dovecot", "mx2", 0),
        ]
        for entry in Writer(stream, "0badbad0", SECRET.encode()).rows(now, poison):
            client.xadd(stream, entry._asdict())
        client.xadd(stream, old)  # what pop1 wrote
    for node in (field.pop1, field.smtp):
        wait_for("the row", lambda node=node: "198.51.100.1" in node.rows())
        found = ends(node)
        assert found["198.51.100.1"] - time.time() <= 3602, "share.longest"
        assert not {"127.0.0.9", "198.51.100.2"} & set(found)
        wait_for("the count", lambda node=node: metric(node, "hub_messages_refused_total", "signature") >= 1)
    reply = asked(field.smtp, Revoke(node="pop2"))
    assert reply["addresses"] == ["198.51.100.1"]
    for node in (field.pop1, field.smtp):
        wait_for("no row of it", lambda node=node: "198.51.100.1" not in node.rows())
    field.pop2.wait_said("smtp1 trusts this node no more")


def test_the_secret_is_changed_without_a_gap(stack: ExitStack) -> None:
    """The steps of docs/SHARING.md: the new one is accepted everywhere, then it signs, then the old one goes."""
    hub = stack.enter_context(hubs())()
    new_node = stack.enter_context(nodes())
    pop, smtp = new_node("pop1", [hub]), new_node("smtp1", [hub], logs=False)
    daemons = {node: node.start() for node in (pop, smtp)}
    fresh = SECRET.replace("0", "7")
    logins = iter((A, B, C, D, E))
    seen: set[str] = set()

    def step(secret: str, other: str | None) -> None:
        for node in (pop, smtp):
            (node.place / "share.secret").write_text(f"{secret}\n")
            old = node.place / "share.secret.old"
            if other is None:
                old.unlink()
            else:
                old.touch(0o600)
                old.write_text(f"{other}\n")
            daemons[node].stop()
            daemons[node] = node.start()
            if node is pop:  # it is changed, the other is not yet
                seen.add(ip := next(logins))
                pop.append(login(ip))
                wait_same(pop, smtp, ips=seen)

    for each in ((SECRET, fresh), (fresh, SECRET)):
        step(*each)
        smtp.wait_up()
        assert metric(smtp, "hub_messages_refused_total") == 0
    step(fresh, None)
    smtp.wait_up()
    wait_same(pop, smtp, ips=seen)
    before = metric(smtp, "hub_messages_refused_total", "signature")
    assert before, "what pop1 wrote with the old one"
    # Who stole the old one writes for nobody.
    stream = hub.stream("pop1")
    (late,) = Writer(stream, "00000000", SECRET.encode()).rows(
        int(time.time() * 1000), [Row(E, 1_800_000, None, "dovecot", "mx1", 0)]
    )
    hub.admin.xadd(stream, late._asdict())
    wait_for("the count", lambda: metric(smtp, "hub_messages_refused_total", "signature") == before + 1)
    wait_same(pop, smtp, ips=seen)

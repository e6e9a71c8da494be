"""Hubs that answer nonsense: a state of the hub, while the daemon goes on with its own logs."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from daemon.running import PATIENCE, login
from mta import wait_for
from pbs_fast.share import answers
from pbs_fast.share.hub import CaughtUp, Connected, Entries, Exchanged, Failed, Hub, Lost
from pbs_fast.share.inbox import MOST_NODES, Inbox, Read
from pbs_fast.share.message import Entry, is_node_name
from pbs_fast.share.outbox import Outgoing
from pbs_fast.share.spec import Secrets, parse_hub
from pbs_fast.share.tombstones import Tombstones
from share.nodes import NewNode
from share.strange import Answer, array, bulk, strange_hub

A = "203.0.113.5"
STREAM = "pbs-fast:{test}:n:pop2"


def entry(id_: str) -> bytes:
    return array(bulk(id_), array(bulk("m"), bulk("{}"), bulk("s"), bulk("x")))


NONSENSE: dict[str, tuple[str, Answer]] = {
    "ids of what is read": ("XREAD", lambda: array(array(bulk(STREAM), array(entry("none"))))),
    "ids of another kind": ("XREAD", lambda: array(array(bulk(STREAM), array(entry("1-2-3"))))),
    "ids of more digits than Python reads": ("XREAD", lambda: array(array(bulk(STREAM), array(entry("1" * 5000))))),
    "another stream": ("XREAD", lambda: array(array(bulk("else"), array(entry("1-1"))))),
    "the end of our stream": ("XREVRANGE", lambda: array(entry("none"))),
    "ids of what is written": ("XADD", lambda: bulk("none")),
    "a time without end": ("TIME", lambda: array(bulk("1" + "0" * 306), bulk("0"))),
    "a time before the epoch": ("TIME", lambda: array(bulk("-99999999999"), bulk("0"))),
    "a time of words": ("TIME", lambda: array(bulk("now"), bulk("0"))),
    "nodes that are no list": ("SMEMBERS", lambda: b":1\r\n"),
    "no protocol": ("TIME", lambda: b"<html>\r\n"),
    "an endless error": ("SADD", lambda: b"-ERR \x1b[31m" + b"x" * 1_000_000 + b"\r\n"),
    "deep lists": ("SMEMBERS", lambda: b"*1\r\n" * 100_000),
}


def came_of(url: str, node: str = "pop2") -> Iterator[object]:
    """What the threads of a hub hand over, until one of them says that it failed."""
    hub = Hub(
        parse_hub(url),
        site="test",
        node="pop1",
        secrets=Secrets((b"k" * 32,), None),
        ca=None,
        now=time.monotonic,
        wake=lambda: None,
        jitter=lambda: 0.0,
    )
    hub.start()
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            came = hub.take()
            if came is None:
                time.sleep(0.002)
                continue
            yield came
            if isinstance(came, Failed | Lost):
                return
            if isinstance(came, Connected):
                hub.read([Read(node, 1, "0-0")])
            if isinstance(came, Exchanged):
                hub.give([Outgoing(Entry(b"{}", b"x"), None)])
    finally:
        hub.close(PATIENCE)
    raise AssertionError("the hub answered nonsense, and nobody noticed")


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_a_failure_of_the_hub_and_does_not_reach_the_loop(what: str) -> None:
    command, answer = NONSENSE[what]
    with strange_hub(**{command: answer}) as hub:
        *came, failure = came_of(hub.url)
        assert command in hub.asked
        assert isinstance(failure, Lost if command == "XREAD" else Failed)
        assert not any(isinstance(each, Entries | CaughtUp) for each in came if command == "XREAD")
        assert failure.reason.isprintable()
        assert len(failure.reason) < 500


def test_a_connection_that_failed_is_closed_at_once() -> None:
    """A daemon hardly ever collects garbage (util/gc.py), and may be refused for weeks."""
    gc.disable()
    try:
        with strange_hub(XADD=lambda: b"-NOPERM no\r\n", XREAD=lambda: b"-NOPERM no\r\n") as hub:
            for _ in range(10):
                assert isinstance([*came_of(hub.url)][-1], Failed | Lost)
            wait_for("the end of all connections", lambda: not hub.open)
    finally:
        gc.enable()


@pytest.mark.system
@pytest.mark.parametrize("what", ["ids of what is read", "a time without end"])
def test_a_daemon_goes_on_when_its_hub_answers_nonsense(new_node: NewNode, what: str) -> None:
    command, answer = NONSENSE[what]
    with strange_hub(**{command: answer}) as hub:
        pop = new_node("pop1", [hub.url], trusts=["pop2"])
        pop.start()
        state = pop.wait_status("the hub down", lambda state: state["hubs"][0]["state"] == "down")
        assert [notice["code"] for notice in state["notices"]] == ["hub_down"]
        pop.append(login(A))
        pop.wait_rows(A)


def test_of_a_set_of_names_only_those_of_nodes_count_and_not_without_bound() -> None:
    names = ["alpha", "a b", "\x1b[31mred", "x" * 64, "", ".x", "ä", *(f"n{n}" for n in range(3_000))]
    with strange_hub(SMEMBERS=lambda: array(*map(bulk, names)), XREAD=lambda: b"*-1\r\n") as hub:
        found = next(each for each in came_of(hub.url) if isinstance(each, Exchanged))
    assert "alpha" in found.nodes
    assert len(found.nodes) == MOST_NODES
    assert all(is_node_name(name) for name in found.nodes)

    inbox = Inbox(node="me", trusted=["*"], longest=60, hubs=1, tombstones=Tombstones(60), now=0.0)
    inbox.discovered(found.nodes)
    inbox.discovered(f"other{n}" for n in range(3_000))
    assert {each.name for each in inbox.nodes(1.0)} == found.nodes


def test_of_a_long_string_only_the_beginning_is_kept_and_the_stream_is_read_on() -> None:
    stream = "pbs-fast:{test}:n:pop2"

    def entries() -> bytes:
        long, short = (array(bulk("m"), bulk(b"x" * size), bulk("s"), bulk("y")) for size in (5_000_000, 5))
        return array(array(bulk(stream), array(array(bulk("1-1"), long), array(bulk("1-2"), short))))

    with strange_hub(XREAD=entries) as hub:
        found = next(each for each in came_of(hub.url) if isinstance(each, Entries))
    assert [(each.id, each.message) for each in found.got] == [("1-1", "too_long"), ("1-2", "signature")]


@pytest.mark.parametrize(
    "answer",
    [array(*[bulk("x" * 99)] * 200), array(*[b":1\r\n"] * 400), array(bulk("x" * 70_000)), b"+" + b"x" * 70_000],
)
def test_an_answer_that_would_fill_the_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWER", 20_000)
    with strange_hub(SMEMBERS=lambda: answer) as hub:
        *_, failure = came_of(hub.url)
    assert isinstance(failure, Failed)
    assert failure.reason in ("an answer of more than 0 MiB", "a line without end")

"""The sockets' thread and the queue: rights, slow and silent clients, pages, watchers, bounds of a turn.

The loop is the test itself: it calls `turn` when it wants to, so a loop that hangs is one that is not called.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from mta import wait_for
from pbs_fast.control import requests as requests_
from pbs_fast.control.peers import Peer
from pbs_fast.control.protocol import (
    EVENTS,
    LONGEST_REQUEST,
    AnyRequest,
    List,
    Metrics,
    Ping,
    Reload,
    Request,
    RequestError,
    Status,
    Watch,
    Why,
)
from pbs_fast.control.requests import CLIENTS, MOST, Answer, Control
from pbs_fast.control.watchers import RING, Happened
from pbs_fast.control.wire import encode_request
from pbs_fast.errors import PbsError
from pbs_fast.serving import server as serving
from pbs_fast.serving.pace import CREDIT, Pace

PATIENCE = 20.0


class Client:
    """A connection that reads only when it is asked to."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(os.fspath(path))
        self._file = self.socket.makefile("rb")

    def send(self, request: Request[Any], number: int = 7) -> None:
        self.socket.sendall(encode_request(number, request))

    def reply(self) -> dict[str, Any]:
        found = json.loads(self._file.readline())
        assert isinstance(found, dict)
        return found

    def is_closed(self) -> bool:
        """Whether the server closes it, at the latest when the patience ends."""
        try:
            return self._file.readline() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class Loop:
    """A Control with a loop that turns when it is told to."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.asked: list[AnyRequest] = []
        self.answers: dict[str, Callable[[AnyRequest], Answer]] = {}
        self._stack = ExitStack()
        listeners = {}
        for name in ("control", "status"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(os.fspath(place / name))
            listener.listen(512)
            listener.setblocking(False)
            listeners[name] = listener
        self.control = Control(listeners)
        self._stack.callback(self.control.close)

    def client(self, name: str = "status") -> Client:
        client = Client(self.place / name)
        self._stack.callback(client.close)
        return client

    def answer(self, request: AnyRequest, _: Peer) -> Answer:
        self.asked.append(request)
        if request.do in self.answers:
            return self.answers[request.do](request)
        return {"did": request.do}

    def turn(self) -> None:
        self.control.turn(self.answer)
        self.control.send()

    def happen(self, events: list[Happened]) -> None:
        """Events of one turn."""
        self.control.watchers.put(events)

    def turn_until(self, probe: Callable[[], bool]) -> None:
        def turned() -> bool:
            self.turn()
            return probe()

        wait_for("what the loop was asked for", turned, seconds=PATIENCE)

    def ask(self, client: Client, request: Request[Any]) -> dict[str, Any]:
        """One request with its reply."""
        client.send(request)
        self.turn_until(lambda: bool(select.select([client.socket], [], [], 0)[0]))
        return client.reply()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr(serving, "_SWEEP", 0.1)
    monkeypatch.setattr(requests_, "SHARE", 1.0)
    found = Loop(tmp_path)
    yield found
    found.close()


def test_a_request_is_answered_by_the_loop(loop: Loop) -> None:
    assert loop.ask(loop.client(), Why(ip="::1")) == {"v": 1, "id": 7, "ok": {"did": "why"}}
    assert loop.asked == [Why(ip="::1")]


def test_a_loop_that_hangs_is_seen_and_not_waited_for(loop: Loop) -> None:
    loop.turn()
    waiting, client = loop.client(), loop.client()
    waiting.send(Status())
    time.sleep(0.3)
    client.send(Ping())
    answered = client.reply()["ok"]
    assert answered["turned_s"] >= 0.3
    assert answered["pid"] == os.getpid()
    assert not answered["ready"]
    loop.control.ready = True
    loop.turn()
    assert waiting.reply()["ok"] == {"did": "status"}
    client.send(Ping())
    assert client.reply()["ok"]["turned_s"] < answered["turned_s"] + PATIENCE
    client.send(Ping())
    assert client.reply()["ok"]["ready"]


def test_metrics_come_from_the_thread_and_requests_are_counted(loop: Loop) -> None:
    """A loop that hangs is still measured; each request is counted once, by what became of it."""
    client = loop.client()

    def told() -> Any:
        client.send(Metrics())
        return client.reply()

    def missing() -> bytes:
        raise PbsError("metrics need a library")

    assert told()["error"]["code"] == "not_ready"
    loop.control.metrics = missing
    assert told()["error"] == {"code": "internal", "text": "metrics need a library"}
    loop.control.metrics = lambda: b"ready 1\n"
    assert told()["ok"] == {"text": "ready 1\n"}
    assert loop.asked == []
    client.send(Reload())
    assert client.reply()["error"]["code"] == "denied"
    client.socket.sendall(b"nonsense\n")
    assert client.reply()["error"]["code"] == "bad_request"
    loop.ask(client, Why(ip="::1"))
    pages: list[dict[str, object]] = [{"more": True}, {"more": False}]
    loop.answers["list"] = lambda _: iter(pages)
    loop.ask(client, List())
    loop.turn_until(lambda: loop.control.outcomes["list", "ok"] == 1)
    assert {key: n for key, n in loop.control.outcomes.items() if n} == {
        ("metrics", "error"): 2,
        ("metrics", "ok"): 1,
        ("reload", "denied"): 1,
        ("other", "error"): 1,
        ("why", "ok"): 1,
        ("list", "ok"): 1,
    }


def test_the_loop_is_woken(loop: Loop) -> None:
    client = loop.client()
    client.send(Why(ip="::1"))
    wait_for("the wake-up", lambda: loop.control.asked, seconds=PATIENCE)
    assert os.read(loop.control.fileno(), 1) == b"x"
    loop.control.drain()
    loop.turn()
    assert client.reply()["ok"]
    assert not loop.control.asked


def test_changes_need_the_socket_control(loop: Loop) -> None:
    client = loop.client("status")
    client.send(Reload())
    error = client.reply()["error"]
    assert error == {"code": "denied", "text": "reload is not allowed on the socket status; use the socket control"}
    assert loop.ask(loop.client("control"), Reload())["ok"] == {"did": "reload"}


@pytest.mark.parametrize(
    ("uid", "ours", "may"), [(0, 7, True), (7, 7, True), (1000, 7, False), (65534, 7, False), (65534, 65534, False)]
)
def test_whom_the_socket_control_answers(
    uid: int, ours: int, may: bool, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the kernel's word, not the file's mode; whoever appears as the overflow uid is nobody's own account."""
    monkeypatch.setattr(requests_, "peer_of", lambda _, on_control: Peer(4711, uid, on_control))
    monkeypatch.setattr(os, "geteuid", lambda: ours)
    control, status = loop.client("control"), loop.client("status")
    assert loop.ask(status, Why(ip="::1"))["ok"]
    if may:
        assert loop.ask(control, Why(ip="::1"))["ok"]
    else:
        control.send(Why(ip="::1"))
        error = control.reply()["error"]
        assert error["code"] == "denied"
        known = uid != ours  # an overflow uid that is ours too may be anybody's
        assert error["text"].endswith(f"you are uid {uid}") is known
        assert (f"uid {uid} is never trusted" in error["text"]) is not known


def test_who_the_peer_is(loop: Loop) -> None:
    seen: list[Peer] = []
    client = loop.client("control")
    client.send(Why(ip="::1"))

    def answer(_: AnyRequest, peer: Peer) -> Answer:
        seen.append(peer)
        return {}

    wait_for("the request", lambda: loop.control.asked, seconds=PATIENCE)
    loop.control.turn(answer)
    assert seen == [Peer(os.getpid(), os.geteuid(), on_control=True)]


def test_what_goes_wrong_in_an_answer_is_its_reply(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: AnyRequest) -> Answer:
        raise RequestError("refused", "no", guard="own")

    def fail(_: AnyRequest) -> Answer:
        raise ZeroDivisionError("by zero")

    def fail_later(_: AnyRequest) -> Iterator[Mapping[str, object]]:
        yield {"rows": [1], "more": True}
        raise KeyError("gone")

    loop.answers = {"why": refuse, "status": fail, "list": fail_later}
    client = loop.client()
    assert loop.ask(client, Why(ip="::1"))["error"] == {"code": "refused", "text": "no", "guard": "own"}
    error = loop.ask(client, Status())["error"]
    assert error["code"] == "internal"
    assert "ZeroDivisionError: by zero" in error["text"]
    assert "this is a bug" in caplog.text
    client.socket.sendall(b'{"v":1,"id":8,"do":"list"}\n')
    loop.turn_until(lambda: "KeyError" in caplog.text)
    assert client.reply()["ok"]["rows"] == [1]
    assert client.reply()["error"]["code"] == "internal"
    loop.answers = {}
    assert loop.ask(client, Why(ip="::1"))["ok"], "the connection and the loop go on"


def test_a_bad_request_costs_the_loop_nothing(loop: Loop) -> None:
    client = loop.client()
    client.socket.sendall(b'{"v":1,"id":3,"do":"whi"}\nnonsense\n')
    assert client.reply()["error"]["code"] == "bad_request"
    second = client.reply()
    assert (second["id"], second["error"]["code"]) == (None, "bad_request")
    assert not loop.control.asked


def test_one_request_is_under_way_at_a_time(loop: Loop) -> None:
    client = loop.client()
    client.socket.sendall(b"".join(encode_request(number, Why(ip="::1")) for number in range(20)))
    wait_for("the first", lambda: loop.control.asked, seconds=PATIENCE)
    for number in range(20):
        wait_for("the next", lambda: loop.control.asked, seconds=PATIENCE)
        loop.turn()
        assert len(loop.asked) == number + 1
        assert client.reply()["id"] == number


def test_a_turn_answers_so_many_and_no_more(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_, "BUDGET", 60.0)
    clients = [loop.client() for _ in range(MOST + 4)]
    for client in clients:
        client.send(Why(ip="::1"))
    wait_for("all", lambda: len(loop.control._queue) == MOST + 4, seconds=PATIENCE)
    loop.turn()
    assert len(loop.asked) == MOST
    loop.turn()
    assert len(loop.asked) == MOST + 4


def test_a_turn_takes_its_time_and_no_more(loop: Loop) -> None:
    def slowly(_: AnyRequest) -> Answer:
        time.sleep(requests_.BUDGET)
        return {}

    loop.answers = {"why": slowly}
    clients = [loop.client() for _ in range(3)]
    for client in clients:
        client.send(Why(ip="::1"))
    wait_for("all", lambda: len(loop.control._queue) == 3, seconds=PATIENCE)
    loop.turn()
    assert len(loop.asked) == 1


def test_pages_are_made_when_they_are_read(loop: Loop) -> None:
    """A client that reads slowly keeps a page waiting, not all of them."""
    made: list[int] = []

    def pages(_: AnyRequest) -> Iterator[Mapping[str, object]]:
        for number in range(50):
            made.append(number)
            yield {"rows": ["x" * 1000] * 300, "n": number, "more": number < 49}

    loop.answers = {"list": pages}
    client = loop.client()
    client.socket.sendall(b'{"v":1,"id":8,"do":"list"}\n')
    loop.turn_until(lambda: len(made) >= 1)
    for _ in range(30):
        loop.turn()
        time.sleep(0.01)
    assert len(made) < 5, "the socket's buffer holds less than one"
    read: list[int] = []
    while len(read) < 50:
        if made[-1] < 49:
            loop.turn_until(lambda: made[-1] >= len(read))
        read.append(client.reply()["ok"]["n"])
    assert read == made == list(range(50))
    assert loop.ask(client, Why(ip="::1"))["ok"]


def test_a_long_search_gives_way_to_others(loop: Loop) -> None:
    def search(_: AnyRequest) -> Iterator[Mapping[str, object] | None]:
        yield from [None] * 5
        yield {"found": 1}

    loop.answers = {"list": search}
    slow, quick = loop.client(), loop.client()
    slow.socket.sendall(b'{"v":1,"id":8,"do":"list"}\n')
    wait_for("the search", lambda: loop.control.asked, seconds=PATIENCE)
    loop.turn()
    assert loop.ask(quick, Why(ip="::1"))["ok"]
    loop.turn_until(lambda: not loop.control.asked)
    assert slow.reply()["ok"] == {"found": 1}


def test_the_last_status_serves_all_who_ask_too_often(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_, "RENEWED", 3600.0)
    client, root = loop.client(), loop.client("control")
    for number in range(requests_.SNAPSHOTS):
        loop.answers = {"status": lambda _, number=number: {"made": number}}  # type: ignore[misc]
        assert loop.ask(client, Status())["ok"] == {"made": number}, "each is of now"
    for number in range(20):
        client.send(Status(), number)
        assert client.reply() == {"v": 1, "id": number, "ok": {"made": requests_.SNAPSHOTS - 1}}
    assert len(loop.asked) == requests_.SNAPSHOTS
    loop.ask(root, Reload())
    assert loop.ask(client, Status())["ok"], "after a change there is a new one"
    assert len(loop.asked) == requests_.SNAPSHOTS + 2


def test_a_client_that_closed_its_writing_end_still_gets_its_reply(loop: Loop) -> None:
    """`echo … | socat - UNIX:…` does so."""
    client = loop.client()
    client.send(Why(ip="::1"))
    client.socket.shutdown(socket.SHUT_WR)
    loop.turn_until(lambda: bool(loop.asked))
    assert client.reply()["ok"]
    assert client.is_closed()


def test_slow_half_and_silent_clients_hold_nobody_up(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pbs_fast.serving.port.STALLED", 4.0)
    monkeypatch.setattr("pbs_fast.serving.port.IDLE", 4.0)
    half, silent, gone, good = (loop.client() for _ in range(4))
    half.socket.sendall(b'{"v":1,"id":1,')
    gone.send(Why(ip="::1"))
    wait_for("its request", lambda: loop.control.asked, seconds=PATIENCE)
    gone.close()
    slow = loop.client()
    data = encode_request(9, Why(user="slow"))
    for start in range(0, len(data), 8):
        slow.socket.sendall(data[start : start + 8])
        assert loop.ask(good, Why(ip="::1"))["ok"]
    loop.turn_until(lambda: Why(user="slow") in loop.asked)
    assert slow.reply()["id"] == 9
    assert half.is_closed()
    assert silent.is_closed()


def test_a_request_that_never_ends_is_cut_off(loop: Loop) -> None:
    client = loop.client()
    with suppress(ConnectionError):
        client.socket.sendall(b"x" * (LONGEST_REQUEST - 1))
        client.socket.sendall(b"x" * 100)
    assert client.is_closed()
    assert LONGEST_REQUEST == 65_536


def test_those_who_wait_keep_their_places(loop: Loop) -> None:
    """All places taken by requests under way: one more is told to try again. Idle ones make room."""
    clients = [loop.client() for _ in range(CLIENTS)]
    for client in clients:
        client.send(Why(ip="::1"))
    wait_for("all", lambda: len(loop.control._queue) == CLIENTS, seconds=PATIENCE)
    late = loop.client()
    assert late.reply()["error"]["code"] == "busy"
    assert late.is_closed()
    root = loop.client("control")
    root.send(Why(ip="::1"))
    loop.turn_until(lambda: len(loop.asked) == CLIENTS + 1)
    assert root.reply()["ok"], "root has places of its own"
    assert all(client.reply()["ok"] for client in clients)
    another = loop.client()
    assert loop.ask(another, Why(ip="::1"))["ok"]


def test_a_thousand_clients_one_after_the_other(loop: Loop) -> None:
    before = descriptors()
    for number in range(1000):
        client = Client(loop.place / "status")
        client.send(Ping(), number)
        if number % 3:
            assert client.reply()["id"] == number
        client.close()
    wait_for("the end of all", lambda: descriptors() <= before, seconds=PATIENCE)


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


def test_a_thousand_clients_at_once(loop: Loop) -> None:
    """No more than CLIENTS have a place; the others are dropped, and who comes last is served."""
    clients = [loop.client() for _ in range(400)]
    last = loop.client()
    last.send(Ping())
    assert last.reply()["ok"]
    assert loop.control._server.clients <= CLIENTS
    assert sum(client.is_closed() for client in clients[: 400 - CLIENTS]) == 400 - CLIENTS


def test_what_requests_may_use_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the thread's own processor time: a client that asks without end uses no more than the share, in bursts."""
    used: list[float] = []
    rests: list[float] = []
    monkeypatch.setattr(time, "thread_time", lambda: sum(used))
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)  # no credit comes back meanwhile
    monkeypatch.setattr(time, "sleep", rests.append)
    pace = Pace(0.01)
    while not rests:
        pace.begin()
        used.append(CREDIT / 4)
        pace.end()
    assert len(used) == 5, "some at once"
    assert rests == [pytest.approx(CREDIT * 1.25 / 0.01)]


# -- watchers ---------------------------------------------------------------------------------------------------------


def happened(kind: str, text: str = "") -> Happened:
    return Happened(kind, lambda: {"at": "now", "kind": kind, "text": text})


def watching(loop: Loop, *kinds: str) -> Client:
    client = loop.client()
    client.send(Watch(kinds))
    assert client.reply()["ok"] == {"watching": list(kinds or EVENTS)}
    wait_for("the watcher", lambda: bool(loop.control.watchers), seconds=PATIENCE)
    return client


def test_watchers_get_what_they_asked_for(loop: Loop) -> None:
    every, some = watching(loop), watching(loop, "refused")
    wait_for("both", lambda: len(loop.control.watchers._watchers) == 2, seconds=PATIENCE)
    loop.happen([happened("granted"), happened("refused"), happened("granted")])
    got = [every.reply() for _ in range(3)]
    assert [(each["id"], each["event"]["n"], each["event"]["kind"]) for each in got] == [
        (7, 1, "granted"),
        (7, 2, "refused"),
        (7, 3, "granted"),
    ]
    assert some.reply()["event"]["n"] == 2


def test_a_watcher_that_does_not_read_loses_the_oldest_and_is_told(loop: Loop) -> None:
    deaf, good = watching(loop), watching(loop)
    wait_for("both", lambda: len(loop.control.watchers._watchers) == 2, seconds=PATIENCE)
    total = 3 * RING
    text = "x" * 500
    read: list[dict[str, Any]] = []
    for start in range(0, total, 256):
        loop.happen([happened("granted", text)] * 256)
        read += [good.reply() for _ in range(256)]
        assert len(read) == start + 256
    assert [each["event"]["n"] for each in read] == list(range(1, total + 1)), "one that reads loses nothing"
    found: list[dict[str, Any]] = []
    while not found or found[-1].get("event", {}).get("n") != total:
        found.append(deaf.reply())
    lost = sum(each.get("lost", 0) for each in found)
    numbers = [each["event"]["n"] for each in found if "event" in each]
    assert lost > 0
    assert lost + len(numbers) == total, "each is there or counted"
    assert numbers[-RING:] == list(range(total - RING + 1, total + 1))
    assert numbers == sorted(numbers)


def test_watchers_that_go_are_forgotten(loop: Loop) -> None:
    """Also one of which nothing is heard, because nothing happens."""
    client = watching(loop)
    client.close()
    wait_for("its end", lambda: not loop.control.watchers, seconds=PATIENCE)


def test_one_that_only_closed_its_writing_end_goes_on_watching(loop: Loop) -> None:
    client = watching(loop)
    client.socket.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    loop.happen([happened("ready")])
    assert client.reply()["event"]["kind"] == "ready"

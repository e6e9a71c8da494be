"""What `pbs-fast match --json` says of a server's log, held against what the clients did."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from mta import wait_for
from servers.clients import Client, Deed, End

if TYPE_CHECKING:
    from pathlib import Path

    from servers.stage import Stage

CORES = ("rust", "python")


class Said(NamedTuple):
    """One event as `match` shows it, without its place and time."""

    event: str
    ip: str | None
    user: str | None
    format: str


def said(log: Path, core: str) -> tuple[list[Said], list[str]]:
    """All events of a log, in order, and its missed lines. AssertionError where a timestamp is not of the last
    minutes."""
    command = [sys.executable, "-m", "pbs_fast", "match", "--json", "--missed", f"--core={core}", str(log)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 3), done.stderr
    events, missed = [], []
    now = time.time()
    for record in map(json.loads, done.stdout.splitlines()):
        if "missed" in record:
            missed.append(f"{record['missed']}: {record['text']}")
            continue
        assert abs(now - datetime.fromisoformat(record["time"]).timestamp()) < 600, record
        events.append(Said(record["event"], record["ip"], record["user"], record["format"]))
    return events, missed


def _outran(events: list[Said], done: Collection[Deed]) -> list[Said]:
    """Give ends that stand before their login, so that they name no address, the address of their user's deed.

    Dovecot's processes write each for themselves.
    """
    clients = {deed.user: deed.client for deed in done if deed.taken}
    logged_in: set[str | None] = set()
    found = []
    for event in events:
        early = event.event == "logout" and event.ip is None and event.user in clients and event.user not in logged_in
        found.append(event._replace(ip=clients[event.user]) if early else event)
        logged_in |= {event.user} if event.event == "login" else set()
    return found


def hold(
    stage: Stage,
    played: Iterable[Deed],
    formats: Collection[str],
    *,
    ends: Collection[End] = ("logout", "drop"),
    ends_name_user: bool = True,
) -> None:
    """Play deeds, then hold the log against them, by both backends.

    Eight clients come at a time, so their sessions' lines mix. A login for each deed that the server took and for no
    other; a logout for those of them that ended in one of `ends`, which are those that this server writes a line of.
    Addresses and users are those of the deeds, and no line is missed. `formats` are all those that read a login;
    where `ends_name_user` is false, the lines of an end have no name, and those without an address are of a session
    that no login began.
    """
    done = list(played)
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda deed: Client.play(stage, deed), done))
    expected = {
        "login": [(each.client, each.user) for each in done if each.taken],
        "logout": [
            (each.client, each.user if ends_name_user else None) for each in done if each.taken and each.end in ends
        ],
    }
    assert 0 < len(expected["login"]) < len(done)

    def complete() -> bool:
        events = _outran(said(stage.log, CORES[0])[0], done)
        return sum(each.ip is not None for each in events) >= sum(map(len, expected.values()))

    # The last lines of dropped connections come late.
    with suppress(AssertionError):
        wait_for("all lines", complete)
    for core in CORES:
        events, missed = said(stage.log, core)
        events = _outran(events, done)
        for kind, wanted in expected.items():
            found = [(each.ip, each.user) for each in events if each.event == kind and each.ip is not None]
            absent, extra = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
            assert not absent, f"{core}, {kind} absent: {absent}\n{stage.logged()}"
            assert not extra, f"{core}, {kind} extra: {extra}\n{stage.logged()}"
        assert not missed, f"{core}: {missed}"
        assert {each.format for each in events if each.event == "login"} == set(formats)
